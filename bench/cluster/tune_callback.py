"""What the driver does while Ray Tune runs: it tells observers, records lost trials, and stops the run."""

import logging
import time
from operator import methodcaller
from typing import Any

import ray
from ray import tune

from switchbench.cluster.lost_workers import (
    failure_reason,
    is_clusters_fault,
    record_lost_point,
)
from switchbench.cluster.machine import fits, in_words, needed
from switchbench.cluster.signals import STOPPING, StopRequest, stop_at_once
from switchbench.cluster.stopping import tell_workers
from switchbench.cluster.tune_actor import rows_of
from switchbench.cluster.tune_searcher import PointSearcher
from switchbench.cluster.worker import Job, NotStored
from switchbench.observe.observer import Observer, notify
from switchbench.spec.trial import TrialConfig

IDLE_SECONDS = 20.0
"""How long no trial runs before observers are told why."""


class ObserverCallback(tune.Callback):
    """Tune callback that notifies observers, and stores a row for trials whose worker died too often."""

    def __init__(
        self,
        job: Job,
        observers: list[Observer],
        request: StopRequest,
        searcher: PointSearcher | None = None,
    ) -> None:
        self._job = job
        self._searcher = searcher
        self._observers = observers
        self._request = request
        self._running: set[str] = set()
        self._stopping: set[str] | None = None
        """Trials that were running when a signal arrived; None before."""
        self.problem: str | None = None
        """Why the run must stop."""
        self._idle_since: float | None = None
        """Since when no trial runs although some are left."""
        self._said_waiting = False

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles callbacks with its state, which is never restored

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._request.signal is None:
            self._say_waiting(trials)
            return
        if self._stopping is None:
            self._stopping = set(self._running)
            if self._searcher:
                self._searcher.closed = True
            logging.getLogger(__name__).warning(STOPPING)
            tell_workers(self._job.run)
        if self._request.overdue or not self._stopping & self._running:
            stop_at_once(self._request.signal)

    def _say_waiting(self, trials: list[Any]) -> None:
        """Tell observers once why no trial runs, if that has been so for some time."""
        if self._running or not trials:
            self._idle_since = None
            return
        now = time.monotonic()
        self._idle_since = self._idle_since or now
        if now - self._idle_since > IDLE_SECONDS and not self._said_waiting:
            self._said_waiting = True
            free = ray.available_resources()
            starts = " or a worker to start" if fits(self._job.resources, free) else ""
            need = needed(self._job.resources)
            reason = f"waiting for resources{starts}: a trial needs {need}, free are {in_words(free)} in all"
            notify(self._observers, methodcaller("waiting", reason))

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.add(trial.trial_id)
        self._said_waiting = False
        notify(self._observers, methodcaller("trials_running", len(self._running)))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.discard(trial.trial_id)
        self.problem = self.problem or (trial.last_result or {}).get("stop")
        for row in rows_of(trial.last_result):
            notify(self._observers, methodcaller("trial_finished", row))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.discard(trial.trial_id)
        try:
            if is_clusters_fault(trial):
                problem = (
                    "%s: lost with its node or connection; without a result, the same command runs it again"
                )
                logging.getLogger(__name__).warning(problem, trial.config["trials"][0]["trial_id"])
                if self._searcher:
                    self._searcher.put_back(trial.trial_id)
                return
            trials = [TrialConfig.from_plan(planned) for planned in trial.config["trials"]]
            row = record_lost_point(trials, self._job, failure_reason(trial))
            if self._searcher:
                self._searcher.tell_lost(trial.trial_id, row)
            notify(self._observers, methodcaller("trial_finished", row))
        except NotStored as error:
            self.problem = self.problem or str(error)
        except Exception:
            logging.getLogger(__name__).exception("could not record a lost trial")


class StopOnProblem(tune.Stopper):
    """Tune stopper that ends all trials when the run cannot go on."""

    def __init__(self, callback: ObserverCallback) -> None:
        self._callback = callback

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as for the callback

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._callback.problem is not None
