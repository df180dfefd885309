"""Decoded images kept beside the files: read once per node, mapped by every process that needs them.

Processes that map one file share its pages in memory, so a node holds a data set once however many
trials it runs.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock

from switchbench.datasets.data import Data, Images
from switchbench.files import atomic_write

FOLDER = ".decoded"


def shared(folder: Path, name: str, files: Sequence[Path], decode: Callable[[], Data]) -> Data:
    """What ``decode`` makes of the files, from the data folder where an earlier process has left it.

    Files that have changed since (their sizes or times) and those that other code has decoded are decoded
    anew. Where the data folder cannot be written, the process keeps its own copy.
    """
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = hashlib.sha256(f"{_code()}{stats}".encode()).hexdigest()[:16]
    path = folder / FOLDER / f"{name}-{key}.pt"
    if (stored := _map(path)) is not None:
        return stored
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.parent / f"{name}.lock", mode=0o666):
            if (stored := _map(path)) is None:
                _save(path, decode())
        return _map(path) or decode()
    except (OSError, RuntimeError) as error:
        logging.getLogger(__name__).warning("%s is not shared between processes: %s", name, error)
        return decode()


def forget(folder: Path, name: str) -> None:
    """Remove what is kept of a data set; processes that have mapped it keep it."""
    for path in (folder / FOLDER).glob(f"{name}-*.pt"):
        path.unlink(missing_ok=True)


def _save(path: Path, data: Data) -> None:
    parts = [data.train.images, data.train.labels, data.test.images, data.test.labels]
    with atomic_write(path) as stream:
        torch.save([*parts, data.classes], stream)


def _map(path: Path) -> Data | None:
    """What is there; None if there is nothing, or nothing that can be read."""
    try:
        stored = torch.load(path, mmap=True, weights_only=True)
        return Data(Images(*stored[:2]), Images(*stored[2:4]), stored[4])
    except Exception:  # unpickling a broken file raises anything
        return None


@cache
def _code() -> str:
    """Hash of the code that decodes."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
