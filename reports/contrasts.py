"""Differences between two methods, paired by seed: against controls, and where one is asked for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from switchbench.reports.statistics import Summary, summarise
from switchbench.row import Status

Pair = tuple[str, str]
"""Labels of a method and of what it is compared with."""


@dataclass(frozen=True)
class Contrast:
    """A method minus another, on one task."""

    label: str
    against: str
    differences: dict[float, Summary]
    """Difference of test accuracies of the same seed, by target density."""

    @property
    def verdict(self) -> str:
        """What the differences say, in one line."""
        said: dict[str, list[str]] = {}
        for density, summary in self.differences.items():
            if summary.n:
                said.setdefault(_reading(summary), []).append(f"{density:g}")
        parts = [f"{reading} {self.against} at {', '.join(at)}" for reading, at in said.items()]
        return f"{self.label}: {'; '.join(parts) or f'no seed in common with {self.against}'}"


def contrasts(rows: pd.DataFrame, densities: Sequence[float], pairs: Sequence[Pair]) -> list[Contrast]:
    """Methods against their controls, and the ``pairs`` besides, in one task's rows. Pairs of methods
    that both take no target are left out: they end at densities of their own."""
    present, aimed = set(rows["label"]), set(rows.dropna(subset=["target_density"])["label"])
    asked = [pair for pair in pairs if present.issuperset(pair) and aimed.intersection(pair)]
    return [
        Contrast(*pair, {density: _difference(rows, pair, density) for density in densities})
        for pair in dict.fromkeys([*_controls(rows), *asked])
    ]


def tie(summary: Summary) -> bool:
    """Whether the interval of a difference holds zero."""
    return abs(summary.mean) <= summary.interval


def _controls(rows: pd.DataFrame) -> list[Pair]:
    """Each control with the method that it belongs to, under the first of its labels. Those that take
    no target are left out: they end at densities of their own."""
    rows = rows.dropna(subset=["target_density"])
    first = rows.drop_duplicates("method").set_index("method")["label"]
    controls = rows.dropna(subset=["control_of"]).drop_duplicates("label")
    named = zip(controls["control_of"], controls["label"], strict=True)
    return [(str(first[method]), str(control)) for method, control in named if method in first]


def _difference(rows: pd.DataFrame, pair: Pair, density: float) -> Summary:
    """A method that takes no target is compared at every density."""
    ok = rows[rows["status"] == Status.OK]
    here = ok[(ok["target_density"] == density) | ok["target_density"].isna()]
    one, other = (here[here["label"] == label].set_index("seed")["test_accuracy"] for label in pair)
    return summarise((one - other).dropna().tolist())


def _reading(summary: Summary) -> str:
    if math.isnan(summary.interval):
        return "one seed, no verdict against"
    if tie(summary):
        return "not told apart from"
    return "above" if summary.mean > 0 else "below"
