"""Figures with density on their x axis: targets are the ticks, the dense control is a horizontal line."""

import math
from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from switchbench.reports.cells import Cell, Task
from switchbench.reports.figures.axes import linear_y, log_limits, log_x
from switchbench.reports.figures.lines import Series, lines_figure
from switchbench.reports.figures.panels import Entry
from switchbench.reports.figures.style import Style

NONE_LEFT = 1e-12
"""Stands for density 0, which a log axis does not have: far left of all others, so that it is clipped."""


def measured(task: Task) -> dict[str, list[Cell]]:
    """Return the measured cells of each method but the dense control, without methods that have none."""
    dense = task.control
    cells: dict[str, list[Cell]] = {}
    for cell in task.measured:
        if cell is not dense and not math.isnan(density_of(cell)):
            cells.setdefault(cell.label, []).append(cell)
    return cells


def density_of(cell: Cell) -> float:
    """Return the mean density of a cell; its target density if trials do not state it; NaN without either."""
    density = cell.means["density"]
    return max(cell.target if math.isnan(density) else density, NONE_LEFT)


def density_figure(
    task: Task,
    drawn: Sequence[Series],
    styles: dict[str, Style],
    ends: tuple[float, float],
    title: str,
    width: float | None,
    level: tuple[float, float] | None,
) -> Figure:
    """Draw measurements against density.

    Args:
        task: The task.
        drawn: Means by density.
        styles: Looks of its methods.
        ends: Range of the y axis.
        title: Title of the y axis.
        width: Width of the figure in inches.
        level: Mean of the dense control and half-width of its interval; None without it.
    """
    dense = task.control
    look = replace(styles[dense.label], marker="") if dense else None
    across = log_limits([*task.densities, *(x for each in drawn for x in each.x if x > NONE_LEFT)])

    def scales(panel: Axes, inches: float) -> None:
        log_x(panel, across, inches, task.densities)
        linear_y(panel, ends)
        if level and look:
            mean, half = level
            panel.axhline(mean, color=look.colour, linestyle=look.dash, linewidth=0.9, zorder=1.5)
            if half > 0:
                panel.axhspan(mean - half, mean + half, color=look.colour, alpha=0.1, linewidth=0)

    top = [Entry(dense.label, look)] if dense and level and look else []
    return lines_figure(drawn, styles, scales, ("density", title), width, top)
