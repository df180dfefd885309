"""Critical-difference diagrams (Demšar 2006, Statistical comparisons of classifiers)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from switchbench.reports.figures.panels import EDGE, LINE_HEIGHT
from switchbench.reports.figures.settings import settings
from switchbench.reports.figures.style import DOUBLE, SMALL, Style
from switchbench.reports.figures.text import even_step, shown, wrapped
from switchbench.reports.figures.text import width as text_width

CAPTION = (
    "Average ranks over {tasks} tasks, by area under accuracy against log density; 1 is best. Bars join "
    "methods whose ranks differ by less than the critical difference (CD; Nemenyi's test at 5 %, Demšar "
    "2006): the data do not tell them apart, which does not mean that they are equal."
)
AXIS, CD, BAR = 0.36, 0.2, 0.06
"""Heights in inches: of the axis with its labels, of the critical difference, of a bar."""
LEAST_AXIS, INDENT = 1.1, 0.16
"""Widths in inches: of the axis at least, and between the axis and the labels."""


@settings()
def ranks_figure(
    ranks: Mapping[str, float],
    groups: Sequence[Sequence[str]],
    critical_difference: float | None,
    styles: dict[str, Style],
    width: float = DOUBLE,
) -> Figure | None:
    """Draw average ranks on an axis, with bars that join methods without a significant difference.

    Args:
        ranks: Average rank of each method; lower is better.
        groups: Methods without a significant difference, for each bar.
        critical_difference: Least difference of two ranks that counts; None if tests are pairwise.
        styles: Looks of the methods.
        width: Width in inches.

    Returns:
        The figure; None with fewer than two methods.
    """
    ordered = sorted((label for label in ranks if math.isfinite(ranks[label])), key=lambda each: ranks[each])
    if len(ordered) < 2:
        return None
    difference = critical_difference if critical_difference and math.isfinite(critical_difference) else 0
    half = -(-len(ordered) // 2)
    sides = ordered[:half], ordered[: half - 1 : -1]  # the outermost first, so that leaders do not cross
    room = (width - LEAST_AXIS) / 2 - INDENT - EDGE
    texts = {label: wrapped(f"{shown(label)}  {ranks[label]:.2f}", room, SMALL) for label in ordered}
    margin = max(text_width(line, SMALL) for lines in texts.values() for line in lines) + INDENT + EDGE
    low = math.floor(ranks[ordered[0]])
    high = max(math.ceil(max(ranks[ordered[-1]], low + difference)), low + 1)
    axis = _Axis(margin, low, (width - 2 * margin) / (high - low))
    bars = _levels([[axis.place(ranks[label]) for label in group if label in texts] for group in groups])
    below = AXIS + (CD if difference else 0)
    first = below + 0.1 + BAR * (max((level for level, _, _ in bars), default=-1) + 1)
    lines = max(sum(len(texts[label]) for label in side) for side in sides)
    panel = _canvas(width, first + lines * LINE_HEIGHT + EDGE)
    axis.draw(panel, high, below)
    if difference:
        ends = [axis.place(low), axis.place(low + difference)]
        panel.plot(ends, [CD, CD], color="black", marker="|", linewidth=1)
        panel.text(ends[0], CD - 0.05, f"CD = {difference:.2f}", va="bottom")
    for level, start, end in bars:
        y = below + 0.07 + BAR * level
        panel.plot([start, end], [y, y], color="black", linewidth=2.2, solid_capstyle="butt", gid="bar")
    for side, edge, sign in zip(sides, (margin, width - margin), (-1, 1), strict=True):
        y = first
        for label in side:
            _method(panel, texts[label], styles[label], (axis.place(ranks[label]), below, edge, y), sign)
            y += LINE_HEIGHT * len(texts[label])
    return panel.get_figure(root=True)


def _method(
    panel: Axes, lines: list[str], style: Style, places: tuple[float, float, float, float], sign: int
) -> None:
    """Draw the leader of a method from its rank on the axis to its name.

    Args:
        panel: Axes in inches.
        lines: The name.
        style: Look of the method.
        places: Of the rank on the axis: x and y; x of the edge of the names, and y of the top of the name.
        sign: -1 for names at the left, 1 at the right.
    """
    x, top, edge, y = places
    middle = y + LINE_HEIGHT * len(lines) / 2
    corners = [x, x, edge + sign * INDENT / 2], [top, middle, middle]
    panel.plot(*corners, color=style.colour, marker=style.marker, markevery=[2], linewidth=0.8, gid="leader")
    for number, line in enumerate(lines):
        baseline = y + LINE_HEIGHT * (number + 0.78)
        panel.text(edge + sign * INDENT, baseline, line, ha="right" if sign < 0 else "left", va="baseline")


def _canvas(width: float, height: float) -> Axes:
    """Return axes that fill a new figure, in inches from its top left corner."""
    panel = Figure(figsize=(width, height)).add_axes((0, 0, 1, 1))
    panel.set_xlim(0, width)
    panel.set_ylim(height, 0)
    panel.set_axis_off()
    return panel


@dataclass(frozen=True)
class _Axis:
    """The axis of ranks."""

    left: float
    """Where the lowest rank is, in inches."""
    low: int
    """The lowest rank."""
    scale: float
    """Inches per rank."""

    def place(self, rank: float) -> float:
        """Return where a rank is, in inches."""
        return self.left + (rank - self.low) * self.scale

    def draw(self, panel: Axes, high: int, y: float) -> None:
        """Draw the axis at a height, with labels above it where they fit."""
        ranks = range(self.low, high + 1)
        places, texts = [self.place(rank) for rank in ranks], [str(rank) for rank in ranks]
        panel.plot([places[0], places[-1]], [y, y], color="black", linewidth=0.8)
        panel.vlines(places, y - 0.04, y, color="black", linewidth=0.6)
        step = even_step(places, texts, SMALL)
        for place, text in zip(places[::step], texts[::step], strict=True):
            panel.text(place, y - 0.06, text, ha="center", va="bottom")
        panel.text((places[0] + places[-1]) / 2, y - AXIS + 0.15, "average rank", ha="center", va="bottom")


def _levels(groups: Sequence[Sequence[float]]) -> list[tuple[int, float, float]]:
    """Return level and ends of each bar in inches; bars of one level do not touch."""
    bars: list[tuple[int, float, float]] = []
    ends: list[float] = []
    for start, end in sorted((min(group) - 0.03, max(group) + 0.03) for group in groups if len(group) > 1):
        level = next((i for i, other in enumerate(ends) if other + 0.06 < start), len(ends))
        ends[level : level + 1] = [end]
        bars.append((level, start, end))
    return bars
