"""Locks in a folder of results, which end with their process: of a local folder, and of an object store."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from filelock import FileLock, Timeout

from switchbench.errors import InputError
from switchbench.store.objects import ObjectPath, StorePath

TRY_SECONDS = 1.0
"""How long a lock is tried: :func:`is_locked` holds it for a moment."""
BEAT_SECONDS = 5.0
"""A driver writes its lease in an object store again after this time."""
BEATS_UNTIL_FREE = 4
"""A lease that did not change for so many beats belongs to a process that has ended."""


@contextmanager
def locked(path: StorePath, wait: bool) -> Iterator[None]:
    """Hold a lock during the block.

    Args:
        path: File of the lock, in an existing folder.
        wait: Whether to wait until it is free; if not, a lock that is held is an error.

    Raises:
        InputError: Another process holds it, or the folder cannot be written.
    """
    if isinstance(path, ObjectPath):
        with _lease(path, wait):
            yield
        return
    lock = FileLock(path, timeout=-1 if wait else TRY_SECONDS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise InputError(f"{path.parent}: another run is going on there") from error
    except OSError as error:
        raise InputError(f"output folder {path.parent}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def is_locked(path: StorePath) -> bool:
    """Return whether a process holds a lock. For a lease this takes a few seconds."""
    if isinstance(path, ObjectPath):
        return path.exists() and not _is_abandoned(path)
    if not path.exists():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except (Timeout, OSError):
        return True
    lock.release()
    return False


@contextmanager
def _lease(path: ObjectPath, wait: bool) -> Iterator[None]:
    """Hold a lease: an object that its owner writes again and again.

    Object stores have no locks, and clocks of machines differ: a lease is free if it does not exist, or if it
    is watched and does not change. Two drivers that start within the same second both write it, and the one
    whose text remains has it.
    """
    owner = {"host": socket.gethostname(), "process": os.getpid(), "driver": uuid4().hex}
    try:
        while path.exists() and not _is_abandoned(path):
            if not wait:
                raise InputError(f"{path.parent}: another run is going on there")
        beat = _write(path, owner, 0)
        time.sleep(1)
        if path.read_bytes() != beat:
            raise InputError(f"{path.parent}: another run is going on there")
    except OSError as error:
        raise InputError(f"output folder {path.parent}: {error.strerror or error}") from error
    released = threading.Event()

    def renew() -> None:
        count = 0
        while not released.wait(BEAT_SECONDS):
            count += 1
            try:
                _write(path, owner, count)
            except OSError:
                continue  # the store does not answer; rows that cannot be written stop the run

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        released.set()
        thread.join(BEAT_SECONDS)
        with suppress(OSError):  # it counts as abandoned soon
            path.unlink(missing_ok=True)


def _write(path: ObjectPath, owner: dict[str, object], count: int) -> bytes:
    content = json.dumps({**owner, "beat": count}).encode()
    path.write_bytes(content)
    return content


def _is_abandoned(path: ObjectPath) -> bool:
    """Watch a lease. Return whether its owner has ended. Raises OSError."""
    before = _read(path)
    end = time.monotonic() + BEATS_UNTIL_FREE * BEAT_SECONDS
    while time.monotonic() < end:
        time.sleep(BEAT_SECONDS / 5)
        if _read(path) != before:
            return _read(path) is None
    return True


def _read(path: ObjectPath) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
