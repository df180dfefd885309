"""Trials over processes, GPUs and nodes with Ray Tune. The only code that imports ray.

Actors are reused: a worker imports torch once and runs many trials. The ledger is the truth;
Tune's own state is thrown away, and a run starts from what the ledger lacks.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from operator import methodcaller
from pathlib import Path
from types import ModuleType
from typing import Any

from switchbench.cluster.points import Point, PointSource, Pruner
from switchbench.observe.observer import Observer
from switchbench.row import Row, Status

# Read by ray when it is imported. Ctrl-C must reach us, and workers must not change folder.
os.environ.update(
    RAY_AIR_NEW_OUTPUT="0",
    RAY_CHDIR_TO_TRIAL_DIR="0",
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
    TUNE_DISABLE_SIGINT_HANDLER="1",
    TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S="0",
)
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import gc
import logging
import signal
import socket
import threading

import ray
from ray import cloudpickle, tune
from ray.tune.search import Searcher

from switchbench.cluster.worker import Job, execute_point, record_lost
from switchbench.errors import InputError
from switchbench.plugins import ship
from switchbench.spec.comparison import Resources
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger

LOST_WORKER_RETRIES = 2
LOST = "the worker process died"
CONNECT_SECONDS = 10
OBJECT_STORE_BYTES = 200_000_000
"""Enough for configs and rows; trials do not exchange data through Ray."""


@contextmanager
def cluster(address: str | None, resources: Resources) -> Iterator[None]:
    """Be connected to a Ray cluster: a running one's ``address`` (or ``auto``, or $RAY_ADDRESS), or
    one of this machine's own.

    Raises InputError if it cannot be reached or none of its nodes can hold a trial, for which
    Tune would wait for ever.
    """
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    _check_listening(address)
    try:
        ray.init(address=address, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        hint = "(where a cluster asks for a token, set RAY_AUTH_MODE=token)"
        raise InputError(f"--address {address}: {error} {hint}") from error
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(
            node.get("CPU", 0) >= resources.cpus and node.get("GPU", 0) >= resources.gpus for node in nodes
        ):
            have = "; ".join(f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in nodes)
            need = f"{resources.cpus} CPUs, {resources.gpus:g} GPUs"
            raise InputError(f"resources: no node holds a trial of {need} (nodes: {have})")
        yield
    finally:
        # Tune leaves cycles that hold Ray's objects. Were another thread (MLflow's mirror) to collect them
        # just after the shutdown, Ray would end the whole process.
        gc.collect()
        ray.shutdown()


def distribute(
    configs: list[TrialConfig],
    job: Job,
    observers: list[Observer],
    modules: Iterable[ModuleType] = (),
) -> None:
    """Run trials on the connected cluster until each has a row in the ledger; KeyboardInterrupt
    leaves the rest undone. ``modules`` are plug-in files, sent to the workers by value.
    """
    if configs:
        space = {"trials": tune.grid_search([[config.model_dump_json()] for config in configs])}
        _fit(job, observers, modules, space, tune.TuneConfig())


def distribute_points(
    source: PointSource,
    job: Job,
    observers: list[Observer],
    modules: Iterable[ModuleType] = (),
    parallel: int | None = None,
) -> None:
    """Run the points that ``source`` gives, ``parallel`` at once (None: all that there is room for), until it
    gives no more; KeyboardInterrupt leaves points untold. Raises what the source has raised."""
    asker = _Asker(source, job)
    room = parallel or _room(job.resources)
    _fit(
        job,
        observers,
        modules,
        {},
        tune.TuneConfig(search_alg=asker, num_samples=-1, max_concurrent_trials=room),
    )
    if asker.problem:
        raise asker.problem


def _fit(
    job: Job,
    observers: list[Observer],
    modules: Iterable[ModuleType],
    space: dict[str, Any],
    tune_config: tune.TuneConfig,
) -> None:
    scratch = Ledger(job.folder).scratch
    tune_config.reuse_actors, tune_config.trial_dirname_creator = True, _dirname
    try:
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
        resources = job.resources
        trainable = tune.with_resources(
            tune.with_parameters(TrialActor, job=job, extensions=ship.extensions()),
            {"cpu": resources.cpus, "gpu": resources.gpus},
        )
        with _stubborn_interrupt() as interrupted:
            tuner = tune.Tuner(
                trainable,
                param_space=space,
                tune_config=tune_config,
                run_config=tune.RunConfig(
                    name="tune",
                    storage_path=str(scratch),
                    callbacks=[_Relay(job, observers, interrupted)],
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    failure_config=tune.FailureConfig(max_failures=LOST_WORKER_RETRIES),
                    verbose=0,
                ),
            )
            tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _room(resources: Resources) -> int:
    """How many trials the cluster holds at once."""
    have = ray.cluster_resources()
    rooms = [have.get("CPU", 0) / resources.cpus]
    rooms += [have.get("GPU", 0) / resources.gpus] if resources.gpus else []
    return max(1, int(min(rooms)))


class _Asker(Searcher):
    """Stands between Tune and a source of points. Its own exceptions would end Tune's run at once and lose
    what is running: they are kept, and no more points asked for."""

    def __init__(self, source: PointSource, job: Job) -> None:
        super().__init__()
        self.problem: Exception | None = None
        self._source, self._job = source, job
        self._points: dict[str, Point] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune stores it with its state, which nobody restores

    def __deepcopy__(self, memo: Any) -> "_Asker":
        return self  # Tune works on a copy, and there is one source

    def suggest(self, trial_id: str) -> Any:
        try:
            point = None if self.problem else self._source.ask()
        except Exception as error:
            self.problem, point = error, None
        if point is None:
            return Searcher.FINISHED
        self._points[trial_id] = point
        return {"trials": [config.model_dump_json() for config in point.trials], "pruner": point.pruner}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        point = self._points.pop(trial_id)
        try:
            rows = [] if error else _rows(result)
            self._source.tell(point, rows or _rows_of_lost(point.trials, self._job))
        except Exception as problem:
            self.problem = problem

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


@contextmanager
def _stubborn_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C raises KeyboardInterrupt as ever and also sets the event: raised inside a finaliser or a
    callback of C code the exception is lost, and whoever waits looks at the event."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # only the main thread may handle signals
        return
    before = signal.getsignal(signal.SIGINT)

    def interrupt(*_: object) -> None:
        event.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


class TrialActor(tune.Trainable):
    """One worker process; each trial of a comparison, or point of a search, is one step."""

    def setup(self, config: dict[str, Any], **shared: Any) -> None:
        import torch._dynamo  # noqa: F401  # torch's first optimiser does so: seconds, and in no trial's time

        ship.register_shipped(shared["extensions"])
        self.job: Job = shared["job"]

    def step(self) -> dict[str, Any]:
        trials = [TrialConfig.model_validate_json(text) for text in self.config["trials"]]
        pruner: Pruner | None = self.config.get("pruner")
        rows = execute_point(trials, self.job, pruner.watchers() if pruner else _unwatched)
        return {"done": True, "rows": [asdict(row) for row in rows]}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True


class _Relay(tune.Callback):
    """Tells observers what Tune does, and gives trials whose worker died for good a row."""

    def __init__(self, job: Job, observers: list[Observer], interrupted: threading.Event) -> None:
        self._job = job
        self._observers = observers
        self._interrupted = interrupted
        self._running: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune stores its callbacks with its state, which nobody restores

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._interrupted.is_set():
            raise KeyboardInterrupt

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.add(trial.trial_id)
        self._tell(lambda observer: observer.running(len(self._running)))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.discard(trial.trial_id)
        for row in _rows(trial.last_result):
            self._tell(methodcaller("finished", row))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.discard(trial.trial_id)
        try:
            trials = [TrialConfig.model_validate_json(text) for text in trial.config["trials"]]
            row = _record_lost(trials, self._job, _reason(trial))
            self._tell(lambda observer: observer.finished(row))
        except Exception:
            logging.getLogger(__name__).exception("could not record a lost trial")

    def _tell(self, event: Callable[[Observer], None]) -> None:
        for observer in self._observers:
            try:
                event(observer)
            except Exception:
                logging.getLogger(__name__).exception("%s failed", type(observer).__name__)


def _rows(result: dict[str, Any] | None) -> list[Row]:
    """The rows in what a worker has reported."""
    return [Row.stored(plain) for plain in (result or {}).get("rows", [])]


def _record_lost(trials: Sequence[TrialConfig], job: Job, reason: str) -> Row:
    """Store and return a row for that one of some trials at which a worker failed."""
    ledger = Ledger(job.folder)
    rows = [ledger.row(config.trial_id) for config in trials]
    at = next((i for i, row in enumerate(rows) if not row or row.status != Status.VALIDATED), -1)
    return record_lost(trials[at], job, reason)


def _rows_of_lost(trials: Sequence[TrialConfig], job: Job) -> list[Row]:
    """The rows of those of a point's trials that were over, and then of the one that was lost."""
    lost, ledger = _record_lost(trials, job, LOST), Ledger(job.folder)
    rows = [ledger.row(config.trial_id) for config in trials]
    return [*(row for row in rows if row and row.status == Status.VALIDATED), lost]


def _unwatched(seed: int) -> None:
    """Nothing watches a trial."""


def _reason(trial: Any) -> str:
    """Why Tune gave a trial up, in one line.

    Read from the file that Tune has just written beside the driver: ``trial.get_error()`` looks
    into the storage folder, to which that file is copied some time later.
    """
    lines = Path(trial.error_file).read_text().strip().splitlines() or ["unknown"]
    return LOST if "actor died" in " ".join(lines) else lines[-1]


def _dirname(trial: Any) -> str:
    """Tune's default holds the whole config, which is no file name."""
    return str(trial.trial_id)


def _check_listening(address: str) -> None:
    """Raise InputError at once if nothing listens there: Ray would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon:
        return  # "auto" and "local" name no place
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise InputError(f"--address {address}: no Ray cluster there ({error})") from error
