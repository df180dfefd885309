"""Atomic writes: a file exists complete or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PARTIAL = ".part"
"""Suffix of a file that is being written."""


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary stream whose content replaces ``path`` when the block ends.

    The content is written to another file in the same folder, flushed to disk and renamed. So neither a
    killed process nor a power cut leaves an incomplete file. If the block raises, ``path`` is unchanged. A
    missing folder is an error and is not made: on a node without the shared folder, results in a new local
    folder would be lost.

    Args:
        path: The file to write.

    Yields:
        A binary stream.

    Raises:
        OSError: The folder is missing, or the file cannot be written.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}", suffix=PARTIAL)
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.chmod(0o644)
        partial.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Flush a folder to disk, so that a renamed file is there after a power cut."""
    with suppress(OSError):  # some file systems do not know it
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def discard(path: Path) -> None:
    """Remove a file if it exists, and the temporary files of interrupted writes to it.

    Args:
        path: The file. Whatever else has this name stays.
    """
    if not path.is_dir():
        path.unlink(missing_ok=True)
    for partial in path.parent.glob(f".{path.name}*{PARTIAL}"):
        partial.unlink(missing_ok=True)


def reason(error: OSError) -> str:
    """Describe why a file cannot be read or written, with its name.

    >>> reason(IsADirectoryError(21, "Is a directory", "/results/plan.parquet"))
    'Is a directory: plan.parquet'
    """
    said, file = error.strerror or str(error), error.filename2 or error.filename
    return f"{said}: {Path(str(file)).name}" if file and not str(file).endswith(PARTIAL) else said
