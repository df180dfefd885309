"""Looks of figures: sizes, fonts, and a colour, marker and dash for each method."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from matplotlib import rc_context, rcParams, rcParamsDefault
from matplotlib.figure import Figure

SINGLE, DOUBLE = 3.3, 6.9
"""Width of one column and of two columns of a paper, in inches."""
SMALL, MEDIUM = 7, 8
"""Font sizes of labels and of axis titles, in points."""
PNG_DPI = 300

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito (2008), without yellow, which is too light for lines. Colour-blind people tell them apart."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")
Dash = Literal["-", "--", ":", "-.", "none"] | tuple[float, tuple[float, ...]]
NO_LINE: Dash = "none"
DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.", (0, (6, 1.5, 1, 1.5, 1, 1.5)))
FORMATS: dict[str, dict[str, Any]] = {
    ".svg": {"metadata": {"Date": None}},
    ".pdf": {"metadata": {"CreationDate": None}},
    ".png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 1}},
}
"""The formats with their options: no dates, so that files can be compared; fast compression."""
GREY, LIGHT = "#bbbbbb", "#e4e4e4"
"""What a panel does not highlight, and grid lines."""

SETTINGS: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],  # matplotlib brings it, so figures are the same on all machines
    "font.size": SMALL,
    "text.parse_math": False,  # a dollar sign is a dollar sign
    "axes.labelsize": MEDIUM,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.formatter.useoffset": False,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.6,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "path",  # shapes, which look the same everywhere; the PDF has text that can be searched
    "svg.hashsalt": "switchbench",  # the same results give identical bytes
    "pdf.fonttype": 42,  # TrueType, which journals ask for
}
DEFAULTS: dict[Any, Any] = {
    name: value for name, value in rcParamsDefault.items() if not name.startswith("backend")
}


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


@contextmanager
def settings() -> Iterator[None]:
    """Draw with our settings, whatever the user's own settings of matplotlib are; also a decorator."""
    with rc_context():
        rcParams.update(DEFAULTS | SETTINGS)
        yield


def save(figure: Figure, stem: Path) -> None:
    """Write a figure as SVG, PDF and PNG. The same figure gives identical bytes.

    Args:
        figure: A figure of this package.
        stem: Path of the files without their ending.

    Raises:
        OSError: A file cannot be written.
    """
    for ending in FORMATS:
        save_as(figure, Path(f"{stem}{ending}"))


@settings()
def save_as(figure: Figure, path: Path) -> None:
    """Write a figure to one file, whose ending names the format.

    Raises:
        OSError: The file cannot be written.
        ValueError: matplotlib does not know the format.
    """
    figure.savefig(path, dpi=PNG_DPI, **FORMATS.get(path.suffix, {}))
