"""One stored or planned trial: its config, what is stored of it, and the same trial again in this process."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from switchbench.datasets import MissingData
from switchbench.errors import InputError
from switchbench.row import Row, Started, Status
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.trained.config import config_of
from switchbench.trained.ids import id_of
from switchbench.trial.control import Control
from switchbench.trial.run import TrialResult, run_trial


@dataclass(frozen=True)
class StoredTrial:
    """What a ledger holds of one trial."""

    trial_id: str
    row: Row | None
    """None if the trial has no row yet."""
    started: Started | None
    """Where a trial without a row runs, or ran when it was lost; None if it never began."""
    config: TrialConfig | None
    """None if it cannot be read: with another version, or without a plug-in."""
    problem: str
    """Why the config cannot be read, if it cannot."""
    curves: list[dict[str, float]]
    log: str
    """What it printed and logged, and its traceback."""
    test: bool
    """Whether it is measured on test images; points of a search are not."""


def stored_trial(ledger: Ledger, trial: str) -> StoredTrial:
    """Look up a trial.

    Args:
        ledger: Ledger of the comparison.
        trial: Id of the trial, or the beginning of one.

    Returns:
        What is stored of it.

    Raises:
        InputError: No planned trial, or more than one, has this id.
    """
    trial_id = id_of(ledger, trial)
    row = ledger.row(trial_id)
    config, problem = None, "the stored spec does not plan it in this version"
    try:
        config = _config(row) or next((each for each in ledger.trials() if each.trial_id == trial_id), None)
    except (InputError, MissingData) as error:  # what is stored can be shown all the same
        problem = str(error)
    test = row is None or row.status not in (Status.VALIDATED, Status.PRUNED)
    return StoredTrial(
        trial_id=trial_id,
        row=row,
        started=None if row else ledger.announced(trial_id),
        config=config,
        problem=problem,
        curves=ledger.curves(trial_id),
        log=ledger.log(trial_id),
        test=test,
    )


def rerun(trial: StoredTrial, watch: Callable[[dict[str, float]], None]) -> TrialResult:
    """Run a trial again in this process. Nothing is stored.

    Args:
        trial: The trial.
        watch: Called after each epoch with the point of the curves.

    Returns:
        The result; on the same kind of device it has the bits of the stored one.

    Raises:
        InputError: The config cannot be read.
        Exception: What the trial raises.
    """
    if trial.config is None:
        raise InputError(f"trial {trial.trial_id}: {trial.problem}")
    row, device = trial.row, device_of(trial.row)
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(f"trial {trial.trial_id}: it ran on a GPU, and this machine has none")
    threads = (row.threads if row else None) or 1
    return run_trial(trial.config, device, threads, test=trial.test, control=Control(watch=watch))


CHANGED = "trained again, it has other results than the stored ones"
"""What is said of a trial of which :func:`has_changed` is true."""


def has_changed(stored: Row, again: Row) -> bool:
    """Return whether a trial that ran again has other results than before, bit by bit."""
    return any(stored[name] != again[name] for name in ("val_loss", "test_loss", "density"))


def device_of(row: Row | None) -> str:
    """Return the kind of device that a trial ran on, and runs on again: cpu or cuda."""
    return "cuda" if row and (row.gpus or row.device not in (None, "cpu")) else "cpu"


def _config(row: Row | None) -> TrialConfig | None:
    """Return the config in a row; None without a row. Raises InputError as :func:`config_of`."""
    return config_of(row.config) if row and row.config else None
