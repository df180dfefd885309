"""The colour and marker of each method on the page: those of the figures, as the browser names them."""

from collections.abc import Sequence
from dataclasses import dataclass

from switchbench.reports.figures.style import styles

DARK_BACKGROUND = "#14171b"
CONTRAST = 4.5
"""Lowest contrast of a method's colour on the dark background (WCAG 2.2)."""
SYMBOLS = {
    "o": "circle", "s": "square", "D": "diamond", "d": "diamond", "^": "triangle-up", "v": "triangle-down",
    "<": "triangle-left", ">": "triangle-right", "P": "cross", "X": "x", "*": "star", "p": "pentagon",
    "h": "hexagon", "H": "hexagon2", "8": "octagon", "+": "cross", "x": "x",
}  # fmt: skip
"""Plotly's name of matplotlib's markers."""
PATHS = {
    "circle": "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0Z",
    "square": "M-4.5,-4.5h9v9h-9Z",
    "diamond": "M0,-6L6,0L0,6L-6,0Z",
    "triangle-up": "M0,-5.5L5.5,4.5H-5.5Z",
    "triangle-down": "M0,5.5L5.5,-4.5H-5.5Z",
    "triangle-left": "M-5.5,0L4.5,-5.5V5.5Z",
    "triangle-right": "M5.5,0L-4.5,-5.5V5.5Z",
    "cross": "M-2,-6h4v4h4v4h-4v4h-4v-4h-4v-4h4Z",
    "x": "M-6,-3.5L-3.5,-6L0,-2.5L3.5,-6L6,-3.5L2.5,0L6,3.5L3.5,6L0,2.5L-3.5,6L-6,3.5L-2.5,0Z",
    "star": "M0,-6.5L1.6,-2.2L6.2,-2L2.6,0.9L3.8,5.3L0,2.8L-3.8,5.3L-2.6,0.9L-6.2,-2L-1.6,-2.2Z",
    "pentagon": "M0,-6L5.7,-1.9L3.5,4.9H-3.5L-5.7,-1.9Z",
    "hexagon": "M0,-6L5.2,-3V3L0,6L-5.2,3V-3Z",
    "hexagon2": "M-3,-5.2H3L6,0L3,5.2H-3L-6,0Z",
    "octagon": "M-2.3,-5.5H2.3L5.5,-2.3V2.3L2.3,5.5H-2.3L-5.5,2.3V-2.3Z",
}
"""Outlines of the markers for the legend, around the origin."""
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}


@dataclass(frozen=True)
class MethodStyle:
    """How a method is drawn."""

    light: str
    """Colour on white."""
    dark: str
    """The same hue on a dark background, where it must stay legible."""
    symbol: str
    """Plotly's name of the marker."""
    dash: str
    """Plotly's name of the line's dashes."""

    @property
    def path(self) -> str:
        """The marker as a path of SVG."""
        return PATHS[self.symbol]


def method_styles(labels: Sequence[str]) -> dict[str, MethodStyle]:
    """Return the style of each label, which is the one of the figures."""
    return {
        label: MethodStyle(
            style.colour,
            on_dark(style.colour),
            SYMBOLS[style.marker],
            DASHES.get(style.dash, "longdashdot") if isinstance(style.dash, str) else "longdashdot",
        )
        for label, style in styles(labels).items()
    }


def on_dark(colour: str) -> str:
    """Return a colour, mixed with white until it is legible on the dark background.

    Example:
        >>> on_dark("#000000"), on_dark("#E69F00")
        ('#ffffff', '#e69f00')
    """
    red, green, blue = _channels(colour)
    if max(red, green, blue) < 0.1:
        return "#ffffff"  # black is the colour of ink, and becomes that of light
    for share in (step / 20 for step in range(21)):
        mixed = [channel + share * (1 - channel) for channel in (red, green, blue)]
        if (_luminance(mixed) + 0.05) / (_luminance(_channels(DARK_BACKGROUND)) + 0.05) >= CONTRAST:
            break
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in mixed)


def _channels(colour: str) -> list[float]:
    return [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def _luminance(channels: Sequence[float]) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
