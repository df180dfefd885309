"""Mirror of the ledger in MLflow.

Results are in the ledger; MLflow holds a copy, which :mod:`switchbench.observe.mlflow_pull` reads back.
Trials never call MLflow, and its failures never end a run: a thread of the driver sends finished rows, and
``switchbench sync`` sends the missing ones.
"""

import itertools
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from switchbench.observe.mlflow_client import one_line
from switchbench.observe.mlflow_experiment import Experiment, LivePoint
from switchbench.observe.observer import Observer
from switchbench.row import Row
from switchbench.store.ledger import Ledger

if TYPE_CHECKING:
    from switchbench.spec.trial import TrialConfig

PATIENCE_SECONDS = 20
"""How long :meth:`Mirror.close` waits without progress."""
LIVE_SECONDS = 5
"""Shortest time between two points of a running trial that are sent."""


def sync(ledger: Ledger, rows: list[Row], uri: str | None = None, home: Ledger | None = None) -> int:
    """Send the rows that MLflow lacks, the plan, and the report if it exists.

    Args:
        ledger: The ledger of the rows.
        rows: Its rows.
        uri: MLflow server or database; None: a sqlite file in the folder of ``home``.
        home: As for :class:`Experiment`.

    Returns:
        The number of rows sent.

    Raises:
        Exception: The last one that MLflow raised. Rows that MLflow accepts are sent before.
    """
    return _send_everything(Experiment(ledger, uri, home), rows)


def _send_everything(
    experiment: Experiment, rows: Iterable[Row | LivePoint], interrupted: Callable[[], bool] = lambda: False
) -> int:
    """Send the plan, rows as they come, and the report unless they were interrupted.

    Returns:
        The number of rows sent.

    Raises:
        Exception: The last one that MLflow raised.
    """
    with suppress(Exception):  # rows need no plan; at the end it is sent again
        experiment.send_plan()
    sent, problem = experiment.send_all(rows)
    if interrupted():
        experiment.end("KILLED")
        return sent
    if problem:
        raise problem
    experiment.finish()
    return sent


class Mirror(Observer, threading.Thread):
    """Observer that sends rows to MLflow while trials run.

    It is a daemon thread: if MLflow does not answer, the run ends without it.
    """

    def __init__(self, ledger: Ledger, uri: str | None, home: Ledger | None = None) -> None:
        super().__init__(name="mlflow-mirror", daemon=True)
        self.problem: str | None = None
        """The last error in one line; None if there was none."""
        self._ledger, self._uri, self._home = ledger, uri, home
        self._inbox: queue.SimpleQueue[Row | LivePoint | None] = queue.SimpleQueue()
        self._interrupted = threading.Event()
        self._last_progress = time.monotonic()
        self._last_live: dict[str, float] = {}
        """When a point of a trial was put into the queue last, by its id."""

    def epoch_finished(self, trial: "TrialConfig", point: Mapping[str, float]) -> None:
        """Put a point of a running trial into the queue, unless one came :data:`LIVE_SECONDS` ago or less."""
        now = time.monotonic()
        if now - self._last_live.get(trial.trial_id, -math.inf) >= LIVE_SECONDS:
            self._last_live[trial.trial_id] = now
            self._inbox.put(LivePoint(trial.planned, dict(point), round(1_000 * time.time())))

    def trial_finished(self, row: Row) -> None:
        """Put the row into the queue of the thread."""
        self._inbox.put(row)

    def close(self) -> None:
        """Send the remaining rows and the report. Stop after :data:`PATIENCE_SECONDS` without progress."""
        self._inbox.put(None)
        self._last_progress = time.monotonic()
        while self.is_alive() and time.monotonic() - self._last_progress < PATIENCE_SECONDS:
            self.join(0.1)
        if self.is_alive():
            self.problem = self.problem or f"no answer within {PATIENCE_SECONDS} seconds"

    def interrupt(self) -> None:
        """End the thread after the row that it sends now, and do not wait: the next run sends the others."""
        self._interrupted.set()
        self._inbox.put(None)

    def run(self) -> None:
        """Send the rows of the ledger, then new rows, then the report."""
        try:
            experiment = Experiment(self._ledger, self._uri, self._home)
            _send_everything(experiment, self._rows(), self._interrupted.is_set)
        except Exception as error:  # errors of the mirror must never end the run
            self.problem = one_line(error)[:200]

    def _rows(self) -> Iterator[Row | LivePoint]:
        """Yield the rows and points to send. When the next one is requested, the last one has been sent."""
        coming: Iterator[Row | LivePoint | None] = iter(self._inbox.get, None)
        for row in itertools.chain(self._ledger.rows(), coming):
            self._last_progress = time.monotonic()
            if self._interrupted.is_set():
                return
            assert row is not None  # it ends the iteration
            yield row
