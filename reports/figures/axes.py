"""Scales of axes: ticks that do not touch, and ranges that outliers do not stretch."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from switchbench.reports.figures.style import SMALL
from switchbench.reports.figures.text import fitting
from switchbench.reports.statistics.seeds import Numbers

SUFFIXES = {1e12: "T", 1e9: "G", 1e6: "M", 1e3: "k", 1: ""}


def limits(values: Sequence[float] | Numbers, room: float = 1) -> tuple[float, float]:
    """Return the range of an axis of percentages or their differences.

    Intervals are not values: those of few seeds may be much wider than the differences between methods. A
    method that collapses would flatten the others to one line, so means beyond Tukey's outer fences (1977) do
    not count either.

    Args:
        values: Means, in %.
        room: Least room at both ends, in %.

    Example:
        >>> [round(end) for end in limits([88, 89, 90, 91, 87, 88, 89, 10])]
        [81, 93]
    """
    if not len(values):
        return 0, 100
    first, third = np.percentile(values, [25, 75])
    fence = 3 * (third - first)
    low, high = max(min(values), first - fence), min(max(values), third + fence)
    more = 0.1 * (high - low) + room
    return float(low - more), float(high + more)


def percent_limits(
    values: Sequence[float] | Numbers, halves: Sequence[float] | Numbers = ()
) -> tuple[float, float]:
    """Return the range of an axis of shares in %, which ends little beyond 0 and 100.

    Args:
        values: Means.
        halves: Half-widths of their intervals, NaN where there is none. The axis holds them as far as they
            lengthen it by half at either end: the wide intervals of two seeds would flatten all else.

    >>> percent_limits([88.0, 90.0], [0.5, 0.5]), percent_limits([88.0, 90.0], [2.0, 0.5])
    ((86.8, 91.2), (86.0, 91.2))
    >>> percent_limits([88.0, 90.0], [50.0, 50.0])  # as much again
    (84.6, 93.4)
    """
    low, high = limits(values)
    bottom, top, most = low, high, (high - low) / 2
    for mean, half in zip(values, halves, strict=bool(len(halves))):
        if low <= mean <= high and not math.isnan(half):
            bottom, top = min(bottom, max(mean - half, low - most)), max(top, min(mean + half, high + most))
    return max(bottom, -1.0), min(top, 101.0)


def log_limits(values: Sequence[float] | Numbers) -> tuple[float, float]:
    """Return the range of a log axis that holds the positive values, with room at both ends."""
    logs = [math.log10(value) for value in values if 0 < value < math.inf] or [-1, 0]
    room = 0.04 * (max(logs) - min(logs)) + 0.05
    return float(10 ** (min(logs) - room)), float(10 ** (max(logs) + room))


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two: powers of ten, or 1, 2 and 5 times these if there are few.

    >>> log_ticks(0.8, 30), log_ticks(0.95, 1.3)
    ([1.0, 2.0, 5.0, 10.0, 20.0], [1.0, 1.1, 1.2, 1.3])
    """
    if high < 4 * low:
        near = np.round(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high), 12).tolist()
        return [tick for tick in near if low <= tick <= high]
    steps = (1, 2, 5) if high < 200 * low else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def log_x(panel: Axes, ends: tuple[float, float], inches: float, wanted: Sequence[float] = ()) -> None:
    """Make the x axis of a panel logarithmic.

    Args:
        panel: The panel.
        ends: Range of the axis.
        inches: Width of the panel.
        wanted: Where ticks are; round numbers are added outside their range. Labels stand where they fit.
    """
    panel.set_xscale("log")
    panel.set_xlim(*ends)
    ticks = sorted(tick for tick in wanted if ends[0] <= tick <= ends[1])
    before, after = (ticks[0] / 1.7, ticks[-1] * 1.7) if ticks else (math.inf, math.inf)
    ticks = sorted([*ticks, *(tick for tick in log_ticks(*ends) if tick < before or tick > after)])
    low, high = (math.log10(end) for end in ends)
    places = [(math.log10(tick) - low) / (high - low) * inches for tick in ticks]
    fixed_x(panel, ticks, [short(tick) for tick in ticks], places)


def fixed_x(panel: Axes, ticks: Sequence[float], texts: Sequence[str], places: Sequence[float]) -> None:
    """Set the ticks of the x axis, and the labels of those that fit; ``places`` are in inches."""
    fits = fitting(places, texts, SMALL)
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_locator(FixedLocator(ticks))
    labels = [text if fit else "" for text, fit in zip(texts, fits, strict=True)]
    panel.xaxis.set_major_formatter(FixedFormatter(labels))


def log_y(panel: Axes, ends: tuple[float, float]) -> None:
    """Make the y axis logarithmic, with labels at round numbers."""
    panel.set_yscale("log")
    panel.set_ylim(*ends)
    ticks = log_ticks(*ends)
    ticks = ticks[:: -(-len(ticks) // 6)]
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_locator(FixedLocator(ticks))
    panel.yaxis.set_major_formatter(FixedFormatter([short(tick) for tick in ticks]))


def linear_y(panel: Axes, ends: tuple[float, float]) -> None:
    """Set the range of a linear y axis, with few ticks."""
    panel.set_ylim(*ends)
    panel.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def short(value: float) -> str:
    """Write a number of a tick briefly.

    >>> short(0.05), short(250), short(20_000), short(1e6), short(1e-7)
    ('0.05', '250', '20k', '1M', '1e-7')
    """
    if abs(value) < 1e4 or not math.isfinite(value):
        return f"{value:.4g}".replace("e-0", "e-")
    unit = next(unit for unit in SUFFIXES if abs(value) >= unit)
    return f"{value / unit:.4g}{SUFFIXES[unit]}"
