"""Panels of measurements against a number: lines with bands, points with bars, the others in grey."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.markers import CARETDOWNBASE, CARETLEFTBASE, CARETRIGHTBASE, CARETUPBASE

from switchbench.reports.figures.panels import Entry, grid, groups, natural_width
from switchbench.reports.figures.style import GREY, NO_LINE, Style
from switchbench.reports.statistics.seeds import Numbers

HEIGHT, LOW_HEIGHT = 2.1, 1.15
"""Height of a single panel, and of one of several, in inches."""
OUTSIDE = " Triangles at an edge mark points beyond it: outliers, and density 0 at the left."
"""Sentence for the captions of figures whose axes are clipped."""
MOST_MARKERS = 16
"""Markers on one line."""


@dataclass(frozen=True)
class Series:
    """The measurements of one method."""

    label: str
    x: Numbers
    """Ascending."""
    y: Numbers
    """Means."""
    half: Numbers
    """Half-width of the interval of each mean; NaN if there is none."""

    @property
    def is_line(self) -> bool:
        """Whether the method has several points."""
        return len(self.x) > 1


def series(label: str, points: Iterable[tuple[float, float, float]]) -> Series:
    """Make a series from points (x, mean, half-width of the interval) in any order."""
    columns = np.array(sorted(points), dtype=float).reshape(-1, 3).T
    return Series(label, columns[0], columns[1], columns[2])


def lines_figure(
    drawn: Sequence[Series],
    styles: dict[str, Style],
    scales: Callable[[Axes, float], None],
    titles: tuple[str, str],
    width: float | None = None,
    top: Sequence[Entry] = (),
) -> Figure:
    """Draw series in one panel, or in several that each highlight a few.

    Args:
        drawn: The series.
        styles: Looks by label.
        scales: Sets scales, ranges and ticks of a panel of a width in inches.
        titles: Titles of the x and the y axis.
        width: Width of the figure in inches; default: its natural width.
        top: Entries of the key above all panels.

    Returns:
        The figure.
    """
    by_label = {each.label: each for each in drawn}
    shown = groups([*by_label])
    keys = [[Entry(label, styles[label], by_label[label].is_line) for label in group] for group in shown]
    if len(keys) == 1:
        keys, top = [[*top, *keys[0]]], ()
    heights = [HEIGHT if len(shown) == 1 else LOW_HEIGHT]
    made = grid(keys, width or natural_width(len(shown)), heights, titles[0], [titles[1]], top)
    for (panel,), group in zip(made.panels, shown, strict=True):
        scales(panel, made.size[0])
        in_grey(panel, [each for each in drawn if each.label not in group])
        for label in group:
            highlight(panel, by_label[label], styles[label])
    return made.finished()


def highlight(panel: Axes, each: Series, style: Style) -> None:
    """Draw a series in its own style: a line with a band, or a point with a bar. Set the ranges before."""
    low, high = each.y - each.half, each.y + each.half
    if np.isfinite(each.half).any():
        if each.is_line:
            panel.fill_between(each.x, low, high, color=style.colour, alpha=0.13, linewidth=0)
        else:
            bars = np.stack([np.column_stack([each.x, low]), np.column_stack([each.x, high])], axis=1)
            panel.add_collection(LineCollection([*bars], colors=style.colour, linewidths=0.8), autolim=False)
    panel.plot(
        each.x,
        each.y,
        color=style.colour,
        marker=style.marker,
        markevery=-(-len(each.x) // MOST_MARKERS),
        linestyle=style.dash if each.is_line else NO_LINE,
        label=each.label,
    )
    mark_outside(panel, each.x, each.y, style.colour)


def in_grey(panel: Axes, others: Sequence[Series]) -> None:
    """Draw series behind all others, in grey: two artists for any number of methods."""
    paths = [np.column_stack([each.x, each.y]) for each in others if each.is_line]
    if paths:
        panel.add_collection(LineCollection(paths, colors=GREY, linewidths=0.7, zorder=1), autolim=False)
    points = [(each.x, each.y) for each in others if not each.is_line]
    if points:
        x, y = (np.concatenate(part) for part in zip(*points, strict=True))
        panel.plot(x, y, color=GREY, marker=".", linestyle="none", zorder=1)


def mark_outside(panel: Axes, x: Numbers, y: Numbers, colour: str) -> None:
    """Mark the points that are beyond the ranges of the axes by triangles at the edge."""
    (left, right), (low, high) = panel.get_xlim(), panel.get_ylim()
    marks: list[tuple[int, npt.NDArray[np.bool_]]] = [
        (CARETDOWNBASE, y < low),
        (CARETUPBASE, y > high),
        (CARETLEFTBASE, x < left),
        (CARETRIGHTBASE, x > right),
    ]
    for marker, outside in marks:
        if outside.any():
            at = np.clip(x[outside], left, right), np.clip(y[outside], low, high)
            panel.plot(*at, color=colour, marker=marker, linestyle="none", markersize=4, clip_on=False)
