"""Schedules: when a method prunes, and down to which density.

Times are shares of training in [0, 1], so that a schedule does not depend on its length.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """The part of training in which a network is pruned.

    Raises:
        ValueError: ``begin`` does not come before ``end``. With a single update they may be equal,
            which is one-shot pruning.

    >>> Window(begin=0.0, end=0.5, updates=100).density(0.25, final=0.5)
    0.5625
    """

    begin: float
    """Share of training before the first update."""
    end: float
    """Share of training at the last update."""
    updates: int
    """Number of pruning updates."""
    power: float = 3.0
    """How fast density falls at first, and how slowly at last: 3 is the cubic schedule."""

    def __post_init__(self) -> None:
        if self.begin > self.end or (self.begin == self.end and self.updates > 1):
            raise ValueError(f"begin {self.begin:g} must come before end {self.end:g}")

    def density(self, fraction: float, final: float) -> float:
        """Return the density at ``fraction`` of training (:func:`polynomial`)."""
        return polynomial(fraction, self.begin, self.end, final, self.power)

    def events(self, step: int, steps: int) -> int:
        """Return how many of the updates fall on the first ``step`` of ``steps`` steps (:func:`due`).

        >>> [Window(begin=0.0, end=0.5, updates=2).events(step, steps=4) for step in range(5)]
        [0, 1, 2, 2, 2]
        """
        return events(step, steps, self.begin, self.end, self.updates)

    def cosine(self, fraction: float) -> float:
        """Return a factor that falls along half a cosine from 1 at the first update to 0 at the last.

        >>> Window(begin=0.0, end=0.5, updates=100).cosine(0.25)
        0.5
        """
        passed = (fraction - self.begin) / (self.end - self.begin) if self.end > self.begin else 1.0
        return half_cosine(min(passed, 1.0))


def half_cosine(passed: float) -> float:
    """Return a factor that falls along half a cosine from 1 at 0 to 0 at 1."""
    return 0.5 * (1 + math.cos(math.pi * passed))


def polynomial(fraction: float, begin: float, end: float, final: float, power: float = 3.0) -> float:
    """Return the density at a time, which falls from 1 at ``begin`` to ``final`` at ``end``.

    Zhu & Gupta 2017, *To prune, or not to prune*: final + (1 − final)(1 − t)³, where t is the share
    of the window that has passed. With ``begin == end`` density falls at once.

    Args:
        fraction: Share of training that is over.
        begin: Share of training up to which the network is dense.
        end: Share of training from which the density is ``final``.
        final: Density at the end, in (0, 1].
        power: In place of the 3.

    >>> [polynomial(fraction, begin=0.0, end=0.5, final=0.5) for fraction in (0.0, 0.25, 0.5, 1.0)]
    [1.0, 0.5625, 0.5, 0.5]
    """
    if fraction >= end:
        return final
    if fraction <= begin:
        return 1.0
    return final + (1.0 - final) * math.pow(1.0 - (fraction - begin) / (end - begin), power)


def due(step: int, steps: int, begin: float, end: float, times: int) -> bool:
    """Tell whether one of ``times`` events, spread evenly over (begin, end], falls on this step.

    The last event falls on the first step at or past ``end``, so a schedule always arrives. Events
    that would fall on one step are one event, and a window of no length holds one.

    Args:
        step: Number of the step, from 1 to ``steps``.
        steps: Number of steps of the training.
        begin: Share of training before the events.
        end: Share of training at the last event.
        times: Number of events.

    >>> [step for step in range(1, 101) if due(step, 100, begin=0.25, end=0.75, times=4)]
    [38, 50, 63, 75]
    """
    return events(step, steps, begin, end, times) > events(step - 1, steps, begin, end, times)


def events(step: int, steps: int, begin: float, end: float, times: int) -> int:
    """Return how many events fall on the first ``step`` steps. Arguments as for :func:`due`."""
    fraction = step / steps
    if fraction >= end:
        return times
    if fraction <= begin:
        return 0
    return int(times * (fraction - begin) / (end - begin))
