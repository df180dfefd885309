"""Downloads that resume where they stopped. A file counts only with the right checksum."""

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path

TIMEOUT_SECONDS = 20
CHUNK_BYTES = 1 << 20

ProgressCallback = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes received so far, and the bytes of the whole file (None: unknown)."""


def no_progress(name: str, done: int, total: int | None) -> None:
    """A callback that shows nothing."""


def download(urls: Sequence[str], path: Path, md5: str, progress: ProgressCallback = no_progress) -> None:
    """Download a file from the first address that has it. Do nothing if it is there.

    Bytes are collected in ``path`` with the suffix ``.part``, where a later call resumes, and renamed once
    the checksum is right.

    Args:
        urls: Addresses of the same file, tried in this order.
        path: Where to put it. Its folder exists.
        md5: MD5 of the whole file, in hexadecimal.
        progress: Called after each chunk.

    Raises:
        OSError: No address has the file with that checksum. The message has the problem of each address.
    """
    if path.is_file() and md5_of(path) == md5:
        return
    partial = path.with_name(f"{path.name}.part")
    problems = []
    for url in urls:
        for _ in range(2 if partial.exists() else 1):  # the partial file may be of another file: start again
            try:
                _stream(url, partial, progress)
            except (OSError, HTTPException) as error:
                problems.append(f"{url}: {error}")
                break
            if md5_of(partial) == md5:
                partial.replace(path)
                return
            partial.unlink()
            problems.append(f"{url}: the downloaded file does not have the MD5 {md5}")
    raise OSError("; ".join(problems))


def md5_of(path: Path) -> str:
    """Return the MD5 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _stream(url: str, partial: Path, progress: ProgressCallback) -> None:
    """Append the missing bytes to ``partial``. Write it from the start if the server ignores ranges."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # range not satisfiable: all bytes are there
            return
        raise
    with response:
        if response.status != 206:  # no partial content: the whole file comes
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with partial.open("ab" if have else "wb") as stream:
            while chunk := response.read(CHUNK_BYTES):
                stream.write(chunk)
                have += len(chunk)
                progress(partial.name.removesuffix(".part"), have, total)
    if total is not None and have < total:
        raise OSError(f"the connection ended after {have:,} of {total:,} bytes")
