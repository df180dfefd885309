"""Test accuracy relative to the dense control, against density."""

from matplotlib.figure import Figure

from switchbench.reports.cells import Cell, Task
from switchbench.reports.figures.axes import limits
from switchbench.reports.figures.density import density_figure, density_of, measured
from switchbench.reports.figures.lines import series
from switchbench.reports.figures.settings import settings
from switchbench.reports.figures.style import Style
from switchbench.reports.statistics.summary import summarise

CAPTION = (
    "Test accuracy minus that of {dense}, the dense control with the same seed, in percentage points, "
    "against density: means and 95 % intervals over pairs (Student's t). Zero is the dense control."
)


@settings()
def relative_figure(task: Task, styles: dict[str, Style], width: float | None = None) -> Figure | None:
    """Draw differences from the dense control, paired by seed, against density.

    Args:
        task: The task.
        styles: Looks of its methods.
        width: Width in inches; default: one column, or two where methods need several panels.

    Returns:
        The figure; None if no method has a seed in common with the dense control.
    """
    dense = task.control
    if not dense:
        return None
    drawn = [
        series(label, (point for cell in cells if (point := _point(task, cell, dense.label))))
        for label, cells in measured(task).items()
    ]
    drawn = [each for each in drawn if len(each.x)]
    if not drawn:
        return None
    ends = limits([0, *(mean for each in drawn for mean in each.y)], room=0.3)
    ends = min(ends[0], -0.3), max(ends[1], 0.3)
    return density_figure(task, drawn, styles, ends, "difference (points)", width, (0, 0))


def _point(task: Task, cell: Cell, dense: str) -> tuple[float, float, float] | None:
    """Return density, mean difference and half-width of its interval, in points; None without a pair."""
    difference = summarise(100 * task.differences(cell.label, dense, cell.target))
    return (density_of(cell), difference.mean, difference.interval) if difference.n else None
