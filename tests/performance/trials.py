"""The trial that timings of training share: 784-300-100-10 on Fashion-MNIST, batches of 128, Adam."""

from typing import Any

import torch

from switchbench.datasets import Splits, load, split
from switchbench.methods import METHODS
from switchbench.row import Row
from switchbench.spec.trial import TrialConfig
from switchbench.trial import seeds
from switchbench.trial.run import run_trial

DATASET, BATCH, LR, DENSITY = "fashion-mnist", 128, 1e-3, 0.05


def trial(method: str, epochs: int, device: str = "cpu", **training: Any) -> Row:
    """Run a whole trial, at 5 % density if the method takes a target, and return its row. Raises Skipped.

    ``training``: settings beside length, batch size and learning rate.
    """
    registered = METHODS[method]
    config = TrialConfig.of(
        network="lenet-300-100",
        dataset=DATASET,
        method=method,
        density=DENSITY if registered.takes_target(registered.Config()) else None,
        training={"epochs": epochs, "batch_size": BATCH, "lr": LR} | training,
    )
    return run_trial(config, device).row


def amortised(row: Row) -> float:
    """Return the seconds of a training over those of as many plain steps."""
    plain = row["rounds"] * (row["train_seconds"] - row["method_seconds"])
    return float(row["train_seconds"] / plain)


def splits(device: str = "cpu") -> Splits:
    """Load the data set and split it, as a trial does."""
    return split(load(DATASET, device=torch.device(device)), 0.1, seeds.generator(0, "split"))
