"""The best method at a density, and those that the data do not show to be worse."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from switchbench.reports.cells import Task
from switchbench.reports.memory import remembered
from switchbench.reports.statistics.pairwise import pairwise
from switchbench.reports.statistics.seeds import Numbers, by_seed


@dataclass(frozen=True)
class Best:
    """The best of several methods."""

    label: str
    """The method with the highest mean, on the seeds that pairs of methods share."""
    not_worse: frozenset[str]
    """Methods that no corrected test shows to be below it; a method of one seed never is. None where all
    methods have one seed: there is no test."""
    identical: frozenset[str]
    """Those of them that have the same value for every seed."""
    compared: int
    """Number of methods, the best included."""


@remembered
def best_by_density(task: Task, density: float) -> Best | None:
    """Return the best method at a target density, of all methods of the task, shown or not.

    Methods that ended denser than the target take no part, nor do methods of a single seed if others have
    more: the best of those is the luckiest.

    Args:
        task: The task.
        density: One of its target densities.

    Returns:
        The method with the highest mean test accuracy; None if fewer than two were measured. All pairs of
        methods are one family of paired tests (Holm).
    """
    cells = [task.whole.cells.get((label, density)) for label in task.whole.labels]
    measured = [cell for cell in cells if cell and cell.accuracy.n and not cell.denser]
    several = [cell for cell in measured if cell.accuracy.n > 1]
    own = several or measured
    if len(own) < 2:
        return None
    found = best_of([cell.label for cell in own], by_seed([(cell.seeds, cell.accuracies) for cell in own]))
    single = {cell.label for cell in measured} - {cell.label for cell in own}
    return Best(found.label, found.not_worse | single, found.identical, len(measured))


def best_of(labels: Sequence[str], values: Numbers) -> Best:
    """Return the best of some methods.

    Args:
        labels: Two or more methods.
        values: One row per seed, one column per method; NaN where a seed is missing.
    """
    pairs = pairwise(values)
    best = int(np.nanargmax(pairs.scores)) if not np.isnan(pairs.scores).all() else 0
    below = pairs.below(best)
    tested = np.isfinite(values).sum(axis=0).max() > 1
    others = [label for at, label in enumerate(labels) if tested and at != best and not below[at]]
    same = [labels[at] for at in range(len(labels)) if np.array_equal(values[:, at], values[:, best], True)]
    return Best(labels[best], frozenset(others), frozenset(same) - {labels[best]}, len(labels))
