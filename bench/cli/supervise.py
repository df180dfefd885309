"""A parent process of the driver, which reports when the driver dies without a message of its own.

Ray ends a driver from C++ when the cluster's head or the node's own service dies, and a machine that is short
of memory kills it. The parent is forked before anything large is imported.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from switchbench.cluster.signals import NUMBERS
from switchbench.errors import ExitCode

SET_DEATH_SIGNAL = 1
"""Number of Linux's prctl option PR_SET_PDEATHSIG."""


class Supervisor:
    """Forks the driver, and becomes its parent."""

    def __init__(self) -> None:
        self._pipe: int | None = None

    def fork(self, describe: Callable[[], str]) -> None:
        """Return in the child, which is the driver. The parent waits for it and exits with its code.

        Args:
            describe: Returns what is done and how to continue. The parent calls it if the driver was lost.
        """
        reading, writing = os.pipe()
        parent, child = os.getpid(), os.fork()
        if not child:
            os.close(reading)
            os.setpgid(0, 0)  # Ctrl-C comes from the parent alone, and once
            _die_with(parent)
            signal.signal(
                signal.SIGINT, signal.SIG_DFL
            )  # until the command handles it: no traceback of imports
            self._pipe = writing
            return
        os.close(writing)
        for number in NUMBERS:
            signal.signal(number, lambda number, _: _send(child, number))
        in_order = os.read(reading, 1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if -code in NUMBERS:  # before the driver could handle it: nothing had begun; or after the end
            leave(ExitCode.INTERRUPTED if -code == signal.SIGINT else ExitCode.PREEMPTED)
        if in_order:
            leave(code if code >= 0 else ExitCode.PREEMPTED)
        killed = f"the driver was killed ({signal.Signals(-code).name})" if code < 0 else None
        try:
            progress = describe()
        except Exception:  # the data or the folder may be gone as well
            progress = "run the same command again to continue"
        print(f"switchbench: {killed or 'the Ray cluster was lost'}; {progress}", file=sys.stderr)
        leave(ExitCode.CLUSTER_LOST)

    def report_end(self) -> None:
        """Tell the parent that the driver ends in order."""
        if self._pipe is not None:
            os.write(self._pipe, b"e")


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent is killed, where it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # the parent was killed before


def _send(child: int, number: Any) -> None:
    os.kill(child, number)


def leave(code: int) -> NoReturn:
    """End the process at once, without exit handlers.

    The parent has nothing to close, and the driver's handlers are not its own. The driver leaves so while a
    thread still works: one in native code would abort it (SIGABRT) else.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
