"""A Ray cluster on this machine, for one run: nobody else reaches it, and it leaves nothing behind."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from filelock import FileLock, Timeout
from ray._private import services

from switchbench.cluster.address import OBJECT_STORE_BYTES
from switchbench.cluster.machine import this_machine
from switchbench.cluster.sockets import folder_for_sockets

LOOPBACK = "127.0.0.1"
PREFIX = "switchbench-ray-"
SOCKET = f"/{PREFIX}xxxxxxxx/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"
"""Where Ray puts its sockets, below the folder of temporary files."""
LOCK = "lock"
NEW_SECONDS = 60
"""A folder that was made just now may not be locked yet."""


@contextmanager
def local_ray() -> Iterator[dict[str, Any]]:
    """Yield options of ``ray.init`` for a cluster that ends with the block.

    It listens on the loopback only. Its folder is deleted at the end; folders of runs that were killed are
    deleted by the next run.
    """
    with _folder() as folder, _on_loopback():
        yield {
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "num_cpus": int(this_machine()["CPU"]),  # Ray counts those that the process may not use as well
            "_temp_dir": str(folder),
            "_node_ip_address": LOOPBACK,
        }


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let a cluster use the loopback address. Ray replaces it by an address that others can reach."""
    with mock.patch.object(services, "resolve_ip_for_localhost", lambda host: host):
        yield


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a new temporary folder, locked while this process lives. Its path is short: sockets are in it.

    Raises:
        InputError: No folder can be written.
    """
    parent = folder_for_sockets(len(SOCKET))
    for other in Path(parent).glob(f"{PREFIX}*"):
        _delete_if_abandoned(other)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    lock = FileLock(folder / LOCK)
    lock.acquire()
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _delete_if_abandoned(folder: Path) -> None:
    """Delete the folder of a run whose process has ended. Leave other users' folders alone."""
    try:
        if time.time() - folder.stat().st_mtime < NEW_SECONDS:
            return
        with FileLock(folder / LOCK, timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
    except (Timeout, OSError):
        return
