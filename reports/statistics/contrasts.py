"""Differences between two methods, paired by seed: of methods and their controls, and of requested pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from switchbench.reports.statistics.margin import MARGIN
from switchbench.reports.statistics.paired import MOST_SEEDS, Difference, Verdict, family
from switchbench.reports.statistics.seeds import Numbers, common

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

    def only(self, densities: Sequence[float]) -> "Contrast":
        """Return the contrast at some of its densities."""
        return replace(self, differences={density: self.differences[density] for density in densities})

    @property
    def verdict(self) -> str:
        """The finding in one line: the densities by outcome."""
        outcomes: dict[Verdict, list[str]] = {}
        for density, difference in self.differences.items():
            if difference.verdict != Verdict.UNMEASURED:
                outcomes.setdefault(difference.verdict, []).append(f"{density:g}{_more(difference)}")
        parts = [f"{outcome} {self.against} at {', '.join(at)}" for outcome, at in outcomes.items()]
        nowhere = f"not compared with {self.against}: no seed in common, or denser than the target"
        return f"{self.label}: {'; '.join(parts) or nowhere}"


def _more(difference: Difference) -> str:
    """Say how many more seeds would decide an undecided difference."""
    if difference.verdict != Verdict.UNDECIDED:
        return ""
    seeds = f"{difference.more_seeds:+}" if difference.more_seeds else f"over {MOST_SEEDS:,}"
    return f" ({seeds} seed{'' if difference.more_seeds == 1 else 's'})"


@dataclass(frozen=True)
class Paired:
    """Accuracies by seed: what contrasts are made of."""

    methods: dict[str, str]
    """Name of the method of each label, in the order of the plan."""
    control_of: dict[str, str]
    """For the label of a control: name of the method that it is a control of."""
    densities: Sequence[float]
    """Target densities at which methods are compared."""
    cells: Mapping[tuple[str, float | None], tuple[Numbers, Numbers]]
    """Seeds and accuracies by label and target density (None: the method takes no target)."""

    def differences(self, label: str, against: str, density: float) -> Numbers:
        """Return the differences of the seeds that both have, at a density.

        A method that takes no target is compared at all of them.
        """
        one, other = self._at(label, density), self._at(against, density)
        if one is None or other is None:
            return np.empty(0)
        ours, theirs = common(one[0], other[0])
        found: Numbers = one[1][ours] - other[1][theirs]
        return found

    def _at(self, label: str, density: float) -> tuple[Numbers, Numbers] | None:
        return self.cells.get((label, density)) or self.cells.get((label, None))

    def takes_target(self, label: str) -> bool:
        """Return whether a method takes a target density."""
        return label in self._targeted

    @cached_property
    def _targeted(self) -> set[str]:
        return {label for label, density in self.cells if density is not None}


def contrasts(paired: Paired, pairs: Sequence[Pair], margin: float = MARGIN) -> list[Contrast]:
    """Return the differences between methods and their controls, and those of other pairs, on one task.

    Args:
        paired: The accuracies of the task.
        pairs: Other pairs of labels. A pair is left out if the task lacks one of its labels, or if neither
            method takes a target density, because then the two end at different densities.
        margin: Differences smaller than this, as shares, count as equal.

    Returns:
        One contrast per pair: controls first, then ``pairs``, without repeats. All differences of the task
        are one family of tests.
    """
    requested = [
        pair
        for pair in pairs
        if paired.methods.keys() >= {*pair} and any(paired.takes_target(label) for label in pair)
    ]
    shown = dict.fromkeys([*_controls(paired), *requested])
    compared = [(pair, density) for pair in shown for density in paired.densities]
    found = [paired.differences(*pair, density) for pair, density in compared]
    tested = dict(zip(compared, family(found, margin), strict=True))
    return [
        Contrast(*pair, {density: tested[pair, density] for density in paired.densities}) for pair in shown
    ]


def _controls(paired: Paired) -> list[Pair]:
    """Pair each control with its method. Leave out those without targets.

    Of several labels of the method, the one with the control's addition counts, else the first: reports of
    several folders give both an addition, as in ``switcher (two)``.
    """
    labels: dict[str, list[str]] = {}
    for label, method in paired.methods.items():
        if paired.takes_target(label):
            labels.setdefault(method, []).append(label)
    pairs = []
    for control, method in paired.control_of.items():
        if paired.takes_target(control) and method in labels:
            addition = _addition(control)
            own = [label for label in labels[method] if addition and label.endswith(addition)]
            pairs.append(((own or labels[method])[0], control))
    return pairs


def _addition(label: str) -> str:
    """Return the end of a label in parentheses; empty if there is none.

    >>> _addition("rigl (two)"), _addition("rigl")
    (' (two)', '')
    """
    return label[label.rfind(" (") :] if label.endswith(")") and " (" in label else ""
