"""The trial that timings of training share: 784-300-100-10 on Fashion-MNIST, batches of 128, Adam."""

from switchbench.datasets import Splits, load, split
from switchbench.methods import METHODS
from switchbench.row import Row
from switchbench.spec.trial import TrialConfig
from switchbench.trial import seeds
from switchbench.trial.run import run_trial

DATASET, BATCH, LR, DENSITY = "fashion-mnist", 128, 1e-3, 0.05


def trial(method: str, epochs: int) -> Row:
    """Run a whole trial, at 5 % density if the method takes a target, and return its row. Raises Skipped."""
    registered = METHODS[method]
    config = TrialConfig.of(
        network="lenet-300-100",
        dataset=DATASET,
        method=method,
        density=DENSITY if registered.takes_target(registered.Config()) else None,
        training={"epochs": epochs, "batch_size": BATCH, "lr": LR},
    )
    return run_trial(config).row


def splits() -> Splits:
    """Load the data set and split it, as a trial does."""
    return split(load(DATASET), 0.1, seeds.generator(0, "split"))
