"""Distribution of trials over worker processes of this machine, without Ray.

Each worker has a connection of its own. One that dies takes no other with it, and a new one takes its place.
"""

import logging
import math
import os
import signal
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from operator import methodcaller
from types import ModuleType
from typing import Self

import cloudpickle

from switchbench.cluster import template
from switchbench.cluster.local_worker import STOP, Answer, CurvePoint, Surroundings, serve
from switchbench.cluster.lost_workers import LOST_WORKER_RETRIES, WORKER_DIED
from switchbench.cluster.machine import capacity, check_size, this_machine
from switchbench.cluster.signals import STOPPING, StopRequest, handled, stop_at_once
from switchbench.cluster.worker import Job, NotStored, record_lost
from switchbench.observe.observer import Observer, notify
from switchbench.row import Row
from switchbench.spec.comparison import Resources
from switchbench.spec.trial import TrialConfig

POLL_SECONDS = 0.2
"""Time between two looks whether a signal has arrived."""
ORPHANED = 255
"""Exit code of a worker whose template was killed. It may still run."""


class LocalPool:
    """The worker processes of a run. As a context manager it ends them after its block."""

    def __init__(
        self, resources: Resources, modules: Iterable[ModuleType] = (), jobs: int | None = None
    ) -> None:
        """Start no worker yet.

        Args:
            resources: What one trial needs.
            modules: Modules of plug-in files; they are sent to the workers by value.
            jobs: Largest number of trials that run at the same time; None: as many as fit.

        Raises:
            InputError: This machine is too small for a trial.
        """
        machine = this_machine()
        check_size(resources, [machine])
        self._size = min(capacity(resources, machine), jobs or math.inf)
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
        self._idle: list[_Worker] = []
        self._running: dict[_Worker, TrialConfig] = {}

    def __enter__(self) -> Self:
        template.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in (*self._idle, *self._running):
            worker.end()
        self._idle, self._running = [], {}

    def distribute(self, configs: list[TrialConfig], job: Job, observers: list[Observer]) -> None:
        """Run trials until each has a row in the ledger.

        Args:
            configs: The trials, in the order in which they start.
            job: What they share.
            observers: Receive the events of the run.

        Raises:
            KeyboardInterrupt: A signal has stopped the run; the remaining trials have no row.
            NotStored: A row cannot be written, as on a full disk; the remaining trials have no row.
        """
        request, waiting, lost = StopRequest(), deque(configs), Counter[str]()
        stopping = False
        with handled(request.receive):
            while waiting or self._running:
                while waiting and len(self._running) < self._size and request.signal is None:
                    self._start(waiting.popleft(), job)
                    notify(observers, methodcaller("trials_running", len(self._running)))
                for config, answer in self._answers():
                    if isinstance(answer, dict):
                        notify(observers, methodcaller("epoch_finished", config, answer))
                        continue
                    if isinstance(answer, NotStored):
                        raise answer
                    if isinstance(answer, str):
                        lost[config.trial_id] += 1
                        if lost[config.trial_id] <= LOST_WORKER_RETRIES:
                            waiting.appendleft(config)
                            continue
                        answer = record_lost(config, job, answer)
                    if isinstance(answer, Row):
                        notify(observers, methodcaller("trial_finished", answer))
                if request.signal is None:
                    continue
                if not stopping:
                    stopping = True
                    logging.getLogger(__name__).warning(STOPPING)
                    for worker in self._running:
                        worker.send(STOP)
                waiting.clear()
                if request.overdue:
                    break
        if request.signal is not None:
            stop_at_once(request.signal)

    def _start(self, config: TrialConfig, job: Job) -> None:
        """Start a trial in an idle worker, or in a new one."""
        worker = self._idle.pop() if self._idle else _Worker()
        self._running[worker] = config
        worker.send((config.as_planned(), job))

    def _answers(self) -> Iterator[tuple[TrialConfig, Answer | CurvePoint]]:
        """Wait for a moment. Yield each trial that has ended, and what became of it, and points of others."""
        ready = wait([handle for worker in self._running for handle in worker.handles], POLL_SECONDS)
        for worker in [worker for worker in self._running if any(each in ready for each in worker.handles)]:
            answer = worker.answer()
            if answer is None:
                continue
            if isinstance(answer, dict):
                yield self._running[worker], answer
                continue
            config = self._running.pop(worker)
            if isinstance(answer, str):
                worker.end()
            else:
                self._idle.append(worker)
            yield config, answer


class _Worker:
    """A worker process and the driver's end of the connection to it."""

    def __init__(self) -> None:
        self._connection, other_end = template.CONTEXT.Pipe()
        surroundings = cloudpickle.dumps(Surroundings.of_this_process())
        self._process = template.fork(serve, other_end, surroundings)
        other_end.close()
        self.handles: list[Connection | int] = [self._connection, self._process.sentinel]
        """For :func:`wait`: ready when there is an answer, or the process has ended."""

    def send(self, message: object) -> None:
        """Send a message. If the process has ended, do nothing: :meth:`answer` says so."""
        with suppress(OSError):
            self._connection.send(message)

    def answer(self) -> Answer | CurvePoint | None:
        """Return what has come, or why no answer will come; None if one may still come."""
        with suppress(EOFError, OSError):
            if self._connection.poll():
                answer: Answer | CurvePoint = self._connection.recv()
                return answer
            if self._process.exitcode == ORPHANED and self._process.pid and _exists(self._process.pid):
                self.handles = [self._connection]
                return None
        self._process.join()  # it has died
        code = self._process.exitcode or 0
        return WORKER_DIED if code >= 0 else f"{WORKER_DIED} ({signal.Signals(-code).name})"

    def end(self) -> None:
        """End the process, whatever it does."""
        self._connection.close()
        if self._process.pid and self._process.exitcode in (None, ORPHANED):
            with suppress(OSError):
                os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()


def _exists(process: int) -> bool:
    """Tell whether a process of this user exists."""
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True
