"""Distribution of trials over processes, GPUs and nodes with Ray Tune.

Actors are reused: a worker imports torch once and runs many trials. Results are in the ledger. Tune's own
state is deleted: a run starts with the trials that the ledger lacks.
"""

import logging
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from operator import methodcaller
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import ray
from ray import cloudpickle, tune
from ray.tune.search import Searcher

from switchbench.cluster.lost_workers import (
    LOST_WORKER_RETRIES,
    failure_reason,
    is_clusters_fault,
    record_lost_point,
    rows_of_lost_point,
)
from switchbench.cluster.machine import capacity, in_words, needed
from switchbench.cluster.points import Point, PointSource, Pruner
from switchbench.cluster.signals import STOPPING, StopRequest, handled, stop_at_once
from switchbench.cluster.stopping import StopWatch, tell_workers
from switchbench.cluster.worker import Job, NotStored, execute_point
from switchbench.errors import ExitCode, RunStopped
from switchbench.measure.usage import device_is_sound
from switchbench.observe.observer import Observer, notify
from switchbench.plugins import transfer
from switchbench.row import Row
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.store.objects import StorePath
from switchbench.store.unwritable import is_full
from switchbench.trial.control import Stopped

ROOM_BYTES = 100_000
"""A disk with less room is full."""
IDLE_SECONDS = 20.0
"""How long no trial runs before observers are told why."""
LOST_NODE_RETRIES = 3
"""How often a point of a search is started again after its node was lost."""


def distribute(
    configs: list[TrialConfig],
    job: Job,
    observers: list[Observer],
    modules: Iterable[ModuleType] = (),
) -> None:
    """Run trials on the connected cluster until each has a row in the ledger.

    Args:
        configs: The trials.
        job: What they share.
        observers: Receive the events of the run.
        modules: Modules of plug-in files; they are sent to the workers by value.

    Raises:
        KeyboardInterrupt: A signal has stopped the run; the remaining trials have no row.
        RunStopped: A row cannot be written, as on a full disk; the remaining trials have no row.
    """
    if configs:
        space = {"trials": tune.grid_search([[config.as_planned()] for config in configs])}
        _run_tune(job, observers, modules, space, tune.TuneConfig())


def distribute_points(
    source: PointSource,
    job: Job,
    observers: list[Observer],
    modules: Iterable[ModuleType] = (),
    parallel: int | None = None,
) -> None:
    """Run the points of a search on the connected cluster until the source has no more.

    Args:
        source: Chooses the points and receives their results.
        job: What their trials share.
        observers: Receive the events of the run.
        modules: Modules of plug-in files; they are sent to the workers by value.
        parallel: Number of points that run at the same time; None: as many as fit on the cluster.

    Raises:
        Exception: The source raised it; points that were running are finished first.
        KeyboardInterrupt: A signal has stopped the run; the source receives nothing of the running points.
    """
    searcher = _PointSearcher(source, job)
    limit = parallel or capacity(job.resources, ray.cluster_resources())
    while True:
        config = tune.TuneConfig(search_alg=searcher, num_samples=-1, max_concurrent_trials=limit)
        _run_tune(job, observers, modules, {}, config, searcher)
        if searcher.problem:
            raise searcher.problem
        if not searcher.again:
            return


def _run_tune(
    job: Job,
    observers: list[Observer],
    modules: Iterable[ModuleType],
    space: dict[str, Any],
    tune_config: tune.TuneConfig,
    searcher: "_PointSearcher | None" = None,
) -> None:
    tune_config.reuse_actors, tune_config.trial_dirname_creator = True, _dirname
    with Ledger(job.folder).scratch() as scratch:
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
        resources = job.resources
        trainable = tune.with_resources(
            tune.with_parameters(TrialActor, job=job, extensions=transfer.extensions()),
            {"cpu": resources.cpus, "gpu": resources.gpus, "memory": resources.memory or 0},
        )
        request = StopRequest()
        with handled(request.receive), _plain_tune():
            callback = _ObserverCallback(job, observers, request, searcher)
            tuner = tune.Tuner(
                trainable,
                param_space=space,
                tune_config=tune_config,
                run_config=tune.RunConfig(
                    name="tune",
                    storage_path=str(scratch),
                    callbacks=[callback],
                    stop=_StopOnProblem(callback),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    failure_config=tune.FailureConfig(max_failures=LOST_WORKER_RETRIES),
                    verbose=0,
                ),
            )
            try:
                tuner.fit()
            except Exception as error:  # Tune's own files are in the same folder
                if not callback.problem and not _lacks_room(error) and not _is_full(job.folder):
                    raise
                callback.problem = callback.problem or f"cannot write to {job.folder}: {error}"
            if callback.problem:
                raise RunStopped(callback.problem, ExitCode.NOT_WRITABLE)
            if request.signal is not None:
                stop_at_once(request.signal)


@contextmanager
def _plain_tune() -> Iterator[None]:
    """Keep Tune from what it does beside its work.

    It replaces handlers of signals, and ends a run as if it were complete. To count kinds of callbacks it
    imports its integrations with trackers.
    """
    module = import_module("ray.tune.tune")
    with (
        mock.patch.object(module, "_setup_signal_catching", threading.Event),
        mock.patch.object(module.air_usage, "tag_callbacks"),
    ):
        yield


class _PointSearcher(Searcher):
    """Adapter that makes a source of points a Tune searcher.

    An exception of a searcher would end Tune's run at once, and the running points would be lost. So the
    exception is stored, and no more points are requested.
    """

    def __init__(self, source: PointSource, job: Job) -> None:
        super().__init__()
        self.problem: Exception | None = None
        self.closed = False
        """Whether no more points are requested."""
        self._source, self._job = source, job
        self.again: list[Point] = []
        """Points whose node was lost: they run again before new ones."""
        self._returns: Counter[tuple[str, int]] = Counter()
        """How often the node of a point was lost, by study and number."""
        self._points: dict[str, Point] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles searchers with its state, which is never restored

    def __deepcopy__(self, memo: Any) -> "_PointSearcher":
        return self  # Tune copies searchers, but the source must not be copied

    def suggest(self, trial_id: str) -> Any:
        try:
            if self.problem or self.closed:
                point = None
            else:
                point = self.again.pop() if self.again else self._source.ask()
        except Exception as error:
            self.problem, point = error, None
        if point is None:
            return Searcher.FINISHED
        self._points[trial_id] = point
        return {"trials": [config.as_planned() for config in point.trials], "pruner": point.pruner}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if error:
            return  # the callback learns the reason next, and calls tell_lost
        point = self._points.pop(trial_id)
        if rows := _rows(result):  # else nothing was stored, and the next driver runs the point again
            self._tell(point, rows)

    def put_back(self, trial_id: str) -> None:
        """Run a point again whose node was lost; after some times, leave it to the next run."""
        point = self._points.pop(trial_id)
        key = point.study, point.number
        self._returns[key] += 1
        if self._returns[key] <= LOST_NODE_RETRIES:
            self.again.append(point)

    def tell_lost(self, trial_id: str, lost: Row) -> None:
        """Tell the source of a point whose worker died, with the row that says why."""
        point = self._points.pop(trial_id)
        self._tell(point, rows_of_lost_point(point.trials, self._job, lost))

    def _tell(self, point: Point, rows: list[Row]) -> None:
        try:
            self._source.tell(point, rows)
        except Exception as problem:
            self.problem = problem

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the study holds the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing."""


class TrialActor(tune.Trainable):
    """Worker process. Each step runs one trial of a comparison or one point of a search."""

    def setup(self, config: dict[str, Any], **shared: Any) -> None:
        transfer.register_shipped(shared["extensions"])
        self.job: Job = shared["job"]
        self.stop_watch = StopWatch(self.job.run)
        self.stop_watch.start()

    def step(self) -> dict[str, Any]:
        if not device_is_sound():  # after an error on the GPU all further work in this process fails
            os._exit(1)  # Ray starts another worker for the trial
        trials = [TrialConfig.from_plan(planned) for planned in self.config["trials"]]
        pruner: Pruner | None = self.config.get("pruner")
        try:
            watchers = pruner.watchers() if pruner else _no_watch
            rows = execute_point(trials, self.job, watchers, self.stop_watch.stop)
        except Stopped:
            return {"done": True, "rows": []}
        except NotStored as error:  # raised, it would be repeated
            return {"done": True, "stop": str(error)}
        return {"done": True, "rows": [asdict(row) for row in rows]}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True


class _ObserverCallback(tune.Callback):
    """Tune callback that notifies observers, and stores a row for trials whose worker died too often."""

    def __init__(
        self,
        job: Job,
        observers: list[Observer],
        request: StopRequest,
        searcher: _PointSearcher | None = None,
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
            free = in_words(ray.available_resources())
            reason = f"waiting for resources: a trial needs {needed(self._job.resources)}, free are {free}"
            notify(self._observers, methodcaller("waiting", reason))

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.add(trial.trial_id)
        self._said_waiting = False
        notify(self._observers, methodcaller("trials_running", len(self._running)))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.discard(trial.trial_id)
        self.problem = self.problem or (trial.last_result or {}).get("stop")
        for row in _rows(trial.last_result):
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


class _StopOnProblem(tune.Stopper):
    """Tune stopper that ends all trials when the run cannot go on."""

    def __init__(self, callback: _ObserverCallback) -> None:
        self._callback = callback

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as for the callback

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._callback.problem is not None


def _lacks_room(error: BaseException | None) -> bool:
    """Return whether an exception, or one that it comes from, is that of a full disk or a spent quota."""
    while error:
        if is_full(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_full(folder: StorePath) -> bool:
    """Return whether nothing more can be written to a folder."""
    return isinstance(folder, Path) and shutil.disk_usage(folder).free < ROOM_BYTES


def _rows(result: dict[str, Any] | None) -> list[Row]:
    """Return the rows in the result of a worker's step."""
    return [Row.stored(plain) for plain in (result or {}).get("rows", [])]


def _no_watch(index: int) -> None:
    """Return no watch for the trial of a seed index."""


def _dirname(trial: Any) -> str:
    """Return the name of a trial's folder. Tune's default contains the whole config, which is too long."""
    return str(trial.trial_id)
