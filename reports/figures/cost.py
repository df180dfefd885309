"""The cost of finding the structure against accuracy, at one density."""

import math
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from switchbench.reports.cells import Cell, Task
from switchbench.reports.figures.accuracy import in_percent
from switchbench.reports.figures.axes import linear_y, log_limits, log_x, percent_limits
from switchbench.reports.figures.lines import lines_figure, series
from switchbench.reports.figures.settings import settings
from switchbench.reports.figures.style import Style

Unit = Literal["FLOPs", "time"]
SAME = 1.02
"""Costs that differ by a smaller factor are the same: a picture of them would be a column of points."""
CAPTION = (
    "Test accuracy{where} against the training {unit}, relative to one round of plain "
    "training: means and 95 % intervals over seeds (Student's t). Methods without a target density stand at "
    "the density that they reached."
)


@settings()
def cost_figure(
    task: Task,
    styles: dict[str, Style],
    density: float | None = None,
    unit: Unit = "FLOPs",
    width: float | None = None,
) -> Figure | None:
    """Draw accuracy against the cost of training over that of plain training.

    Args:
        task: The task.
        styles: Looks of its methods.
        density: Target density; default: the lowest.
        unit: What counts as cost.
        width: Width in inches; default: one column, or two where methods need several panels.

    Returns:
        The figure; None if no method has a measured cost, or all have the same one.
    """
    density = min(task.densities, default=math.nan) if density is None else density
    cells = [cell for label in task.labels if (cell := task.cell(label, density)) and cell.accuracy.n]
    drawn = [
        series(cell.label, [(cost, *in_percent(cell.accuracy))])
        for cell in cells
        if (cost := _cost(cell, unit)) > 0
    ]
    costs = [each.x[0] for each in drawn]
    if not costs or max(costs) < SAME * min(costs):
        return None
    across = log_limits(costs)
    ends = percent_limits([each.y[0] for each in drawn], [each.half[0] for each in drawn])

    def scales(panel: Axes, inches: float) -> None:
        log_x(panel, across, inches)
        linear_y(panel, ends)

    return lines_figure(drawn, styles, scales, (f"training {unit} / plain", "test accuracy (%)"), width)


def _cost(cell: Cell, unit: Unit) -> float:
    """Return the mean cost over that of plain training; NaN if it was not measured."""
    if unit == "FLOPs":
        return cell.flops
    return float(np.mean(cell.times)) if cell.times else math.nan
