"""The best method at a density, and those that the data do not tell apart from it."""

from dataclasses import dataclass

from switchbench.reports.cells import Task
from switchbench.reports.memory import remembered
from switchbench.reports.statistics.paired import Verdict, family


@dataclass(frozen=True)
class Ranked:
    """The best of several methods."""

    label: str
    """The method with the highest mean."""
    tied: frozenset[str]
    """Methods that are not below it by a corrected test; a method of one seed is never told apart."""


@remembered
def best_by_density(task: Task, density: float) -> Ranked | None:
    """Return the best method at a target density.

    Args:
        task: The task.
        density: One of its target densities.

    Returns:
        The method with the highest mean test accuracy among those that took this target; None if fewer than
        two were measured. The others are tested against it, paired by seed, and corrected over the column
        (Holm).
    """
    cells = [task.cells[label, density] for label in task.labels if (label, density) in task.cells]
    measured = [cell for cell in cells if cell.accuracy.n]
    if len(measured) < 2:
        return None
    best = max(measured, key=lambda cell: cell.accuracy.mean)
    others = [cell.label for cell in measured if cell is not best]
    tests = family([task.differences(label, best.label, density) for label in others], task.margin)
    tied = [label for label, test in zip(others, tests, strict=True) if test.verdict is not Verdict.BELOW]
    return Ranked(best.label, frozenset(tied))
