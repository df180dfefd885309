"""Points of a search, as the cluster runs them, and where they come from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from switchbench.row import Row
from switchbench.spec.trial import TrialConfig
from switchbench.trial.control import Watch


class Pruner(Protocol):
    """Plain values, sent to a worker, from which it makes what may end a point's trials early."""

    def watchers(self) -> Callable[[int], Watch]:
        """Return a function seed index -> watch."""


@dataclass(frozen=True)
class Point:
    """One point of a search: the same options on every seed."""

    study: str
    """Label of its method."""
    number: int
    """In its study."""
    trials: Sequence[TrialConfig]
    """One per seed."""
    pruner: Pruner | None = None


class PointSource(Protocol):
    """Decides what a search tries, and is told what came of it."""

    def ask(self) -> Point | None:
        """The next point; None if there is none left."""

    def tell(self, point: Point, rows: list[Row]) -> None:
        """Take the rows of a point's trials; the last one may be unmeasured, and then later seeds are
        missing."""
