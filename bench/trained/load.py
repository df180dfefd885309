"""Load the finished network of a stored trial, or train it again to identical bits if it was not kept."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import nn

from switchbench import datasets
from switchbench.datasets import MissingData, Split
from switchbench.errors import InputError
from switchbench.row import Row, Status
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.store.objects import StorePath, resolved
from switchbench.trained.config import config_of
from switchbench.trained.ids import id_of
from switchbench.trained.rerun import CHANGED, device_of, has_changed
from switchbench.trial.run import TrialResult, run_trial
from switchbench.trial.seeds import generator


@dataclass(frozen=True)
class FinishedNetwork:
    """A finished network and the trial that it comes from."""

    config: TrialConfig
    row: Row
    network: nn.Module
    """In eval mode, with plain weights and exact zeros."""
    test: Split
    """The test images of its data set."""
    classes: int
    class_names: tuple[str, ...] | None
    """In the order of the outputs; None where the classes have no names."""


def load_finished(trial: str | StorePath, notify: Callable[[str], None]) -> FinishedNetwork:
    """Load the finished network of a trial. If the comparison did not keep it, train it again and keep it.

    Identical bits need the same kind of device and the same number of threads, so the trial runs again with
    those of its row. Another model of CPU or GPU may give other results all the same: then the new network is
    not kept, and the row of what is returned is its own.

    Args:
        trial: ``FOLDER/TRIAL_ID``, where FOLDER is a comparison's and the id may be cut short; or the path of
            one of the trial's files.
        notify: Called with one line if the network must be trained again.

    Returns:
        The network on the CPU, with its config, row and test images.

    Raises:
        InputError: The folder has no such trial, the trial has no network, its data set is missing, another
            version of the code ran it, or training it again needs a GPU that this machine lacks.
    """
    path = resolved(trial)
    folder, given = path.parent, path.name.partition(".")[0]
    if folder.name in ("trials", "networks", "curves") and not Ledger(folder).has_comparison:
        folder = folder.parent
    ledger = Ledger(folder)
    if not ledger.has_comparison and Ledger(path).has_comparison:
        raise InputError(
            f"{trial}: is a comparison; add the id of a trial, which `switchbench list {trial}` shows"
        )
    if not ledger.has_comparison:
        raise InputError(f"{path}: {folder} holds no comparison; expected FOLDER/TRIAL_ID")
    trial_id = given if (row := ledger.row(given)) else id_of(ledger, given)
    row = row or ledger.row(trial_id)
    if row is None:
        raise InputError(f"{path}: the trial is planned, but has not been run")
    if row.status == Status.VALIDATED:
        raise InputError(f"{path}: points of a search have no networks; trials of its best.yaml have them")
    if row.status != Status.OK:
        raise InputError(f"{path}: the trial has no network: {row.status}: {row.error}")
    try:
        config = config_of(row.config or "{}")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    try:
        data = config.dataset.load()
    except MissingData as error:
        raise InputError(str(error)) from error
    if config.trial_id != trial_id:
        raise InputError(f"{path}: another version of the method, network or data set ran this trial")
    splits = datasets.split(data, config.validation, generator(config.seed, "split"))
    with torch.random.fork_rng(devices=[]):
        network = config.network.build(splits.input_shape, splits.classes)
    state = ledger.networks.load(trial_id, network.state_dict())
    if state is None:
        kept = "cannot be used" if ledger.networks.has(trial_id) else "was not kept (keep_networks)"
        notify(f"{trial_id}: the network {kept}, so it is trained again")
        again = _train_again(path, config, row, ledger)
        network = again.network.to("cpu")
        if has_changed(row, again.row):
            notify(f"{trial_id}: {CHANGED}; what follows is about the new network, which is not kept")
            row = again.row
        else:
            with suppress(OSError, RuntimeError):  # a folder that cannot be written
                ledger.networks.save(trial_id, network.state_dict())
    else:
        network.load_state_dict(state)
    return FinishedNetwork(config, row, network.eval(), splits.test, data.classes, data.class_names)


def _train_again(path: StorePath, config: TrialConfig, row: Row, ledger: Ledger) -> TrialResult:
    """Train a trial again on the kind of device that it ran on. Raise InputError if there is none."""
    device = device_of(row)
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"{path}: the network was not kept, and training it again needs a GPU ({row.device})"
        )
    return run_trial(config, device, row.threads or 1, networks=ledger.networks)
