"""Execution of trials on a worker: run a trial unless it is done, and store its row in the ledger."""

import hashlib
import json
import math
import os
import platform
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

import switchbench.methods
from switchbench import datasets
from switchbench.atomic_files import reason
from switchbench.row import Row, Status
from switchbench.spec.comparison import Resources
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.control import Control, Watch
from switchbench.trial.outcomes import Unmeasured
from switchbench.trial.run import run_trial


@dataclass(frozen=True)
class Job:
    """Settings that all trials of a run share. They are sent to every worker."""

    folder: Path
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


class NotStored(Exception):
    """A row cannot be written. Every other trial would be lost as well, so that the run must stop."""


def execute(config: TrialConfig, job: Job, watch: Watch | None = None) -> Row:
    """Run a trial that the ledger does not hold yet and store its row, whatever happens.

    Args:
        config: The trial.
        job: Settings of the run.
        watch: Receives each point of the curves, and may raise Pruned.

    Raises:
        NotStored: The row cannot be written.

    Returns:
        The stored row. An exception becomes a row with its status and message.
    """
    if stored := _final_row(config, job):
        return stored
    resources, ledger = job.resources, Ledger(job.folder)
    device = "cuda" if resources.gpus else "cpu"
    stamp = f"trial {config.trial_id}, {_stamp(device, resources.cpus)}"
    checkpoint = Checkpoint(ledger.checkpoint(config.trial_id), stamp)
    curves: list[dict[str, float]] = []
    try:
        if resources.gpus and not torch.cuda.is_available():
            raise RuntimeError(f"gpus: {resources.gpus:g} requested, but PyTorch finds none on this node")
        config.dataset.load(job.data_folder)  # cached per process; loaded here so that it is not timed
        with _time_limit(config, job) as deadline:
            result = run_trial(
                config,
                device,
                resources.cpus,
                data_folder=job.data_folder,
                networks=ledger.networks,
                test=job.test,
                control=Control(deadline, checkpoint, watch),
            )
        row, curves = result.row, result.curves
        if job.keep_networks:
            ledger.networks.save(config.trial_id, result.network.state_dict())
    except Unmeasured as end:
        row = _unmeasured(config, end.status, str(end), end.steps)
    except Exception as error:  # an exception is the trial's result and must not end the run
        row = _unmeasured(config, Status.FAILED, f"{type(error).__name__}: {error} ({_location(error)})")
    stored = _store(config, job, row, curves)
    checkpoint.discard()  # a failed trial restarts from the beginning
    return stored


def execute_point(
    trials: Sequence[TrialConfig], job: Job, watchers: Callable[[int], Watch | None]
) -> list[Row]:
    """Run the trials of a point of a search, one seed after the other; stop at the first unmeasured one.

    Args:
        trials: One per seed.
        job: Settings of the run.
        watchers: Function seed index -> watch of that trial, or None.

    Returns:
        The stored rows; only the last one may lack a measurement.
    """
    rows: list[Row] = []
    for index, config in enumerate(trials):
        rows.append(execute(config, job, watchers(index)))
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
        The stored row; the existing one if the trial is measured or has a row of this run.
    """
    return _final_row(config, job) or _store(config, job, _unmeasured(config, Status.FAILED, error), [])


def _final_row(config: TrialConfig, job: Job) -> Row | None:
    """Return the stored row if the trial need not run again.

    That is the case if the row was written by this run, or if it has a final status and the network is stored
    where the job keeps networks.
    """
    ledger = Ledger(job.folder)
    row = ledger.row(config.trial_id)
    if row is None or row.run == job.run:
        return row
    lacks_network = job.keep_networks and row.status == Status.OK and not ledger.networks.has(config.trial_id)
    return row if row.status.settled(job.test) and not lacks_network else None


def _store(config: TrialConfig, job: Job, row: Row, curves: list[dict[str, float]]) -> Row:
    row = replace(
        row,
        run=job.run,
        versions=_versions(),
        config=config.model_dump_json(),
        finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    try:
        Ledger(job.folder).write(row, curves)
    except OSError as error:
        raise NotStored(f"cannot write to {job.folder}: {reason(error)}") from error
    return row


def _unmeasured(config: TrialConfig, status: Status, error: str, steps: int | None = None) -> Row:
    return Row(**asdict(config.planned), status=status, error=" ".join(error.split()), steps=steps)


def _location(error: Exception) -> str:
    """Return where an exception was raised, as ``file:line``: the innermost frame outside torch."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages/torch" not in frame.filename]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}"


@contextmanager
def _time_limit(config: TrialConfig, job: Job) -> Iterator[float]:
    """Yield the deadline, which training checks at every step, and run a watchdog for steps that hang.

    After twice the time limit the watchdog stores a failure and ends the process. Ray starts a new one.
    """
    minutes = job.resources.minutes
    if minutes is None:
        yield math.inf
        return

    def end_process() -> None:
        try:
            message = f"hung: not finished after twice the limit of {minutes:g} minutes"
            _store(config, job, _unmeasured(config, Status.FAILED, message), [])
        finally:
            os._exit(1)

    watchdog = threading.Timer(2 * 60 * minutes, end_process)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield time.monotonic() + 60 * minutes
    finally:
        watchdog.cancel()


@cache
def _versions() -> str:
    """Return the versions that may affect a result, as JSON, with the commit if this is a source checkout."""
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in ("switchbench", "torch", "torchvision", "numpy")}
    if _git("ls-files", "--error-unmatch", __file__):
        versions["commit"] = _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return json.dumps(versions)


def _stamp(device: str, threads: int) -> str:
    """Describe the environment. A checkpoint is resumed only where it is unchanged.

    The code of plug-ins is part of the trial's id.
    """
    return f"{_versions()}, code {_code_hash()}, on {device} with {threads} threads"


@cache
def _code_hash() -> str:
    """Hash the source code. The commit is not enough: it does not change with uncommitted edits."""
    digest = hashlib.sha256()
    for package in (switchbench, switchbench.methods, datasets):
        for file in sorted(Path(package.__path__[0]).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _git(*arguments: str) -> str:
    """Return the output of git in the folder of this file; empty without git or outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
