"""What a worker does with a trial: run it unless it is done, and put it into the ledger."""

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
from switchbench.row import Row, Status
from switchbench.spec.comparison import Resources
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.control import Control, Watch
from switchbench.trial.run import run_trial
from switchbench.trial.unmeasured import Unmeasured


@dataclass(frozen=True)
class Job:
    """What all trials of a run share; sent to every worker."""

    folder: Path
    data_folder: Path
    resources: Resources
    run: str
    """A name that no other run has: rows of this run are not tried again by it."""
    keep_networks: bool = False
    """Whether finished networks are stored."""
    test: bool = True
    """Whether trials are measured on test images; in a search they are not."""


def execute(config: TrialConfig, job: Job, watch: Watch | None = None) -> Row:
    """Run a trial that the ledger does not hold yet and store its row, whatever happens.

    Args:
        config: The trial.
        job: What it shares with the run's other trials.
        watch: Sees its curves as they come, and may raise Pruned.

    Returns:
        The stored row. An exception becomes a row with its status and message.
    """
    if stored := _settled(config, job):
        return stored
    resources, ledger = job.resources, Ledger(job.folder)
    device = "cuda" if resources.gpus else "cpu"
    checkpoint = Checkpoint(ledger.checkpoint(config.trial_id), _stamp(device, resources.cpus))
    curves: list[dict[str, float]] = []
    try:
        if resources.gpus and not torch.cuda.is_available():
            raise RuntimeError(f"gpus: {resources.gpus:g} asked for, but PyTorch sees none on this node")
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
    except Unmeasured as reason:
        row = _unmeasured(config, reason.status, str(reason), reason.steps)
    except Exception as error:  # whatever a method raises is its result, not the run's end
        row = _unmeasured(config, Status.FAILED, f"{type(error).__name__}: {error} ({_origin(error)})")
    stored = _store(config, job, row, curves)
    checkpoint.discard()  # a failed trial starts from the beginning as well
    return stored


def execute_point(
    trials: Sequence[TrialConfig], job: Job, watchers: Callable[[int], Watch | None]
) -> list[Row]:
    """Run the trials of a point of a search, one seed after the other, until one is not measured.

    Args:
        trials: One per seed.
        job: What they share with the search's other trials.
        watchers: Returns what watches the trial of a seed index, if anything does.
    """
    rows: list[Row] = []
    for index, config in enumerate(trials):
        rows.append(execute(config, job, watchers(index)))
        if rows[-1].status != Status.VALIDATED:
            break
    return rows


def record_lost(config: TrialConfig, job: Job, error: str) -> Row:
    """Store and return a row for a trial whose worker failed, unless this run gave it one."""
    return _settled(config, job) or _store(config, job, _unmeasured(config, Status.FAILED, error), [])


def _settled(config: TrialConfig, job: Job) -> Row | None:
    """The stored row, if it is of this very run, or a measurement (with its network, if that is kept)."""
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
    Ledger(job.folder).write(row, curves)
    return row


def _unmeasured(config: TrialConfig, status: Status, error: str, steps: int | None = None) -> Row:
    return Row(**asdict(config.planned), status=status, error=" ".join(error.split()), steps=steps)


def _origin(error: Exception) -> str:
    """Where an exception was raised: the innermost line that is not a library's."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages/torch" not in frame.filename]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}"


@contextmanager
def _time_limit(config: TrialConfig, job: Job) -> Iterator[float]:
    """The deadline that training checks at every step, and a watchdog for code that hangs in one:
    after twice the limit it stores a failure and ends the process, which Ray replaces."""
    minutes = job.resources.minutes
    if minutes is None:
        yield math.inf
        return

    def give_up() -> None:
        try:
            message = f"hung: not over after twice the limit of {minutes:g} minutes"
            _store(config, job, _unmeasured(config, Status.FAILED, message), [])
        finally:
            os._exit(1)

    watchdog = threading.Timer(2 * 60 * minutes, give_up)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield time.monotonic() + 60 * minutes
    finally:
        watchdog.cancel()


@cache
def _versions() -> str:
    """Versions of what decides a result as JSON, with the commit if this is a source checkout."""
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in ("switchbench", "torch", "torchvision", "numpy")}
    if _git("ls-files", "--error-unmatch", __file__):
        versions["commit"] = _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return json.dumps(versions)


def _stamp(device: str, threads: int) -> str:
    """What must be the same for a checkpoint to be taken up, beside the trial's identity, in which a
    plug-in's code counts."""
    return f"{_versions()}, code {_code()}, on {device} with {threads} threads"


@cache
def _code() -> str:
    """Hash of the code that trains: a commit does not tell two edits of one checkout apart."""
    digest = hashlib.sha256()
    for package in (switchbench, switchbench.methods, datasets):
        for file in sorted(Path(package.__path__[0]).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _git(*arguments: str) -> str:
    """What git says of the folder of this file; nothing where there is no git or no checkout."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
