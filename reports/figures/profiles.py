"""Performance profiles (Dolan & Moré 2002; Agarwal et al. 2021)."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from switchbench.reports.figures.axes import linear_y
from switchbench.reports.figures.lines import Series, lines_figure
from switchbench.reports.figures.settings import settings
from switchbench.reports.figures.style import Style

CAPTION = (
    "Performance profiles (Dolan & Moré 2002; Agarwal et al. 2021): the share of runs, over {blocks} blocks "
    "(task, target density) and all seeds, that score at least the value on the x axis. Higher is better."
)


@settings()
def profile_figure(
    taus: npt.ArrayLike,
    shares: Mapping[str, npt.ArrayLike],
    xlabel: str,
    styles: dict[str, Style],
    width: float | None = None,
) -> Figure | None:
    """Draw the share of runs in which each method's score is at least τ, as a function of τ.

    Args:
        taus: Values of τ, ascending.
        shares: Shares in [0, 1] by label, one per τ.
        xlabel: Title of the x axis: the score.
        styles: Looks of the methods.
        width: Width in inches; default: one column, or two where methods need several panels.

    Returns:
        The figure; None without methods, or if τ has a single value.
    """
    x = np.asarray(taus, dtype=float)
    if not shares or len(x) < 2 or not x[0] < x[-1]:
        return None
    none = np.full(len(x), np.nan)
    drawn = [Series(label, x, np.asarray(each, dtype=float), none) for label, each in shares.items()]

    room = 0.05 * (x[-1] - x[0])

    def scales(panel: Axes, inches: float) -> None:
        panel.set_xlim(x[0] - room, x[-1] + room)
        panel.xaxis.set_major_locator(MaxNLocator(max(2, round(inches / 0.6))))
        linear_y(panel, (-0.03, 1.03))

    return lines_figure(drawn, styles, scales, (xlabel, "share of runs"), width)
