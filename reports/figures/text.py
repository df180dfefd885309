"""Text of figures: what the font can show, how wide it is, and where it is broken into lines."""

import re
from collections.abc import Sequence
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

from switchbench.errors import printable
from switchbench.reports.figures.font import NAME, families

LINE = 1.25
"""Height of a line, in font sizes."""
POINTS = 72
"""Points per inch."""


def shown(text: str) -> str:
    """Return text as figures show it: characters without a glyph are named by their code point.

    >>> shown("λ_$x$ 中")
    'λ_$x$ U+4E2D'
    """
    text = printable(" ".join(text.split()))
    return "".join(each if ord(each) in _glyphs() else f"U+{ord(each):04X}" for each in text)


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=[NAME]))).get_charmap())


@cache
def width(text: str, size: float) -> float:
    """Return the width of one line of text in inches; ``size`` is the font size in points."""
    font = FontProperties(family=families(), size=size)
    points, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(points) / POINTS


def wrapped(text: str, room: float, size: float) -> list[str]:
    """Break text into lines that fit into a width, after spaces and punctuation where there are any.

    Args:
        text: The text.
        room: The width in inches.
        size: Font size in points.

    Returns:
        The lines, without a lost character but for spaces at their ends.
    """
    lines = [""]
    for piece in re.findall(r"[\w.]*[^\w.]?", text):
        if lines[-1] and width(lines[-1] + piece.rstrip(), size) > room:
            lines.append("")
        for character in piece if width(piece, size) > room else [piece]:
            if lines[-1] and width(lines[-1] + character, size) > room and character.strip():
                lines.append("")
            lines[-1] += character
    return [line.strip() for line in lines]


def even_step(places: Sequence[float], texts: Sequence[str], size: float) -> int:
    """Return the step at which labels of a horizontal axis do not touch: 1, 2, 5, 10, 20 and so on."""
    steps = (step * 10**power for power in range(len(str(len(texts)))) for step in (1, 2, 5))
    return next((step for step in steps if all(fitting(places[::step], texts[::step], size))), len(texts))


def fitting(places: Sequence[float], texts: Sequence[str], size: float, gap: float = 0.06) -> list[bool]:
    """Choose labels of a horizontal axis that do not touch each other: the first, and then each that fits.

    Args:
        places: Where the middles of the labels are, in inches, ascending.
        texts: The labels.
        size: Font size in points.
        gap: Least distance of two labels in inches.

    Returns:
        Whether each label is chosen.
    """
    chosen, end = [], float("-inf")
    for place, text in zip(places, texts, strict=True):
        half = width(text, size) / 2
        chosen.append(place - half >= end)
        end = place + half + gap if chosen[-1] else end
    return chosen
