"""Test accuracy against density."""

from matplotlib.figure import Figure

from switchbench.reports.cells import Task
from switchbench.reports.figures.axes import percent_limits
from switchbench.reports.figures.density import density_figure, density_of, measured
from switchbench.reports.figures.lines import series
from switchbench.reports.figures.settings import settings
from switchbench.reports.figures.style import Style
from switchbench.reports.statistics.summary import Summary

CAPTION = (
    "Test accuracy against density, the share of weights kept in scope: means and 95 % intervals over seeds "
    "(Student's t)."
)


@settings()
def accuracy_figure(task: Task, styles: dict[str, Style], width: float | None = None) -> Figure | None:
    """Draw test accuracy against density.

    Args:
        task: The task.
        styles: Looks of its methods.
        width: Width in inches; default: one column, or two where methods need several panels.

    Returns:
        The figure; None if nothing was measured.
    """
    drawn = [
        series(label, [(density_of(cell), *in_percent(cell.accuracy)) for cell in cells])
        for label, cells in measured(task).items()
    ]
    if not drawn:
        return None
    dense = task.control
    level = in_percent(dense.accuracy) if dense else None
    points = [(mean, half) for each in drawn for mean, half in zip(each.y, each.half, strict=True)]
    ends = percent_limits(*zip(*points, *([level] if level else []), strict=True))
    return density_figure(task, drawn, styles, ends, "test accuracy (%)", width, level)


def in_percent(accuracy: Summary) -> tuple[float, float]:
    """Return the mean and the half-width of its interval in %."""
    return 100 * accuracy.mean, 100 * accuracy.interval
