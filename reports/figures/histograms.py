"""Histograms of weights, or of gates, by layer."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from switchbench.reports.figures.axes import linear_y
from switchbench.reports.figures.panels import Entry, grid, natural_width
from switchbench.reports.figures.settings import settings
from switchbench.reports.figures.style import COLOURS
from switchbench.reports.statistics.seeds import Numbers

CAPTION = (
    "Histograms of the values that are not zero, by layer (the largest {most}), for {label}{where}, of the "
    "first seed that is stored; above each, how many of all are not zero. The outermost bins hold all values "
    "beyond them."
)
BINS, HEIGHT = 41, 0.9
MOST_LAYERS = 24
"""Layers that are shown: the largest."""


@settings()
def histograms_figure(values: Mapping[str, npt.ArrayLike], width: float | None = None) -> Figure | None:
    """Draw the distribution of the values of each layer.

    Args:
        values: Weights or gates of each layer, of any shape, in network order.
        width: Width in inches; default: one column for one layer, or two.

    Returns:
        The figure; None if no value differs from zero.
    """
    arrays = {name: np.asarray(each, dtype=float).ravel() for name, each in values.items()}
    largest = {*sorted(arrays, key=lambda name: -arrays[name].size)[:MOST_LAYERS]}
    arrays = {name: array[np.isfinite(array)] for name, array in arrays.items() if name in largest}
    kept = {name: array[array != 0] for name, array in arrays.items()}
    together = np.concatenate([*kept.values(), []])
    if not together.size:
        return None
    end = float(np.percentile(np.abs(together), 99.5))
    edges = np.linspace(-end if (together < 0).any() else 0, end, BINS + 1)
    shares = {name: _shares(array, edges) for name, array in kept.items()}
    top = max(float(each.max()) for each in shares.values())
    keys = [[Entry(f"{name}: {len(kept[name]):,} of {arrays[name].size:,}")] for name in arrays]
    made = grid(keys, width or natural_width(len(keys)), [HEIGHT], "value", ["% of non-zero"])
    for (panel,), each in zip(made.panels, shares.values(), strict=True):
        panel.stairs(each, edges, fill=True, color=COLOURS[0])
        panel.set_xlim(edges[0], edges[-1])
        panel.xaxis.set_major_locator(MaxNLocator(3))
        linear_y(panel, (0, 1.08 * top))
    return made.finished()


def _shares(array: Numbers, edges: Numbers) -> Numbers:
    """Return the share of the values in each bin in %."""
    counts, _ = np.histogram(np.clip(array, edges[0], edges[-1]), edges)
    shares: Numbers = 100 * counts / max(len(array), 1)
    return shares
