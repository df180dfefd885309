"""Locks in a folder of results, which end with their process: of a local folder, and of an object store."""

import errno
import fcntl
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from switchbench.errors import InputError
from switchbench.store.objects import ObjectPath, StorePath
from switchbench.store.unwritable import unwritable

TRY_SECONDS = 1.0
"""How long a lock is tried: :func:`is_locked` holds it for a moment."""
BEAT_SECONDS = 5.0
"""A driver writes its lease in an object store again after this time."""
SETTLE_SECONDS = 1.0
"""How long a driver waits to see whether another one has taken the lease at the same moment."""
READ_ATTEMPTS = 3
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
        raise unwritable(path.parent, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def shared(path: StorePath) -> Iterator[None]:
    """Share a lock with other processes during the block. Wait while one holds it alone.

    An object store has no such lock: there nothing is held.

    Args:
        path: File of the lock.

    Raises:
        InputError: The folder cannot be written.
    """
    if isinstance(path, ObjectPath):
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child process may have the descriptor as well
        os.close(descriptor)


def is_locked(path: StorePath) -> bool:
    """Return whether a process holds a lock alone. To tell that a lease is abandoned takes 20 seconds."""
    if isinstance(path, ObjectPath):
        return path.exists() and not _is_abandoned(path)
    return _is_refused(path, fcntl.LOCK_SH)


def is_shared(path: StorePath) -> bool:
    """Return whether processes share a lock. In an object store none do."""
    return isinstance(path, Path) and not is_locked(path) and _is_refused(path, fcntl.LOCK_EX)


def _is_refused(path: Path, kind: int) -> bool:
    """Return whether the locks of other processes leave no room for one of a kind."""
    try:
        descriptor = os.open(path, os.O_RDONLY)  # also in a folder of somebody else
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno != errno.EBADF  # NFS gives LOCK_EX only to who may write
    finally:
        os.close(descriptor)
    return False


@contextmanager
def _lease(path: ObjectPath, wait: bool) -> Iterator[None]:
    """Hold a lease: an object that its owner writes again and again.

    Object stores have no locks, and clocks of machines differ: a lease is free if it does not exist, or if it
    is watched and does not change. Of drivers that start within the same second, the one whose text remains
    has it.
    """
    driver = uuid4().hex
    try:
        while not _acquired(path, driver):
            if not wait:
                raise InputError(f"{path.parent}: another run is going on there")
            time.sleep(BEAT_SECONDS)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    released = threading.Event()
    thread = threading.Thread(target=_renew, args=(path, driver, released), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        released.set()
        thread.join(BEAT_SECONDS)
        with suppress(OSError):  # it counts as abandoned soon
            if _owner(path) == driver:
                path.unlink(missing_ok=True)


def _acquired(path: ObjectPath, driver: str) -> bool:
    """Try to take a lease. Return whether it is this driver's. Raises OSError."""
    if path.exists() and not _is_abandoned(path):
        return False
    _write(path, driver, 0)
    time.sleep(SETTLE_SECONDS)
    return _owner(path) == driver


def _renew(path: ObjectPath, driver: str, released: threading.Event) -> None:
    """Write a lease again and again. If another driver has taken it, end this run as a signal would."""
    count = 0
    while not released.wait(BEAT_SECONDS):
        count += 1
        with suppress(OSError):  # the store does not answer; rows that cannot be written stop the run
            if _owner(path) not in (driver, None):
                logging.getLogger(__name__).warning("%s: another run has taken over", path.parent)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            _write(path, driver, count)


def _write(path: ObjectPath, driver: str, count: int) -> None:
    owner = {"driver": driver, "host": socket.gethostname(), "process": os.getpid(), "beat": count}
    path.write_bytes(json.dumps(owner).encode())


def _owner(path: ObjectPath) -> str | None:
    """Return the driver that a lease names; None if there is no lease, or another content."""
    try:
        driver = json.loads(_read(path) or b"{}").get("driver")
    except (ValueError, AttributeError):
        return None
    return driver if isinstance(driver, str) else None


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
    for attempt in range(READ_ATTEMPTS):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:  # it may be written at this moment
            if attempt + 1 == READ_ATTEMPTS:
                raise
            time.sleep(BEAT_SECONDS / 10)
    return None
