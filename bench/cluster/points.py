"""Points of a search as the cluster runs them, and the interface of their source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from switchbench.row import Row
from switchbench.spec.trial import TrialConfig
from switchbench.trial.control import Watch


class Pruner(Protocol):
    """Settings of a pruner as plain values. A worker receives them and makes the watch of each trial."""

    def watchers(self) -> Callable[[int], Watch]:
        """Return a function seed index -> watch. The watch raises Pruned when the trial should stop."""


@dataclass(frozen=True)
class Point:
    """One point of a search: the same options on every seed."""

    study: str
    """Label of the point's method."""
    number: int
    """Number of the point in its study."""
    trials: Sequence[TrialConfig]
    """One per seed."""
    pruner: Pruner | None = None
    """None: its trials always run to the end."""


class PointSource(Protocol):
    """Chooses the points of a search, and receives their results."""

    def ask(self) -> Point | None:
        """Return the next point; None if there is none left."""

    def tell(self, point: Point, rows: list[Row]) -> None:
        """Receive the result of a point.

        Args:
            point: The point.
            rows: Rows of its trials, in the order of the seeds. If a trial has no measurement, its row is the
                last one: later seeds do not run.
        """
