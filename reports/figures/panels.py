"""The layout of figures: panels in a grid, each under its own key, with sizes in inches.

Sizes are computed from the widths of the texts. Matplotlib's layout engines draw each figure once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from switchbench.reports.figures.style import DOUBLE, LIGHT, MEDIUM, NO_LINE, SINGLE, SMALL, Style
from switchbench.reports.figures.text import LINE, POINTS, shown, width, wrapped

FEW = 12
"""Most methods in one panel. More are spread over several, each of which highlights some of them."""
MOST_PANELS = 9
LEFT, RIGHT, BOTTOM, GAP, EDGE = 0.56, 0.1, 0.4, 0.12, 0.04
"""Inches: room for titles and labels of axes, between panels, and around all."""
SAMPLE = 0.27
"""Inches of a key's entry before its text."""
LINE_HEIGHT = LINE * SMALL / POINTS


@dataclass(frozen=True)
class Entry:
    """One line of a key: a sample of a style and what it stands for."""

    text: str
    style: Style | None = None
    """None: text alone, such as the title of a panel."""
    line: bool = True
    """Whether the sample is a line with a marker, or a marker."""


@dataclass(frozen=True)
class Grid:
    """A figure with its panels."""

    figure: Figure
    panels: list[list[Axes]]
    """The axes of each panel, from top to bottom."""
    size: tuple[float, float]
    """Width and height of the first axes of a panel, in inches."""

    def finished(self) -> Figure:
        """Return the figure with grid lines at its ticks. Call this once scales are set.

        Grid lines of matplotlib, and ticks that have no labels, would take half of the time of drawing.
        """
        look: dict[str, Any] = {"colors": LIGHT, "linewidths": 0.5, "zorder": 0.5}
        for panel in (part for stack in self.panels for part in stack):
            upright = [[(tick, 0), (tick, 1)] for tick in _shown_ticks(panel.xaxis)]
            level = [[(0, tick), (1, tick)] for tick in _shown_ticks(panel.yaxis)]
            for lines, scale in (upright, panel.get_xaxis_transform()), (level, panel.get_yaxis_transform()):
                panel.add_collection(LineCollection(lines, transform=scale, **look), autolim=False)
        return self.figure


def _shown_ticks(axis: Axis) -> list[float]:
    low, high = axis.get_view_interval()
    return [tick for tick in axis.get_majorticklocs() if low <= tick <= high]


def groups(labels: Sequence[str], few: int = FEW) -> list[list[str]]:
    """Divide methods among panels, in order: all in one panel if they are few."""
    if len(labels) <= few:
        return [[*labels]]
    each = -(-len(labels) // MOST_PANELS)
    return [[*labels[i : i + each]] for i in range(0, len(labels), each)]


def natural_width(panels: int) -> float:
    """Return the width of a figure: one column of a paper for one panel, or two."""
    return SINGLE if panels == 1 else DOUBLE


def grid(
    keys: Sequence[Sequence[Entry]],
    figure_width: float,
    heights: Sequence[float],
    xlabel: str,
    ylabels: Sequence[str],
    top: Sequence[Entry] = (),
    columns: int | None = None,
    left: float = LEFT,
    right: float = RIGHT,
    bottom: float = BOTTOM,
) -> Grid:
    """Lay out panels in rows.

    Args:
        keys: For each panel, the entries of the key above it.
        figure_width: Width of the figure in inches.
        heights: Heights of the axes of a panel in inches, from top to bottom; they share the x axis.
        xlabel: Title of the x axis.
        ylabels: Titles of the y axes, one per height.
        top: Entries of a key above all panels.
        columns: Most panels in a row; default: three in two columns of a paper, two in one.
        left: Room to the left of the panels in inches.
        right: Room to the right of the panels in inches.
        bottom: Room below the panels in inches.

    Returns:
        The figure with empty panels. Ticks have labels at the left and below the lowest panel of each column.
    """
    room = figure_width - left - right
    columns = min(len(keys), columns or (2 if figure_width < DOUBLE - 1 else 3))
    each = (room - GAP * (columns - 1)) / columns
    rows = [keys[i : i + columns] for i in range(0, len(keys), columns)]
    above = [max(_Key(key, each).height for key in row) for row in rows]
    stack = sum(heights) + GAP / 2 * (len(heights) - 1)
    head = _Key(top, room)
    gap = GAP if len(rows) > 1 else 0
    height = EDGE + head.height + sum(above) + len(rows) * stack + gap * (len(rows) - 1) + bottom
    figure = Figure(figsize=(figure_width, height))
    head.draw(figure, left, height - EDGE)
    panels: list[list[Axes]] = []
    y = height - EDGE - head.height
    for row, tall in zip(rows, above, strict=True):
        y -= tall
        for column, key in enumerate(row):
            x = left + column * (each + GAP)
            block = _Key(key, each)
            block.draw(figure, x, y + block.height)
            lowest = len(panels) + columns >= len(keys)
            panels.append(_stacked(figure, (x, y, each), heights, lowest, column == 0))
        for part, ylabel in zip(panels[-len(row)], ylabels, strict=True):
            box = part.get_position()
            at = EDGE / figure_width, (box.y0 + box.y1) / 2
            figure.text(*at, ylabel, rotation="vertical", ha="left", va="center", fontsize=MEDIUM)
        y -= stack + gap
    at = (left + room / 2) / figure_width, EDGE / height
    figure.text(*at, xlabel, ha="center", va="bottom", fontsize=MEDIUM)
    return Grid(figure, panels, (each, heights[0]))


def _stacked(
    figure: Figure, corner: tuple[float, float, float], heights: Sequence[float], lowest: bool, first: bool
) -> list[Axes]:
    """Add the axes of one panel below its top left corner (x, y, width)."""
    x, y, each = corner
    whole = figure.get_size_inches()
    parts: list[Axes] = []
    for i, height in enumerate(heights):
        y -= height
        part = figure.add_axes((x / whole[0], y / whole[1], each / whole[0], height / whole[1]))
        part.xaxis.set_visible(lowest and i == len(heights) - 1)
        part.yaxis.set_visible(first)
        parts.append(part)
        y -= GAP / 2
    return parts


class _Key:
    """Entries in columns that fit into a width; longer texts are broken into lines."""

    def __init__(self, entries: Sequence[Entry], room: float) -> None:
        texts = [shown(entry.text) for entry in entries]
        widest = max((width(text, SMALL) for text in texts), default=0) + SAMPLE + GAP
        columns = max(1, min(len(entries), int((room + GAP) / widest)))
        self.entries = entries
        self.rows = -(-len(entries) // columns)
        self.column = room / columns
        self.texts = [
            wrapped(text, self.column - (SAMPLE if entry.style else 0) - 0.02, SMALL)
            for text, entry in zip(texts, entries, strict=True)
        ]
        self.heights = [
            max(len(self.texts[i]) for i in range(row, len(entries), self.rows)) for row in range(self.rows)
        ]
        self.height = LINE_HEIGHT * sum(self.heights) + (0.06 if entries else 0)

    def draw(self, figure: Figure, x: float, y: float) -> None:
        """Draw the entries below and right of a corner in inches."""
        for i, (entry, lines) in enumerate(zip(self.entries, self.texts, strict=True)):
            column, row = divmod(i, self.rows)
            left = x + column * self.column
            top = y - LINE_HEIGHT * sum(self.heights[:row])
            if entry.style:
                _sample(figure, entry, left, top - LINE_HEIGHT / 2)
                left += SAMPLE
            for number, line in enumerate(lines):
                figure.text(
                    left,
                    top - LINE_HEIGHT * (number + 0.8),
                    line,
                    transform=figure.dpi_scale_trans,
                    va="baseline",
                    fontsize=SMALL,
                )


def _sample(figure: Figure, entry: Entry, x: float, y: float) -> None:
    style = entry.style
    assert style
    middle, half = x + SAMPLE / 2 - 0.03, SAMPLE / 2 - 0.03
    xs = [middle - half, middle, middle + half] if entry.line else [middle]
    figure.add_artist(
        Line2D(
            xs,
            [y] * len(xs),
            color=style.colour,
            marker=style.marker,
            markevery=[len(xs) // 2],
            linestyle=style.dash if entry.line else NO_LINE,
            transform=figure.dpi_scale_trans,
        )
    )
