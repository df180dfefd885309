"""Signals that end a run early.

Ctrl-C (SIGINT), the signals of a batch system before it takes the machine away (SIGTERM, SIGUSR1), and the
end of the terminal (SIGHUP) let running trials write checkpoints and end. A second signal stops at once.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from switchbench.errors import Preempted

GRACE_SECONDS = 20.0
"""Time for running trials to write their checkpoints. Batch systems often kill after 30 seconds."""
AGAIN_SECONDS = 0.05
"""How long after a signal whose exception was dropped it is sent again."""
REPEAT_SECONDS = 1.0
"""A signal that is repeated sooner counts once: a terminal and a parent process may both send it."""
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""The signals that end a run."""
STOPPING = "stopping: running trials write checkpoints; another signal (Ctrl-C) stops at once"
"""Warning after the first signal."""


class StopRequest:
    """Whether a signal has asked for the end of a run, and since when."""

    def __init__(self) -> None:
        self.signal: int | None = None
        """Number of the signal; None until one arrives."""
        self._since = 0.0

    def receive(self, number: int, _: Any) -> None:
        """Handle a signal. Raises KeyboardInterrupt or Preempted if it is the second."""
        if self.signal is not None:
            stop_at_once(number)
        self.signal, self._since = number, time.monotonic()

    @property
    def overdue(self) -> bool:
        """Whether the time for checkpoints is over."""
        return self.signal is not None and time.monotonic() - self._since > GRACE_SECONDS


def stop_at_once(number: int, _: Any = None) -> NoReturn:
    """Handle a signal. Raises KeyboardInterrupt, or Preempted for a signal of a batch system."""
    raise KeyboardInterrupt if number == signal.SIGINT else Preempted


@contextmanager
def blocked() -> Iterator[None]:
    """Block SIGINT, SIGTERM, SIGUSR1 and SIGHUP in this thread during the block.

    A process that starts in the block never receives them. A batch system may send them to every process.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Handler:
    """Handles the signals of a block, and remembers them."""

    def __init__(self, handle: Callable[[int, Any], None], around: Any) -> None:
        self._handle = handle
        self.received: list[int] = []
        # A block within a block hears the same repetitions.
        self._accepted: list[float] = around._accepted if isinstance(around, _Handler) else []

    def __call__(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if self._accepted and now - self._accepted[-1] <= REPEAT_SECONDS:
            return  # what the first one has raised may be on its way
        self._accepted.append(now)
        self.received.append(number)
        self._handle(number, frame)

    def send_again(self, number: int) -> None:
        """Send this process the signal in a moment, for it was not heard."""
        self._accepted.clear()
        again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()


@contextmanager
def handled(handle: Callable[[int, Any], None]) -> Iterator[None]:
    """Handle SIGINT, SIGTERM, SIGUSR1 and SIGHUP during the block. A repetition within a second is ignored.

    Python drops what a handler raises within a destructor or a callback of a weak reference, such as those of
    an import. Then the signal is sent again. Other code may drop it without a word, as some of torch's does:
    so the block ends with what :func:`stop_at_once` has raised in it, at the latest when it is over.

    Args:
        handle: Called with the number of the signal. Only in the main thread can signals be handled: in
            another one nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in NUMBERS}
    handler = _Handler(handle, before[signal.SIGTERM])
    hook = sys.unraisablehook

    def send_again(dropped: Any) -> None:
        if not isinstance(dropped.exc_value, KeyboardInterrupt):
            hook(dropped)
            return
        handler.send_again(signal.SIGTERM if isinstance(dropped.exc_value, Preempted) else signal.SIGINT)

    try:
        sys.unraisablehook = send_again
        for number in NUMBERS:
            signal.signal(number, handler)
        yield
    finally:
        sys.unraisablehook = hook
        for number, previous in before.items():
            signal.signal(number, previous)
    if handler.received and handle is stop_at_once:
        stop_at_once(handler.received[0])
