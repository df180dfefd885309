"""Reasons why a trial ends without a measurement. Each one names the status of the trial's row."""

from typing import ClassVar

from switchbench.row import Status


class Unmeasured(Exception):
    """Base class of the reasons. The message becomes the error of the row."""

    status: ClassVar[Status]
    """Status of the row."""
    steps: int | None = None
    """Gradient steps taken before the end, if a budget must count them; else None."""


class Skipped(Unmeasured):
    """The method cannot handle this network."""

    status = Status.SKIPPED


class Diverged(Unmeasured):
    """The loss or the weights are no longer finite."""

    status = Status.DIVERGED


class Pruned(Unmeasured):
    """The pruner of a search has stopped the training."""

    status = Status.PRUNED

    def __init__(self, steps: int) -> None:
        """``steps``: gradient steps taken before the stop."""
        super().__init__(f"after {steps} steps")
        self.steps = steps
