"""Downloads that go on where they stopped, and count only with the right checksum."""

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path

TIMEOUT_SECONDS = 20
CHUNK = 1 << 20

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes that are there, and all of its bytes if that is known."""


def quiet(name: str, done: int, total: int | None) -> None:
    """Progress that nobody sees."""


def download(urls: Sequence[str], path: Path, md5: str, progress: Progress = quiet) -> None:
    """Fetch ``path`` from the first of ``urls`` that has it, unless it is there.

    What an earlier attempt left beside it is not fetched again. Raises OSError, with what each
    address said, if none has it with that checksum.
    """
    if path.is_file() and md5_of(path) == md5:
        return
    part = path.with_name(f"{path.name}.part")
    problems = []
    for url in urls:
        for _ in range(2 if part.exists() else 1):  # what was left may belong to another file
            try:
                _stream(url, part, progress)
            except (OSError, HTTPException) as error:
                problems.append(f"{url}: {error}")
                break
            if md5_of(part) == md5:
                part.replace(path)
                return
            part.unlink()
            problems.append(f"{url}: what came has not the MD5 {md5}")
    raise OSError("; ".join(problems))


def md5_of(path: Path) -> str:
    """MD5 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _stream(url: str, part: Path, progress: Progress) -> None:
    """Append to ``part`` what it lacks; write it anew where the server does not take up."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # nothing is left to fetch
            return
        raise
    with response:
        if response.status != 206:
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if have else "wb") as stream:
            while chunk := response.read(CHUNK):
                stream.write(chunk)
                have += len(chunk)
                progress(part.name.removesuffix(".part"), have, total)
    if total is not None and have < total:
        raise OSError(f"the connection ended after {have:,} of {total:,} bytes")
