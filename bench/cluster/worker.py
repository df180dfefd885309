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
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import switchbench.methods
from switchbench import datasets
from switchbench.spec.comparison import Resources
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import DONE, SEARCHED, Ledger
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.loop import Diverged, Pruned, Watch
from switchbench.trial.run import VALIDATED, Skipped, run_trial


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


def execute(config: TrialConfig, job: Job, watch: Watch | None = None) -> dict[str, Any]:
    """Run a trial that the ledger does not hold yet and store its row, whatever happens.

    ``watch`` sees its curves as they come, and may raise Pruned. An exception becomes a row with its
    status and message. Returns the stored row.
    """
    if stored := _settled(config, job):
        return stored
    resources = job.resources
    device = "cuda" if resources.gpus else "cpu"
    ledger = Ledger(job.folder)
    checkpoint = Checkpoint(ledger.checkpoint(config.trial_id), _stamp(device, resources.cpus))
    curves: list[dict[str, float]] = []
    try:
        if resources.gpus and not torch.cuda.is_available():
            raise RuntimeError(f"gpus: {resources.gpus:g} asked for, but PyTorch sees none on this node")
        config.dataset.load(job.data_folder)  # once a process, so in no trial's time
        with _time_limit(config, job) as deadline:
            result = run_trial(
                config,
                device,
                resources.cpus,
                job.data_folder,
                deadline,
                checkpoint,
                ledger.networks,
                test=job.test,
                watch=watch,
            )
        row, curves = result.row, result.curves
        if job.keep_networks:
            ledger.networks.save(config.trial_id, result.network.state_dict())
    except Skipped as reason:
        row = _failure(config, "skipped", str(reason))
    except Diverged as reason:
        row = _failure(config, "diverged", str(reason))
    except Pruned as reason:
        row = _failure(config, "pruned", str(reason)) | {"steps": reason.steps}
    except Exception as error:  # whatever a method raises is its result, not the run's end
        row = _failure(config, "failed", f"{type(error).__name__}: {error} ({_place(error)})")
    stored = _store(config, job, row, curves)
    checkpoint.discard()  # a failed trial starts from the beginning as well
    return stored


def measure(
    trials: Sequence[TrialConfig], job: Job, watchers: Callable[[int], Watch | None]
) -> list[dict[str, Any]]:
    """Run the trials of a point of a search, one seed after the other, until one is not measured."""
    rows: list[dict[str, Any]] = []
    for number, config in enumerate(trials):
        rows.append(execute(config, job, watchers(number)))
        if rows[-1]["status"] != VALIDATED:
            break
    return rows


def record_lost(config: TrialConfig, job: Job, error: str) -> dict[str, Any]:
    """Store and return a row for a trial whose worker failed, unless this run gave it one."""
    return _settled(config, job) or _store(config, job, _failure(config, "failed", error), [])


def _settled(config: TrialConfig, job: Job) -> dict[str, Any] | None:
    """The stored row, if it is of this very run, or a measurement (with its network, where that is kept)."""
    ledger = Ledger(job.folder)
    row = ledger.row(config.trial_id)
    if row is None or row.get("run") == job.run:
        return row
    lacks_network = job.keep_networks and row["status"] == "ok" and not ledger.networks.has(config.trial_id)
    return row if row["status"] in (DONE if job.test else SEARCHED) and not lacks_network else None


def _store(
    config: TrialConfig, job: Job, row: dict[str, Any], curves: list[dict[str, float]]
) -> dict[str, Any]:
    row |= {
        "run": job.run,
        "versions": _versions(),
        "config": config.model_dump_json(),
        "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    Ledger(job.folder).write(row, curves)
    return row


def _failure(config: TrialConfig, status: str, error: str) -> dict[str, Any]:
    return config.columns() | {"status": status, "error": " ".join(error.split())}


def _place(error: Exception) -> str:
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
            _store(config, job, _failure(config, "failed", message), [])
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
