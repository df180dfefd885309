"""Trials over processes, GPUs and nodes with Ray Tune. The only code that imports ray.

Actors are reused: a worker imports torch once and runs many trials. The ledger is the truth;
Tune's own state is thrown away, and a run starts from what the ledger lacks.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

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

from switchbench import components
from switchbench.errors import InputError
from switchbench.ledger import Ledger
from switchbench.spec import Resources
from switchbench.trial import TrialConfig
from switchbench.worker import Job, execute, record_lost

LOST_WORKER_RETRIES = 2
CONNECT_SECONDS = 10
OBJECT_STORE_BYTES = 200_000_000
"""Enough for configs and rows; trials do not exchange data through Ray."""


class Observer(Protocol):
    """Whoever watches a run. Its exceptions never reach Tune, where one would end the run."""

    def running(self, trials: int) -> None:
        """So many trials are running now."""

    def finished(self, row: dict[str, Any]) -> None:
        """A trial's row is in the ledger."""


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
    if not configs:
        return
    scratch = Ledger(job.folder).scratch
    try:
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
        resources = job.resources
        trainable = tune.with_resources(
            tune.with_parameters(TrialActor, job=job, extensions=components.extensions()),
            {"cpu": resources.cpus, "gpu": resources.gpus},
        )
        with _stubborn_interrupt() as interrupted:
            tuner = tune.Tuner(
                trainable,
                param_space={"trial": tune.grid_search([config.model_dump_json() for config in configs])},
                tune_config=tune.TuneConfig(reuse_actors=True, trial_dirname_creator=_dirname),
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
    """One worker process; each trial is one step."""

    def setup(self, config: dict[str, Any], **shared: Any) -> None:
        import torch._dynamo  # noqa: F401  # torch's first optimiser does so: seconds, and in no trial's time

        components.adopt(shared["extensions"])
        self.job: Job = shared["job"]

    def step(self) -> dict[str, Any]:
        row = execute(TrialConfig.model_validate_json(self.config["trial"]), self.job)
        return {"done": True, "row": row}

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
        row = trial.last_result.get("row")
        if row:
            self._tell(lambda observer: observer.finished(row))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.discard(trial.trial_id)
        try:
            config = TrialConfig.model_validate_json(trial.config["trial"])
            row = record_lost(config, self._job, _reason(trial))
            self._tell(lambda observer: observer.finished(row))
        except Exception:
            logging.getLogger(__name__).exception("could not record a lost trial")

    def _tell(self, event: Callable[[Observer], None]) -> None:
        for observer in self._observers:
            try:
                event(observer)
            except Exception:
                logging.getLogger(__name__).exception("%s failed", type(observer).__name__)


def _reason(trial: Any) -> str:
    """Why Tune gave a trial up, in one line.

    Read from the file that Tune has just written beside the driver: ``trial.get_error()`` looks
    into the storage folder, to which that file is copied some time later.
    """
    lines = Path(trial.error_file).read_text().strip().splitlines() or ["unknown"]
    return "the worker process died" if "actor died" in " ".join(lines) else lines[-1]


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
