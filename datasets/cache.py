"""Decoded images, kept in the data folder: decoded once per node, mapped by every process.

Processes that map one file share its pages in memory. A node therefore holds a data set once, whatever the
number of trials that it runs.
"""

import functools
import hashlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from filelock import FileLock

from switchbench.atomic_files import atomic_write
from switchbench.datasets.data import Data, Images

FOLDER = ".decoded"
Stat = tuple[Path, int, int, int, int]


def stats(files: Iterable[Path]) -> list[Stat]:
    """Return what tells that files have not changed, without reading them.

    Sizes and modification times are not enough: ``tar`` and ``cp -p`` set the latter. The time of the last
    change of the inode cannot be set.

    Returns:
        Path, inode, size in bytes, times of modification and of change in ns, of each file.

    Raises:
        OSError: A file does not exist.
    """
    found = ((file, file.stat()) for file in files)
    return [(file, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for file, stat in found]


def cached(folder: Path, name: str, content: object, decode: Callable[[], Data]) -> Data:
    """Return what ``decode`` makes of its files, from the cache if it is there.

    The cache is keyed by the content and by the code of this package, so a change of either decodes anew. One
    process decodes; others wait for it. If the data folder cannot be written, a warning is logged and the
    process keeps a copy of its own.

    Args:
        folder: The local data folder.
        name: What the entry is called: the data set, with the options that change the images.
        content: What tells that the files have not changed: a hash of their content, or their ``stats``.
        decode: Reads the files.

    Returns:
        The data, mapped from the cache file. Do not change its tensors.

    Raises:
        MissingData: Raised by ``decode``; nothing is then cached.
    """
    key = hashlib.sha256(f"{_code_hash()}{content}".encode()).hexdigest()[:16]
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


def clear(folder: Path, name: str) -> None:
    """Remove the cache files of a data set. Processes that have mapped one keep its content.

    Args:
        folder: The local data folder.
        name: The name that was given to :func:`cached`.
    """
    for path in (folder / FOLDER).glob(f"{name}-*.pt"):
        path.unlink(missing_ok=True)


def _save(path: Path, data: Data) -> None:
    parts = [data.train.images, data.train.labels, data.test.images, data.test.labels]
    with atomic_write(path) as stream:
        torch.save([*parts, data.classes, data.class_names], stream)


def _map(path: Path) -> Data | None:
    """Map a cache file into memory; None if it does not exist or cannot be read."""
    try:
        stored = torch.load(path, mmap=True, weights_only=True)
        return Data(Images(*stored[:2]), Images(*stored[2:4]), *stored[4:])
    except Exception:  # unpickling a broken file raises anything
        return None


@functools.cache
def _code_hash() -> str:
    """Hash the code of this package: a changed decoder must not use what the old one made."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
