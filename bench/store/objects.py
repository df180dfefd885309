"""Object stores (S3, Google Cloud Storage) as folders of files, with the methods of a path that are needed.

Objects appear complete or not at all, as local files do with :mod:`switchbench.atomic_files`. Credentials and
endpoints come from the environment variables of the store's own tools, such as ``AWS_ACCESS_KEY_ID`` and
``AWS_ENDPOINT_URL``.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Self

from pyarrow import fs

from switchbench.atomic_files import atomic_write
from switchbench.atomic_files import discard as discard_file
from switchbench.errors import InputError

SCHEMES = {"s3": "s3", "gs": "gs", "gcs": "gs"}


@dataclass(frozen=True, order=True)
class ObjectPath:
    """A place in an object store. Holds only text, so that it can be sent to workers."""

    scheme: str
    path: str
    """Bucket and key, separated by slashes."""
    query: str = ""
    """Options of the store's client, such as ``?endpoint_override=…``; empty without options."""

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Parse a URL such as ``s3://bucket/folder``. Nothing is read.

        Raises:
            InputError: The scheme is not known, or no bucket is named.
        """
        scheme, _, rest = url.partition(":")
        path, mark, query = rest.lstrip("/").partition("?")
        if scheme not in SCHEMES or not path.strip("/"):
            allowed = ", ".join(f"{name}://BUCKET/FOLDER" for name in ("s3", "gs"))
            raise InputError(f"{url}: should be a local or mounted folder, or a URL: {allowed}")
        return cls(SCHEMES[scheme], "/".join(part for part in path.split("/") if part), mark + query)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"

    def __truediv__(self, name: str) -> "ObjectPath":
        return ObjectPath(self.scheme, f"{self.path}/{name}", self.query)

    @property
    def url(self) -> str:
        """The URL that :meth:`from_url` reads."""
        return f"{self}{self.query}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.path.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.name.partition(".")[0]

    @property
    def parent(self) -> "ObjectPath":
        """The folder that holds it."""
        return ObjectPath(self.scheme, self.path.rpartition("/")[0], self.query)

    def exists(self) -> bool:
        """Return whether there is such an object, or an object below it. Raises OSError."""
        return bool(self._info().type != fs.FileType.NotFound)

    def iterdir(self) -> Iterator["ObjectPath"]:
        """Yield what is directly below it; nothing if there is nothing. Raises OSError."""
        selector = fs.FileSelector(self.path, allow_not_found=True)
        for info in self._store.get_file_info(selector):
            yield self / info.base_name

    def names_below(self) -> Iterator[str]:
        """Yield the names of all objects below it, relative to it. Raises OSError."""
        selector = fs.FileSelector(self.path, allow_not_found=True, recursive=True)
        for info in self._store.get_file_info(selector):
            if info.type == fs.FileType.File:
                yield info.path.removeprefix(f"{self.path}/")

    def read_bytes(self) -> bytes:
        """Return the content. Raises FileNotFoundError if there is none, or OSError."""
        with self._store.open_input_stream(self.path) as stream:
            content: bytes = stream.read()
        return content

    def write_bytes(self, content: bytes) -> None:
        """Replace the object. Raises OSError; then it is unchanged."""
        with self._store.open_output_stream(self.path) as stream:  # complete when it is closed
            stream.write(content)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object. Raises FileNotFoundError if there is none, or OSError."""
        try:
            self._store.delete_file(self.path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def size(self) -> int:
        """Return the number of bytes of the object; 0 if there is none. Raises OSError."""
        return int(self._info().size or 0)

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: object stores have no folders."""

    @property
    def _store(self) -> fs.FileSystem:
        return _filesystem(self.scheme, self.path.partition("/")[0], self.query)

    def _info(self) -> fs.FileInfo:
        return self._store.get_file_info(self.path)


StorePath = Path | ObjectPath
"""Where a file of results is."""


def resolved(place: str | StorePath) -> StorePath:
    """Return the place of a folder of results: absolute, or in an object store. Nothing is written.

    Raises:
        InputError: It is neither a path nor the URL of a store.
    """
    if isinstance(place, ObjectPath):
        return place
    if re.match(r"([a-z][a-z0-9+]+):(/|$)", str(place)):  # a Path drops one or both slashes
        try:
            return ObjectPath.from_url(str(place))
        except InputError as error:
            raise InputError(f"output folder {error}") from None
    try:
        path = Path(place).resolve()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, or no path at all
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"output folder {str(place)[:100]}: {reason}") from error
    return path


def size(path: StorePath) -> int:
    """Return the size of a file in bytes. Raises OSError."""
    return path.size() if isinstance(path, ObjectPath) else path.stat().st_size


def discard(path: StorePath) -> None:
    """Remove a file if it exists, and the temporary files of interrupted writes to it. Raises OSError."""
    if isinstance(path, ObjectPath):
        path.unlink(missing_ok=True)
    else:
        discard_file(path)


@contextmanager
def write_stream(path: StorePath) -> Iterator[IO[bytes]]:
    """Open a binary stream whose content replaces a file when the block ends. If the block raises, it stays.

    Args:
        path: The file.

    Yields:
        A binary stream.

    Raises:
        OSError: The file cannot be written, or its local folder is missing.
    """
    if isinstance(path, Path):
        with atomic_write(path) as stream:
            yield stream
        return
    content = io.BytesIO()
    yield content
    path.write_bytes(content.getvalue())


@cache
def _filesystem(scheme: str, bucket: str, query: str) -> fs.FileSystem:
    """Connect to a store. Raises OSError."""
    try:
        return fs.FileSystem.from_uri(f"{scheme}://{bucket}{query}")[0]
    except (ValueError, NotImplementedError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise OSError(str(error)) from error
