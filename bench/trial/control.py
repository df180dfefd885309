"""Deadline, checkpoint, stop and callback of a training: how a caller controls it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from switchbench.trial.checkpoint import Checkpoint

Watch = Callable[[dict[str, float]], None]
"""A callback that gets each point of a training's curves, once per epoch. It raises
:class:`~switchbench.trial.outcomes.Pruned` to end the training."""


class Stopped(Exception):
    """The caller has stopped the training. It has no result yet, and continues from its checkpoint."""


def after(steps: int) -> Callable[[], bool]:
    """Return a ``stop`` for :class:`Control` that ends a training after so many steps, at least one."""
    left = iter(range(steps - 1))
    return lambda: next(left, None) is None


def never() -> bool:
    """Return False: the training is not stopped."""
    return False


@dataclass(frozen=True)
class Control:
    """How a caller controls one training. None of it changes a result."""

    deadline: float = math.inf
    """Value of ``time.monotonic()``, seconds. After it the training raises TimeoutError."""
    checkpoint: Checkpoint | None = None
    """Where the training saves its state from time to time. It starts from a state that is stored there."""
    watch: Watch | None = None
    """Called after each epoch."""
    stop: Callable[[], bool] = never
    """Called after each step: whether the training must save a checkpoint now and raise :class:`Stopped`."""


UNCONTROLLED = Control()
"""No deadline, no checkpoint, no callback."""
