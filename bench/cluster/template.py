"""The template process of this machine's workers: it imports torch once, and every worker is a fork of it.

So a worker starts in milliseconds, and the workers share the memory of what was imported. This module imports
nothing large: the template is started first, and imports torch while the driver reads its spec.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, TypeVar

from switchbench.cluster.signals import blocked
from switchbench.cluster.sockets import folder_for_sockets

T = TypeVar("T")
CONTEXT: ForkServerContext | SpawnContext
# On macOS forks are not safe: its frameworks have threads. There every worker imports torch.
CONTEXT = ForkServerContext() if sys.platform == "linux" else SpawnContext()
PRELOADED = ["switchbench.cluster.local_worker"]
"""What the template imports. A module that cannot be imported is imported by the workers."""
SOCKET = "/pymp-xxxxxxxx/listener-xxxxxxxx"
"""Where Python puts the template's socket, below the folder of temporary files."""


def start() -> None:
    """Start the template unless it runs, and return at once. Raises InputError: no folder for its socket."""
    if sys.platform != "linux":
        return
    CONTEXT.set_forkserver_preload(PRELOADED)
    with blocked():
        resource_tracker.ensure_running()  # at its start it unblocks some signals
    with (
        blocked(),
        _replaced(vars(tempfile), "tempdir", folder_for_sockets(len(SOCKET))),
        _replaced(os.environ, "OMP_NUM_THREADS", "1"),  # a fork would lose threads of BLAS
    ):
        forkserver.ensure_running()


def fork(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Run a function in a new worker process, as soon as the template is ready.

    Args:
        function: An importable function.
        arguments: Values for it that can be pickled, connections included.

    Returns:
        The process. Signals that end a run are blocked in it.

    Raises:
        InputError: As in :func:`start`.
    """
    start()
    try:
        return _forked(function, arguments)
    except (EOFError, ConnectionError):  # the template has just been killed
        start()
        return _forked(function, arguments)


def _forked(function: Callable[..., None], arguments: tuple[Any, ...]) -> BaseProcess:
    process = CONTEXT.Process(target=function, args=arguments)
    # Python would run the user's script again in each worker, to unpickle what is defined there. Nothing is.
    with _replaced(sys.modules, "__main__", ModuleType("__main__")):
        process.start()
    return process


@contextmanager
def _replaced(mapping: MutableMapping[str, T], key: str, value: T) -> Iterator[None]:
    """Replace one value during the block. Other threads may change the others meanwhile."""
    before = mapping.get(key)
    mapping[key] = value
    try:
        yield
    finally:
        if before is None:
            del mapping[key]
        else:
            mapping[key] = before
