"""The trial that timings of training share: 784-300-100-10 on Fashion-MNIST, batches of 128, Adam."""

from typing import Any

import torch

from switchbench.datasets import Splits, load, split, training_size
from switchbench.methods import METHODS
from switchbench.row import Row
from switchbench.spec.trial import TrialConfig
from switchbench.trial import seeds
from switchbench.trial.run import run_trial

DATASET, BATCH, LR, DENSITY = "fashion-mnist", 128, 1e-3, 0.05


def trial(method: str, epochs: int, device: str = "cpu", **training: Any) -> Row:
    """Run a whole trial and return its row. Raises Skipped. Arguments as for :func:`config`."""
    return run_trial(config(method, epochs, **training), device).row


def amortised(method: str, epochs: int, device: str = "cpu", **training: Any) -> float:
    """Run a whole trial. Return the seconds of its training over those of as many plain steps. Raises Skipped."""
    planned = config(method, epochs, **training)
    row = run_trial(planned, device).row
    images = training_size(planned.dataset.facts().train, planned.validation)
    one_round = planned.training.length(images)[0]
    plain_step = (row["train_seconds"] - row["method_seconds"]) / one_round
    return float(row["train_seconds"] / (row["steps"] * plain_step))


def config(method: str, epochs: int, **training: Any) -> TrialConfig:
    """Describe a trial, at 5 % density if the method takes a target.

    ``training``: settings beside length, batch size and learning rate, or a recipe that has the latter.
    """
    recipe = {} if "recipe" in training else {"batch_size": BATCH, "lr": LR}
    registered = METHODS[method]
    return TrialConfig.of(
        network="lenet-300-100",
        dataset=DATASET,
        method=method,
        density=DENSITY if registered.takes_target(registered.Config()) else None,
        training={"epochs": epochs} | recipe | training,
    )


def splits(device: str = "cpu") -> Splits:
    """Load the data set and split it, as a trial does."""
    return split(load(DATASET, device=torch.device(device)), 0.1, seeds.generator(0, "split"))
