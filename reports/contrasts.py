"""Differences between two methods, paired by seed: of methods and their controls, and of requested pairs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from switchbench.reports.statistics import Summary, summarise
from switchbench.row import Status

Pair = tuple[str, str]
"""Label of a method, and label of the method that it is compared with."""


@dataclass(frozen=True)
class Contrast:
    """The differences between two methods on one task."""

    label: str
    """Label of the method."""
    against: str
    """Label of the method that is subtracted."""
    differences: dict[float, Summary]
    """Differences of test accuracy (shares) over pairs of the same seed, by target density."""

    @property
    def verdict(self) -> str:
        """The finding in one line: the densities by outcome (above, below, not told apart)."""
        outcomes: dict[str, list[str]] = {}
        for density, summary in self.differences.items():
            if summary.n:
                outcomes.setdefault(_outcome(summary), []).append(f"{density:g}")
        parts = [f"{outcome} {self.against} at {', '.join(at)}" for outcome, at in outcomes.items()]
        return f"{self.label}: {'; '.join(parts) or f'no seed in common with {self.against}'}"


def contrasts(rows: pd.DataFrame, densities: Sequence[float], pairs: Sequence[Pair]) -> list[Contrast]:
    """Return the differences between methods and their controls, and those of other pairs, on one task.

    Args:
        rows: The task's rows of the ledger's table, with the columns ``label``, ``method``, ``control_of``,
            ``target_density``, ``seed``, ``status`` and ``test_accuracy``.
        densities: Target densities at which methods are compared.
        pairs: Other pairs of labels. A pair is left out if the rows lack one of its labels, or if neither
            method takes a target density, because then the two end at different densities.

    Returns:
        One contrast per pair: controls first, then ``pairs``, without repeats.
    """
    present, targeted = set(rows["label"]), set(rows.dropna(subset=["target_density"])["label"])
    requested = [pair for pair in pairs if present.issuperset(pair) and targeted.intersection(pair)]
    shown = dict.fromkeys([*_controls(rows), *requested])
    measured = rows[rows["status"] == Status.OK]
    return [Contrast(*pair, _differences(measured, pair, densities)) for pair in shown]


def tie(summary: Summary) -> bool:
    """Return whether the interval of a difference contains zero. This does not mean that both are equal.

    Example:
        >>> tie(Summary(n=3, mean=0.01, std=0.02, interval=0.05))
        True
        >>> tie(Summary(n=3, mean=0.10, std=0.02, interval=0.05))
        False
    """
    return abs(summary.mean) <= summary.interval


def no_spread(summary: Summary) -> bool:
    """Return whether several differences are all equal, but for rounding. Their interval then says nothing.

    Example:
        >>> no_spread(summarise([0.25, 0.25]))
        True
    """
    return summary.n > 1 and summary.std < 1e-12


def _controls(rows: pd.DataFrame) -> list[Pair]:
    """Pair each control with its method, under the method's first label. Leave out those without targets."""
    rows = rows.dropna(subset=["target_density"])
    first = rows.drop_duplicates("method").set_index("method")["label"]
    controls = rows.dropna(subset=["control_of"]).drop_duplicates("label")
    named = zip(controls["control_of"], controls["label"], strict=True)
    return [(str(first[method]), str(control)) for method, control in named if method in first]


def _differences(rows: pd.DataFrame, pair: Pair, densities: Sequence[float]) -> dict[float, Summary]:
    """Summarise the differences at each density. A method that takes no target is compared at all of them."""
    one, other = (rows[rows["label"] == label].set_index("seed") for label in pair)
    return {density: summarise((_at(one, density) - _at(other, density)).dropna()) for density in densities}


def _at(rows: pd.DataFrame, density: float) -> "pd.Series[float]":
    """Return the accuracies at a density."""
    here = (rows["target_density"] == density) | rows["target_density"].isna()
    return rows.loc[here, "test_accuracy"]


def _outcome(summary: Summary) -> str:
    if math.isnan(summary.interval):
        return "one seed, no verdict against"
    if no_spread(summary):
        return "no spread over seeds, no verdict against"
    if tie(summary):
        return "not told apart from"
    return "above" if summary.mean > 0 else "below"
