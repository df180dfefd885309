"""Differences between two methods, paired by seed: of methods and their controls, and of requested pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from switchbench.reports.paired import MARGIN, MOST_SEEDS, Difference, Verdict, family
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
    differences: dict[float, Difference]
    """Differences of test accuracy (shares) over pairs of the same seed, by target density."""

    @property
    def verdict(self) -> str:
        """The finding in one line: the densities by outcome."""
        outcomes: dict[Verdict, list[str]] = {}
        for density, difference in self.differences.items():
            if difference.verdict != Verdict.UNMEASURED:
                outcomes.setdefault(difference.verdict, []).append(f"{density:g}{_more(difference)}")
        parts = [f"{outcome} {self.against} at {', '.join(at)}" for outcome, at in outcomes.items()]
        return f"{self.label}: {'; '.join(parts) or f'no seed in common with {self.against}'}"


def _more(difference: Difference) -> str:
    """Say how many more seeds would decide an undecided difference."""
    if difference.verdict != Verdict.UNDECIDED:
        return ""
    seeds = f"{difference.more_seeds:+}" if difference.more_seeds else f"over {MOST_SEEDS:,}"
    return f" ({seeds} seeds)"


def contrasts(
    rows: pd.DataFrame, densities: Sequence[float], pairs: Sequence[Pair], margin: float = MARGIN
) -> list[Contrast]:
    """Return the differences between methods and their controls, and those of other pairs, on one task.

    Args:
        rows: The task's rows of the ledger's table, with the columns ``label``, ``method``, ``control_of``,
            ``target_density``, ``seed``, ``status`` and ``test_accuracy``.
        densities: Target densities at which methods are compared.
        pairs: Other pairs of labels. A pair is left out if the rows lack one of its labels, or if neither
            method takes a target density, because then the two end at different densities.
        margin: Differences smaller than this, as shares, count as equal.

    Returns:
        One contrast per pair: controls first, then ``pairs``, without repeats. All differences of the task
        are one family of tests.
    """
    present, targeted = set(rows["label"]), set(rows.dropna(subset=["target_density"])["label"])
    requested = [pair for pair in pairs if present.issuperset(pair) and targeted.intersection(pair)]
    shown = dict.fromkeys([*_controls(rows), *requested])
    measured = rows[rows["status"] == Status.OK]
    compared = [(pair, density) for pair in shown for density in densities]
    found = [_differences(measured, pair, density) for pair, density in compared]
    tested = dict(zip(compared, family(found, margin), strict=True))
    return [Contrast(*pair, {density: tested[pair, density] for density in densities}) for pair in shown]


def _controls(rows: pd.DataFrame) -> list[Pair]:
    """Pair each control with its method, under the method's first label. Leave out those without targets."""
    rows = rows.dropna(subset=["target_density"])
    first = rows.drop_duplicates("method").set_index("method")["label"]
    controls = rows.dropna(subset=["control_of"]).drop_duplicates("label")
    named = zip(controls["control_of"], controls["label"], strict=True)
    return [(str(first[method]), str(control)) for method, control in named if method in first]


def _differences(rows: pd.DataFrame, pair: Pair, density: float) -> list[float]:
    """Return the differences at a density. A method that takes no target is compared at all of them."""
    one, other = (rows[rows["label"] == label].set_index("seed") for label in pair)
    return (_at(one, density) - _at(other, density)).dropna().tolist()


def _at(rows: pd.DataFrame, density: float) -> "pd.Series[float]":
    """Return the accuracies at a density."""
    here = (rows["target_density"] == density) | rows["target_density"].isna()
    return rows.loc[here, "test_accuracy"]
