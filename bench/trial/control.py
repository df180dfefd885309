"""What may stop a training, keep its state and watch it from outside."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from switchbench.trial.checkpoint import Checkpoint

Watch = Callable[[dict[str, float]], None]
"""Gets every point of a training's curves, in turn; raises :class:`~switchbench.trial.unmeasured.Pruned` to
end the training."""


@dataclass(frozen=True)
class Control:
    """The outside's hold on one training. None of it changes a result."""

    deadline: float = math.inf
    """Value of ``time.monotonic()`` past which the training raises TimeoutError."""
    checkpoint: Checkpoint | None = None
    """Where the training keeps its state now and then, and goes on from if there is one."""
    watch: Watch | None = None


UNCONTROLLED = Control()
