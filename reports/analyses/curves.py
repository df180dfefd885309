"""What a method's whole curve of accuracy against density says: its area, and where it falls below dense."""

import math
from dataclasses import dataclass

import numpy as np

from switchbench.reports.analyses.best import Best, best_of
from switchbench.reports.cells import Task
from switchbench.reports.memory import remembered
from switchbench.reports.statistics.seeds import Numbers, common
from switchbench.reports.statistics.summary import Summary, summarise

LOST = 0.01
"""Share of accuracy that a method may lose against the dense control: one percentage point."""


@remembered
def areas(task: Task) -> dict[str, Summary]:
    """Return the area under accuracy against log density, of each method that was measured at all targets.

    The area is divided by its width, so that it is a mean accuracy in which each factor of density counts the
    same. Only seeds that were measured at every target count.

    Args:
        task: A task with two or more target densities; with fewer, nothing is returned. All its methods and
            densities count, shown or not.

    Returns:
        Statistics of the areas over seeds, as shares of accuracy, by label.
    """
    return {label: summarise(values) for label, (_, values) in seed_areas(task).items()}


def seed_areas(task: Task) -> dict[str, tuple[Numbers, Numbers]]:
    """Return the seeds that were measured at every target, and their areas, by label.

    A method that ended denser than one of its targets has no area.
    """
    task, found = task.whole, {}
    for label in task.with_targets():
        seeds, accuracies = _by_seed(task, label)
        if len(task.densities) > 1 and len(seeds):
            found[label] = (seeds, area(np.log(task.densities), accuracies))
    return found


@remembered
def best_area(task: Task) -> Best | None:
    """Return the method with the largest area; None if fewer than two have one."""
    return best_of(seed_areas(task))


def area(log_densities: Numbers, accuracies: Numbers) -> Numbers:
    """Integrate each row of accuracies by trapezoids over falling log densities, and divide by the width."""
    widths = -np.diff(log_densities)
    heights = (accuracies[:, 1:] + accuracies[:, :-1]) / 2
    means: Numbers = heights @ widths / widths.sum()
    return means


def _by_seed(task: Task, label: str) -> tuple[Numbers, Numbers]:
    """Return the seeds that have all targets, and their accuracies, one row per seed, targets falling."""
    cells = [task.cells.get((label, density)) for density in task.densities]
    if not cells or any(cell is None or cell.denser for cell in cells):
        return np.empty(0, int), np.empty((0, len(cells)))
    present = [cell for cell in cells if cell is not None]
    seeds = present[0].seeds
    for cell in present[1:]:
        seeds = seeds[common(seeds, cell.seeds)[0]]
    at = [cell.accuracies[np.searchsorted(cell.seeds, seeds)] for cell in present]
    return seeds, np.stack(at, axis=1)


@dataclass(frozen=True)
class Crossing:
    """The density at which a method has lost :data:`LOST` against the dense control."""

    n: int
    """Number of seeds."""
    density: float
    """Geometric mean over the seeds, or their median if some are not known; NaN if the median is not."""
    low: float
    """Lower end of the 95 % interval (Student's t, of the logarithm), at least the lowest target; NaN unless
    all seeds are known and differ."""
    high: float
    """Its upper end, at most the highest target."""
    below: int
    """Number of seeds that lose less at all densities: theirs is lower than the lowest target."""
    above: int
    """Number of seeds that lose more at all densities: theirs is higher than the highest target."""


@remembered
def crossings(task: Task, lost: float = LOST) -> dict[str, Crossing]:
    """Return, for each method, the density at which it has lost some accuracy against the dense control.

    Each seed's curve is compared with the dense network of the same seed, and interpolated linearly in log
    density between the densities that were reached. Where a curve crosses several times, the highest
    density counts.

    Args:
        task: A task with the dense control; without, nothing is returned.
        lost: Share of accuracy.

    Returns:
        The crossings by label, of the methods with seeds that the dense control has too.
    """
    control, task = task.control, task.whole
    if control is None or not task.densities:
        return {}
    found = {}
    for label in task.with_targets():
        seeds, accuracies = _by_seed(task, label)
        own, dense = common(seeds, control.seeds)
        if len(seeds[own]):
            lead = accuracies[own] - (control.accuracies[dense][:, None] - lost)
            found[label] = _summarised(np.log(_reached(task, label)), lead)
    return found


def _reached(task: Task, label: str) -> list[float]:
    """Return a method's density at each target: the target itself unless it was missed. A dead one stays."""
    cells = [task.cells[label, density] for density in task.densities]
    return [(cell.missed and cell.means["density"]) or cell.target for cell in cells]


def _summarised(log_densities: Numbers, lead: Numbers) -> Crossing:
    """Summarise the crossings of several seeds. ``lead``: accuracy above the level; rows are seeds."""
    logs = _crossed(log_densities, lead)
    below, above = int((logs == -math.inf).sum()), int((logs == math.inf).sum())
    if not below and not above:
        summary = summarise(logs)
        low, high = (summary.mean + sign * summary.interval for sign in (-1, 1))
        low, high = np.maximum(low, log_densities.min()), np.minimum(high, log_densities.max())  # NaN stays
        return Crossing(len(logs), math.exp(summary.mean), math.exp(low), math.exp(high), 0, 0)
    ordered = np.sort(logs)
    middle = ordered[(len(logs) - 1) // 2 : len(logs) // 2 + 1]
    known = math.exp(float(middle.mean())) if np.isfinite(middle).all() else math.nan
    return Crossing(len(logs), known, math.nan, math.nan, below, above)


def _crossed(log_densities: Numbers, lead: Numbers) -> Numbers:
    """Return the log density at which each row first falls below 0; ±infinity beyond the first and last."""
    fallen = lead < 0
    first = np.where(fallen.any(axis=1), fallen.argmax(axis=1), -1)
    crossed = np.full(len(lead), -math.inf)
    crossed[first == 0] = math.inf
    rows = np.flatnonzero(first > 0)
    at = first[rows]
    before, after = lead[rows, at - 1], lead[rows, at]
    share = before / (before - after)
    crossed[rows] = log_densities[at - 1] + share * (log_densities[at] - log_densities[at - 1])
    return crossed
