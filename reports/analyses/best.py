"""The best method at a density, and those that the data do not show to be worse."""

from collections.abc import Mapping, Sequence
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
    """Methods that were tested against it, and that no corrected test shows to be below it."""
    identical: frozenset[str]
    """Methods that have the same value for every seed."""
    untested: frozenset[str]
    """Methods with fewer than two seeds in common with it: there is no test."""
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
    return best_of({cell.label: cell.compared for cell in cells if cell and len(cell.compared[0])})


def best_of(measured: Mapping[str, tuple[Numbers, Numbers]]) -> Best | None:
    """Return the best of some methods. Those of a single seed cannot be it if others have more.

    Args:
        measured: Seeds and values by label.

    Returns:
        The best; None if fewer than two methods can be it.
    """
    several = {label: each for label, each in measured.items() if len(each[0]) > 1}
    labels = [*(several or measured)]
    if len(labels) < 2:
        return None
    values = by_seed([measured[label] for label in labels])
    pairs = pairwise(values)
    best = int(np.nanargmax(pairs.scores)) if not np.isnan(pairs.scores).all() else 0
    below, shared = pairs.below(best), np.isfinite(values) & np.isfinite(values[:, [best]])
    tested = _named(labels, shared.sum(axis=0) > 1) - {labels[best]}
    same = [np.array_equal(column, values[:, best], equal_nan=True) for column in values.T]
    return Best(
        labels[best],
        not_worse=tested - _named(labels, below),
        identical=_named(labels, same) - {labels[best]},
        untested=frozenset(measured) - tested - {labels[best]},
        compared=len(measured),
    )


def _named(labels: Sequence[str], chosen: Sequence[bool] | Numbers) -> frozenset[str]:
    return frozenset(label for label, is_chosen in zip(labels, chosen, strict=True) if is_chosen)
