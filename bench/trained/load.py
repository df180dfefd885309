"""The finished network of a stored trial: taken from where it is kept, or trained again to the same bits."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import nn

from switchbench import datasets
from switchbench.datasets import MissingData, Split
from switchbench.errors import InputError, explain
from switchbench.row import Row, Status
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.trial.run import run_trial
from switchbench.trial.seeds import generator


@dataclass(frozen=True)
class Finished:
    """A finished network with the trial that it comes from."""

    config: TrialConfig
    row: Row
    network: nn.Module
    """In eval mode, with plain weights and exact zeros."""
    test: Split


def finished(trial: str | Path, say: Callable[[str], None]) -> Finished:
    """The finished network of ``FOLDER/TRIAL_ID``, where a folder of a comparison holds the trial; the path
    of one of the trial's files will do as well.

    The same bits need the same kind of device and number of threads; those of the row are taken.
    ``say`` is told if it has to be trained again. Raises InputError.
    """
    path = Path(trial)
    folder = path.parent.parent if path.parent.name in ("trials", "networks", "curves") else path.parent
    trial_id = path.name.partition(".")[0]
    ledger = Ledger(folder)
    row = ledger.row(trial_id)
    if row is None:
        raise InputError(f"{path}: {folder} holds no trial {trial_id!r}; expected FOLDER/TRIAL_ID")
    if row.status == Status.VALIDATED:
        raise InputError(f"{path}: a point of a search has no network; the trials of its best.yaml have")
    if row.status != Status.OK:
        raise InputError(f"{path}: the trial has no network: {row.status}: {row.error}")
    try:
        config = TrialConfig.model_validate_json(row.config or "")
        data = config.dataset.load()
    except ValidationError as error:
        hint = "(what a plug-in file registers needs --plugin)"
        raise InputError(f"{path}: {explain(error, TrialConfig)} {hint}") from error
    except MissingData as error:
        raise InputError(str(error)) from error
    if config.trial_id != trial_id:
        raise InputError(f"{path}: another version of the method, network or data set has run this trial")
    splits = datasets.split(data, config.validation, generator(config.seed, "split"))
    state = ledger.networks.load(trial_id)
    if state is None:
        say(f"{trial_id}: its network is not kept (keep_networks): it is trained again")
        network = _again(path, config, row, ledger).to("cpu")
    else:
        network = config.network.build(splits.input_shape, splits.classes)
        network.load_state_dict(state)
    return Finished(config, row, network.eval(), splits.test)


def _again(path: Path, config: TrialConfig, row: Row, ledger: Ledger) -> nn.Module:
    """Train a trial again where it ran before. Raises InputError."""
    device = "cpu" if row.device == "cpu" else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(f"{path}: its network is not kept; to train it again takes a GPU ({row.device})")
    return run_trial(config, device, row.threads or 1, networks=ledger.networks).network
