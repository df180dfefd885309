"""A worker process of this machine: it receives trials from the driver, and answers each with its row."""

import os
import pickle
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from switchbench.cluster.signals import NUMBERS
from switchbench.cluster.worker import Job, NotStored, execute
from switchbench.plugins import transfer
from switchbench.row import Row
from switchbench.spec.trial import TrialConfig
from switchbench.trial.control import Stopped

STOP = "stop"
"""Message: the running trial must write a checkpoint and end."""
Task = tuple[dict[str, str], Job]
"""Message: a trial as :meth:`TrialConfig.as_planned` gives it, and the job that it belongs to."""
Answer = Row | Stopped | NotStored | str
"""What became of a trial; a text says why the worker failed."""
CurvePoint = dict[str, float]
"""A point of the curves of the running trial, which goes on."""
EPOCH_SECONDS = 0.5
"""Shortest time between two points that a worker sends."""


@dataclass(frozen=True)
class Surroundings:
    """What a worker takes over from the driver. Other processes may have started it, with other settings."""

    environment: dict[str, str]
    folder: str
    """The working directory."""
    extensions: list[tuple[str, str, Any]]
    """What plug-ins have registered."""

    @classmethod
    def of_this_process(cls) -> "Surroundings":
        """Describe this process."""
        return cls(dict(os.environ), str(Path.cwd()), transfer.extensions())


def serve(connection: Connection, pickled: bytes) -> None:
    """Run trials until the driver closes the connection or ends.

    Args:
        connection: Brings a :data:`Task` or :data:`STOP`; takes :data:`CurvePoint` and an :data:`Answer` for
            each task.
        pickled: The driver's :class:`Surroundings`, with the code of plug-ins.
    """
    for number in NUMBERS:  # a terminal sends them to all processes, but the driver decides
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)  # else what a plug-in starts could not be ended
    problem = _take_over(pickled)
    tasks: SimpleQueue[Task] = SimpleQueue()
    stopped = threading.Event()
    threading.Thread(target=_listen, args=(connection, tasks, stopped), daemon=True).start()
    while True:
        planned, job = tasks.get()
        connection.send(problem or _answer(planned, job, connection, stopped))


def _take_over(pickled: bytes) -> str | None:
    """Make the surroundings those of the driver. Return why that is impossible, or None."""
    try:
        surroundings: Surroundings = pickle.loads(pickled)
        os.environ.clear()
        os.environ.update(surroundings.environment)
        os.chdir(surroundings.folder)
        transfer.register_shipped(surroundings.extensions)
    except Exception as error:  # as when a plug-in cannot be imported
        return f"its worker process could not be set up: {type(error).__name__}: {error}"
    return None


def _listen(connection: Connection, tasks: "SimpleQueue[Task]", stopped: threading.Event) -> None:
    """Pass the driver's messages on. End this process when the driver ends, however that happens."""
    try:
        while True:
            message = connection.recv()
            stopped.set() if message == STOP else tasks.put(message)
    finally:
        os._exit(0)


def _answer(planned: dict[str, str], job: Job, connection: Connection, stopped: threading.Event) -> Answer:
    sent = time.monotonic()

    def send(point: CurvePoint) -> None:
        nonlocal sent
        if time.monotonic() - sent >= EPOCH_SECONDS:
            sent = time.monotonic()
            with suppress(OSError):  # the driver has ended, and with it this process in a moment
                connection.send(point)

    try:
        return execute(TrialConfig.from_plan(planned), job, send, stopped.is_set)
    except (Stopped, NotStored) as end:
        return end
    except Exception as error:  # as when a plug-in's code does not arrive
        return f"{type(error).__name__}: {error}"
