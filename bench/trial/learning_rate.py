"""The learning-rate schedule."""

import math

from switchbench.spec.training import TrainingConfig


def lr_factor(config: TrainingConfig, passed: float) -> float:
    """Return the learning rate as a factor of its peak, ``config.lr``.

    Args:
        config: Settings of the training; they name the schedule.
        passed: Completed share of the training, in [0, 1).

    Returns:
        A factor in [0, 1].

    Example:
        >>> lr_factor(TrainingConfig(epochs=1, schedule="linear", decay=0.5), passed=0.75)
        0.5
    """
    if config.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * passed))
    if config.schedule == "linear":
        return min(1.0, (1 - passed) / config.decay)
    if config.schedule == "step":
        return 0.1 ** sum(passed >= milestone for milestone in config.milestones)
    return 1.0
