"""Pareto fronts of accuracy against density and cost, and how sure they are."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from switchbench.reports.cells import LATENCY, Cell, Task, mean
from switchbench.reports.memory import remembered
from switchbench.reports.statistics.pareto import on_front
from switchbench.reports.statistics.seeds import Numbers, by_seed

DRAWS = 500
"""Bootstrap draws."""


@dataclass(frozen=True)
class Cost:
    """A cost that accuracy is set against."""

    name: str
    heading: str
    values: Callable[[Cell], Numbers]
    """The cost of each measured seed of a cell."""
    unit: str = ""
    """Of the axis."""


COSTS: tuple[Cost, ...] = (
    Cost("density", "density in scope", lambda cell: cell.values["density"]),
    Cost(
        "non-zero",
        "non-zero parameters",
        lambda cell: cell.values["density_network"] * cell.values["parameters"],
    ),
    Cost("macs", "MACs", lambda cell: cell.values["macs"]),
    Cost("macs-shrunk", "MACs without dead units", lambda cell: cell.values["macs_shrunk"]),
    Cost("train-flops", "training FLOPs", lambda cell: cell.values["train_flops"]),
    Cost(
        "latency", "latency per image", lambda cell: 1e3 * cell.values.get(LATENCY, cell.seeds * np.nan), "ms"
    ),
    Cost("train-seconds", "training time", lambda cell: cell.values["train_seconds"], "s"),
)
"""The costs, in the order of the report. Latency is there if networks were timed."""


@dataclass(frozen=True)
class Point:
    """A method at a target density."""

    label: str
    target: float
    cost: float
    """Mean over seeds."""
    accuracy: float
    """Mean over seeds, as a share."""
    on_front: bool
    """Whether no other point costs less and is as accurate, or costs as much and is more accurate."""


@dataclass(frozen=True)
class Front:
    """Accuracy against one cost."""

    name: str
    heading: str
    unit: str
    points: list[Point]
    shares: dict[str, float]
    """By label: share of bootstrap draws (of seeds, with replacement) in which the method is on the front."""
    seeds: int
    """Number of seeds that were drawn from; shares of fewer than three say little."""


@remembered
def fronts(task: Task, costs: tuple[Cost, ...] = COSTS) -> list[Front]:
    """Return the Pareto fronts of a task.

    Seeds are drawn with replacement, the same ones for all methods, as comparisons are paired by seed. Each
    draw has its own means of accuracy and cost, and its own front.

    Args:
        task: The task.
        costs: The costs; those that no cell of the task has are left out.

    Returns:
        One front per cost.
    """
    task = task.whole
    cells = task.measured
    if not cells:
        return []
    accuracies = by_seed([(cell.seeds, cell.accuracies) for cell in cells])
    weights = _weights(len(accuracies), task.title)
    drawn = _weighted_means(weights, accuracies)
    made = []
    for cost in costs:
        values = by_seed([(cell.seeds, cost.values(cell)) for cell in cells])
        if not np.isnan(values).all():
            made.append(_front(cost, cells, _weighted_means(weights, values), drawn, len(accuracies)))
    return made


def _front(
    cost: Cost,
    cells: list[Cell],
    drawn_costs: Numbers,
    drawn_accuracies: Numbers,
    seeds: int,
) -> Front:
    means = np.array([mean(cost.values(cell)) for cell in cells])
    gains = np.array([cell.accuracy.mean for cell in cells])
    front = on_front(means, gains)
    able = ~_always_dominated(drawn_costs, drawn_accuracies)
    drawn = on_front(drawn_costs[:, able], drawn_accuracies[:, able])
    labels = np.array([cell.label for cell in cells], dtype=object)
    shares = {
        label: float(drawn[:, labels[able] == label].any(axis=1).mean()) for label in dict.fromkeys(labels)
    }
    points = [
        Point(cell.label, cell.target, float(cost_), float(gain), bool(on))
        for cell, cost_, gain, on in zip(cells, means, gains, front, strict=True)
    ]
    return Front(cost.name, cost.heading, cost.unit, points, shares, seeds)


def _always_dominated(costs: Numbers, gains: Numbers) -> Numbers:
    """Tell which points another dominates, whatever the draw: most, and they need not be sorted."""
    costs, gains = np.where(np.isnan(costs), np.inf, costs), np.where(np.isnan(gains), -np.inf, gains)
    cheapest, dearest = costs.min(axis=0), costs.max(axis=0)
    lowest, highest = gains.min(axis=0), gains.max(axis=0)
    order = np.argsort(dearest, kind="stable")
    surest = np.maximum.accumulate(lowest[order])  # of the points that never cost more
    cheaper = np.searchsorted(dearest[order], cheapest, side="right") - 1
    dominated: Numbers = (cheaper >= 0) & (surest[np.maximum(cheaper, 0)] > highest)
    return dominated


def _weights(seeds: int, title: str) -> Numbers:
    """Return how often each seed is in each draw. The generator depends on the task alone: reports repeat."""
    generator = np.random.default_rng(zlib.crc32(title.encode()))
    return generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=DRAWS).astype(float)


def _weighted_means(weights: Numbers, values: Numbers) -> Numbers:
    """Return the mean of each column under each draw, over the seeds that have a value.

    A column whose seeds a draw does not hold keeps its mean of all seeds: it is not gone from that draw.
    """
    known = ~np.isnan(values)
    filled, counted = np.where(known, values, 0), known.astype(float)
    drawn = weights @ counted
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=0) / counted.sum(axis=0)
        means: Numbers = np.where(drawn > 0, (weights @ filled) / drawn, mean)
    return means
