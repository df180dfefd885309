"""Execution of trials on a worker: run a trial unless it is done, and store its row in the ledger."""

import faulthandler
import json
import math
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from switchbench import datasets
from switchbench.atomic_files import reason
from switchbench.cluster import environment
from switchbench.cluster.allocator import freed_memory_kept
from switchbench.cluster.log import TrialLog
from switchbench.errors import ExitCode, InputError, RunStopped, printable
from switchbench.measure.usage import measured
from switchbench.plugins.frames import own_frames, traceback_of
from switchbench.row import Row, Started, Status
from switchbench.spec.comparison import Resources
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.store.objects import StorePath, discard
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.control import Control, Stopped, Watch, never
from switchbench.trial.outcomes import Unmeasured
from switchbench.trial.run import run_trial

LOCKED_SECONDS = 10.0
"""How much later than the watchdog a process ends in which no thread can run."""
MEASURED = (Status.OK, Status.VALIDATED)
"""Status of trials that have a network."""


@dataclass(frozen=True)
class Job:
    """Settings that all trials of a run share. They are sent to every worker."""

    folder: StorePath
    """Folder of the ledger."""
    data_folder: Path
    """Folder of the data sets."""
    resources: Resources
    run: str
    """Unique name of the run. A run does not repeat trials that failed in it."""
    keep_networks: bool = False
    """Whether finished networks are stored."""
    test: bool = True
    """Whether trials are measured on test images; in a search they are not."""

    @property
    def device(self) -> torch.device:
        """Where trials run."""
        return torch.device("cuda" if self.resources.gpus else "cpu")


class NotStored(RunStopped):
    """A row cannot be written. Every other trial would be lost as well, so that the run must stop."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.NOT_WRITABLE)


def execute(
    config: TrialConfig,
    job: Job,
    watch: Watch | None = None,
    stop: Callable[[], bool] = never,
    own_process: bool = True,
) -> Row:
    """Run a trial that the ledger does not hold yet and store its row, whatever happens.

    Args:
        config: The trial.
        job: Settings of the run.
        watch: Receives each point of the curves, and may raise Pruned.
        stop: Whether the run must stop.
        own_process: Whether the process is a worker: its allocator may be set, and it may be ended where a
            trial hangs.

    Raises:
        NotStored: The row cannot be written.
        Stopped: The run must stop. The trial has no row, and continues from its checkpoint.

    Returns:
        The stored row. An exception becomes a row with its status and message. If a measured trial runs again
        for its network, and fails, its row stays, and the failure is returned alone.
    """
    if stop():
        raise Stopped
    with _stored_or_stop(job):
        if stored := _final_row(config, job):
            return stored
    ledger, cpus, gpus = Ledger(job.folder), job.resources.cpus, job.resources.gpus
    stamp = f"trial {config.trial_id}, {environment.stamp(job.device.type, cpus)}"
    checkpoint = Checkpoint(ledger.checkpoint(config.trial_id), stamp)
    attempt, log = _announce(config, job), TrialLog()
    try:
        kept = freed_memory_kept() if own_process else nullcontext()
        datasets.forget_on_devices(but=config.dataset.name)
        with kept, log.recording(), measured(job.device, alone=gpus >= 1) as usage:
            control = Control(checkpoint=checkpoint, watch=watch, stop=stop)
            row, curves = _outcome(config, job, control, log, own_process)
    except Stopped:
        ledger.withdraw(config.trial_id)
        raise
    if checkpoint.seconds_before and usage.seconds is not None:
        usage.seconds += checkpoint.seconds_before
        usage.energy = None  # of the earlier attempts it is not known
    row = replace(row, **asdict(usage), host=platform.node(), threads=cpus, gpus=gpus, attempts=attempt)
    stored = _store(config, job, row, curves, log.text)
    checkpoint.discard()  # a failed trial restarts from the beginning
    if job.device.type == "cuda":
        torch.cuda.empty_cache()  # trials of other processes may share the GPU
    return stored


def _outcome(
    config: TrialConfig, job: Job, control: Control, log: TrialLog, own_process: bool
) -> tuple[Row, list[dict[str, float]]]:
    """Run a trial. Return its row and curves; an exception other than Stopped becomes a row."""
    resources, networks = job.resources, Ledger(job.folder).networks
    try:
        config.dataset.load(job.data_folder)  # once per process, outside the time limit
        if resources.gpus and not torch.cuda.is_available():
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
            problem = f"PyTorch finds none on this node (CUDA_VISIBLE_DEVICES: {visible})"
            raise RuntimeError(f"gpus: {resources.gpus:g} requested, but {problem}")
        with _watchdog(config, job) if own_process else nullcontext():
            result = run_trial(
                config,
                str(job.device),
                resources.cpus,
                data_folder=job.data_folder,
                networks=networks,
                test=job.test,
                control=replace(control, deadline=time.monotonic() + 60 * (resources.minutes or math.inf)),
            )
        if job.keep_networks:
            networks.save(config.trial_id, result.network.state_dict())
    except Stopped:
        raise
    except Unmeasured as end:
        return _unmeasured(config, end.status, str(end), end.steps), []
    except (Exception, SystemExit) as error:  # it is the trial's result and must not end the run
        if own_process and isinstance(error, SystemExit):
            raise  # so Ray ends a worker, for instance on a node that is taken away
        log.write(traceback_of(error))
        message = f"{type(error).__name__}: {error} ({_location(error, config)})"
        return _unmeasured(config, Status.FAILED, message), []
    return result.row, result.curves


def _announce(config: TrialConfig, job: Job) -> int:
    """Store that a trial starts here. Return the number of its starts. Raises NotStored."""
    ledger = Ledger(job.folder)
    with _stored_or_stop(job):
        lost = ledger.announced(config.trial_id)
        started = Started(
            trial_id=config.trial_id,
            host=platform.node(),
            process=os.getpid(),
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            run=job.run,
            attempt=lost.attempt + 1 if lost else 1,
        )
        ledger.announce(started)
    return started.attempt


def execute_point(
    trials: Sequence[TrialConfig],
    job: Job,
    watchers: Callable[[int], Watch | None],
    stop: Callable[[], bool] = never,
) -> list[Row]:
    """Run the trials of a point of a search, one seed after the other; stop at the first unmeasured one.

    Args:
        trials: One per seed.
        job: Settings of the run.
        watchers: Function seed index -> watch of that trial, or None.
        stop: Whether the run must stop.

    Returns:
        The stored rows; only the last one may lack a measurement.

    Raises:
        NotStored: As in :func:`execute`.
        Stopped: As in :func:`execute`.
    """
    rows: list[Row] = []
    for index, config in enumerate(trials):
        rows.append(execute(config, job, watchers(index), stop))
        if rows[-1].status != Status.VALIDATED:
            break
    return rows


def record_lost(config: TrialConfig, job: Job, error: str) -> Row:
    """Store a failure for a trial that could not run to its end.

    Args:
        config: The trial.
        job: Settings of the run.
        error: The reason.

    Returns:
        The stored row; the existing one if the trial is measured or has a row of this run. For a measured
        trial that ran again for its network, the failure, as in :func:`execute`.

    Raises:
        NotStored: The row cannot be written.
    """
    with _stored_or_stop(job):
        return _final_row(config, job) or _store(config, job, _lost(config, job, error))


def _lost(config: TrialConfig, job: Job, error: str) -> Row:
    """Return the row of a trial that was not able to store one, with what it has used until now."""
    ledger, resources = Ledger(job.folder), job.resources
    row = _unmeasured(config, Status.FAILED, error)
    row = replace(row, threads=resources.cpus, gpus=resources.gpus)
    discard(ledger.checkpoint(config.trial_id))  # a failed trial restarts from the beginning
    if announced := ledger.announced(config.trial_id):
        since = datetime.now(UTC) - datetime.fromisoformat(announced.started)
        row = replace(row, attempts=announced.attempt, seconds=max(0.0, since.total_seconds()))
    return row


def _final_row(config: TrialConfig, job: Job) -> Row | None:
    """Return the stored row if the trial need not run again.

    That is the case if the row was written by this run, or if it has a final status and the network is stored
    where the job keeps networks.
    """
    ledger = Ledger(job.folder)
    row = ledger.row(config.trial_id)
    if row is None or row.run == job.run:
        return row
    lacks_network = job.keep_networks and row.status in MEASURED and not ledger.networks.has(config.trial_id)
    return row if row.status.settled(job.test) and not lacks_network else None


def _store(
    config: TrialConfig, job: Job, row: Row, curves: list[dict[str, float]] | None = None, log: str = ""
) -> Row:
    """Store the row of a trial, its curves and its log, and return the row. Raises NotStored.

    Only a measurement replaces the row of a trial that need not run again, as one whose network was lost.
    """
    row = replace(
        row,
        run=job.run,
        versions=json.dumps(json.loads(environment.versions()) | config.versions()),
        config=config.model_dump_json(),
        finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    ledger = Ledger(job.folder)
    with _stored_or_stop(job):
        before = None if row.status in MEASURED else ledger.row(config.trial_id)
        if before is None or not before.status.settled(job.test):
            ledger.write_log(config.trial_id, log)
            ledger.write(row, curves or [])
        ledger.withdraw(config.trial_id)
    return row


@contextmanager
def _stored_or_stop(job: Job) -> Iterator[None]:
    """Raise NotStored if the block cannot use the folder: that is no fault of the trial's method."""
    try:
        yield
    except OSError as error:
        raise NotStored(f"cannot write to {job.folder}: {reason(error)}") from error
    except InputError as error:  # a file that exists and cannot be read
        raise NotStored(str(error)) from error


def _unmeasured(config: TrialConfig, status: Status, error: str, steps: int | None = None) -> Row:
    line = printable(" ".join(error.split()))  # no table can hold what is no Unicode, as some names of files
    return Row(**asdict(config.planned), status=status, error=line, steps=steps)


def _location(error: BaseException, config: TrialConfig) -> str:
    """Return where an exception was raised, as ``file:line``: the innermost frame outside torch, after that
    of the method's own module if it is another."""
    frames = own_frames(error)
    of_method = [frame for frame in frames if frame.module == config.method.registered.__module__]
    return ", in ".join(dict.fromkeys(map(str, (*of_method[-1:], frames[-1]))))


@contextmanager
def _watchdog(config: TrialConfig, job: Job) -> Iterator[None]:
    """Watch over steps that hang, in which training does not look at its deadline.

    After twice the time limit the watchdog stores a failure and ends the process. Another takes its place.
    """
    minutes = job.resources.minutes
    if minutes is None:
        yield
        return

    def end_process() -> None:
        try:
            message = f"hung: not finished after twice the limit of {minutes:g} minutes"
            _store(config, job, _lost(config, job, message))
        finally:
            os._exit(1)

    watchdog = threading.Timer(2 * 60 * minutes, end_process)
    watchdog.daemon = True
    watchdog.start()
    # A hang in C code may hold Python's lock, so that no thread runs: this ends the process all the same.
    faulthandler.dump_traceback_later(2 * 60 * minutes + LOCKED_SECONDS, exit=True, file=2)
    try:
        yield
    finally:
        watchdog.cancel()
        faulthandler.cancel_dump_traceback_later()
