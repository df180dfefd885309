"""Why a trial ends without a measurement. Each reason is the status of its row."""

from typing import ClassVar

from switchbench.row import Status


class Unmeasured(Exception):
    """Base of the reasons; the message says more."""

    status: ClassVar[Status]
    steps: int | None = None
    """Gradient steps that were taken, where they count in a budget."""


class Skipped(Unmeasured):
    """The method cannot handle this network."""

    status = Status.SKIPPED


class Diverged(Unmeasured):
    """The loss or the weights are no longer finite."""

    status = Status.DIVERGED


class Pruned(Unmeasured):
    """A search's pruner has stopped the training."""

    status = Status.PRUNED

    def __init__(self, steps: int) -> None:
        super().__init__(f"after {steps} steps")
        self.steps = steps
