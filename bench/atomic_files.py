"""Writing files so that they exist whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PARTIAL = ".part"
"""Suffix of a file that is being written."""


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary stream whose content replaces ``path`` when the block ends.

    The content is written under another name in the same folder, flushed to disk and renamed, so that
    neither a killed process nor a power cut leaves half a file. If the block raises, ``path`` stays as
    it was. A missing folder is an error: on a node that lacks the shared folder, a folder made here would
    take results that nobody sees.

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
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def discard(path: Path) -> None:
    """Remove a file, if it is there, and what killed processes left of attempts to write it."""
    path.unlink(missing_ok=True)
    for partial in path.parent.glob(f".{path.name}*{PARTIAL}"):
        partial.unlink(missing_ok=True)
