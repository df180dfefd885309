"""Looks of figures: sizes, and a colour, marker and dash for each method. Nothing here needs matplotlib."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SINGLE, DOUBLE = 3.3, 6.9
"""Width of one column and of two columns of a paper, in inches."""
SMALL, MEDIUM = 7, 8
"""Font sizes of labels and of axis titles, in points."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito (2008), without yellow, which is too light for lines. Colour-blind people tell them apart."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")
Dash = Literal["-", "--", ":", "-.", "none"] | tuple[float, tuple[float, ...]]
NO_LINE: Dash = "none"
DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.", (0, (6, 1.5, 1, 1.5, 1, 1.5)))
GREY, LIGHT = "#bbbbbb", "#e4e4e4"
"""What a panel does not highlight, and grid lines."""


@dataclass(frozen=True)
class Style:
    """How a method looks in every figure."""

    colour: str
    """As #rrggbb."""
    marker: str
    """A marker of matplotlib."""
    dash: Dash
    """A line style of matplotlib."""


def styles(labels: Sequence[str]) -> dict[str, Style]:
    """Return a style for each method. It depends on the order of the labels alone.

    Methods that follow each other differ in colour, marker and dash. The first 55 differ in marker or dash,
    so that they can be told apart in grey; the first 385 in colour as well.

    Example:
        >>> styles(["dense", "magnitude"])["magnitude"]
        Style(colour='#D55E00', marker='s', dash='--')
    """
    return {label: _style(i) for i, label in enumerate(dict.fromkeys(labels))}


def _style(i: int) -> Style:
    turn, place = divmod(i, len(MARKERS))
    dash = DASHES[(place + 2 * turn) % len(DASHES)]
    return Style(COLOURS[i % len(COLOURS)], MARKERS[place], dash)
