"""Distribution of trials over processes, GPUs and nodes with Ray Tune.

Actors are reused: a worker imports torch once and runs many trials. Results are in the ledger. Tune's own
state is deleted: a run starts with the trials that the ledger lacks.
"""

import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import ray
from ray import cloudpickle, tune

from switchbench.cluster.lost_workers import LOST_WORKER_RETRIES
from switchbench.cluster.machine import capacity
from switchbench.cluster.points import PointSource
from switchbench.cluster.signals import StopRequest, handled, stop_at_once
from switchbench.cluster.tune_actor import TrialActor
from switchbench.cluster.tune_callback import ObserverCallback, StopOnProblem
from switchbench.cluster.tune_searcher import LOST_NODE_RETRIES, PointSearcher
from switchbench.cluster.worker import Job
from switchbench.errors import ExitCode, RunStopped
from switchbench.observe.observer import Observer
from switchbench.plugins import transfer
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.store.objects import StorePath
from switchbench.store.unwritable import is_full

ROOM_BYTES = 100_000
"""A disk with less room is full."""


def distribute(
    configs: list[TrialConfig],
    job: Job,
    observers: list[Observer],
    modules: Iterable[ModuleType] = (),
) -> None:
    """Run trials on the connected cluster until each has a row of this run in the ledger, or needs none.

    A trial whose node is lost runs again, at most :data:`LOST_NODE_RETRIES` times. Then the next run has it.

    Args:
        configs: The trials.
        job: What they share.
        observers: Receive the events of the run.
        modules: Modules of plug-in files; they are sent to the workers by value.

    Raises:
        KeyboardInterrupt: A signal has stopped the run; the remaining trials have no row.
        RunStopped: A row cannot be written, as on a full disk; the remaining trials have no row.
    """
    for _ in range(1 + LOST_NODE_RETRIES):
        if not configs:
            return
        space = {"trials": tune.grid_search([[config.as_planned()] for config in configs])}
        _run_tune(job, observers, modules, space, tune.TuneConfig())
        configs = _lost(configs, job)


def _lost(configs: list[TrialConfig], job: Job) -> list[TrialConfig]:
    """Return the trials that this run has not ended: their nodes were lost. Some may have failed before."""
    ledger = Ledger(job.folder)
    statuses = ledger.statuses([config.trial_id for config in configs])
    settled = {trial_id for trial_id, status in statuses.items() if status.settled(job.test)}
    left = [config for config in configs if config.trial_id not in settled]
    return [config for config in left if not (row := ledger.row(config.trial_id)) or row.run != job.run]


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
    searcher = PointSearcher(source, job)
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
    searcher: PointSearcher | None = None,
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
            callback = ObserverCallback(job, observers, request, searcher)
            tuner = tune.Tuner(
                trainable,
                param_space=space,
                tune_config=tune_config,
                run_config=tune.RunConfig(
                    name="tune",
                    storage_path=str(scratch),
                    callbacks=[callback],
                    stop=StopOnProblem(callback),
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


def _dirname(trial: Any) -> str:
    """Return the name of a trial's folder. Tune's default contains the whole config, which is too long."""
    return str(trial.trial_id)
