"""Points of a search, as the cluster runs them, and where they come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from switchbench.spec.trial import TrialConfig


@dataclass(frozen=True)
class Point:
    """One point of a search: the same options on every seed."""

    study: str
    number: int
    values: dict[str, Any]
    trials: Sequence[TrialConfig]
    watched: tuple[Any, ...] | None
    """Arguments of :func:`switchbench.tuning.study.watchers`, where a pruner watches."""


class PointSource(Protocol):
    """Who decides what a search tries, and is told what came of it."""

    def ask(self) -> Point | None:
        """The next point; None if there is none left."""

    def tell(self, point: Point, rows: list[dict[str, Any]]) -> None:
        """The rows of a point's trials, as far as it came."""
