"""Training curves: validation accuracy and density over the steps of training."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from switchbench.reports.analyses.trainings import VALUES, Training
from switchbench.reports.figures.axes import linear_y, log_limits, log_y, percent_limits, short
from switchbench.reports.figures.density import NONE_LEFT
from switchbench.reports.figures.lines import Series, highlight, in_grey
from switchbench.reports.figures.panels import Entry, grid, groups, natural_width
from switchbench.reports.figures.settings import settings
from switchbench.reports.figures.style import Style
from switchbench.reports.statistics.seeds import Numbers

CAPTION = (
    "Validation accuracy and density over the steps of training{where}: means over seeds, with thin lines "
    "for single seeds, five at most. Methods without a target density are shown with the density that they "
    "reached."
)
LOWEST = {"val_accuracy": -math.inf, "density": NONE_LEFT}


@settings()
def curves_figure(
    trainings: Mapping[str, Training], styles: dict[str, Style], width: float | None = None
) -> Figure | None:
    """Draw validation accuracy and density over the steps of training.

    Args:
        trainings: The trainings of each method, at one density.
        styles: Looks of the methods.
        width: Width in inches; default: one column, or two where methods need several panels.

    Returns:
        The figure; None without trainings.
    """
    if not trainings:
        return None
    labels = [*trainings]
    drawn = {label: [_series(label, each, name) for name in VALUES] for label, each in trainings.items()}
    ends = percent_limits([y for accuracy, _ in drawn.values() for y in accuracy.y])
    low, high = log_limits([y for _, each in drawn.values() for y in each.y if y > NONE_LEFT])
    last = max(each.x[-1] for each, _ in drawn.values())
    shown = groups(labels)
    heights = [1.3, 1.0] if len(shown) == 1 else [1.15, 0.8]
    made = grid(
        [[Entry(label, styles[label]) for label in group] for group in shown],
        width or natural_width(len(shown)),
        heights,
        "training step",
        ["val. accuracy (%)", "density"],
    )
    for (upper, lower), group in zip(made.panels, shown, strict=True):
        for panel in (upper, lower):
            panel.set_xlim(-0.03 * last, 1.03 * last + 1)
            panel.xaxis.set_major_locator(MaxNLocator(max(2, round(made.size[0] / 0.6))))
            panel.xaxis.set_major_formatter(FuncFormatter(lambda step, _: short(step)))
        linear_y(upper, ends)
        log_y(lower, (low, high))
        for i, panel in enumerate((upper, lower)):
            in_grey(panel, [drawn[label][i] for label in labels if label not in group])
            for label in group:
                _seeds(panel, trainings[label].seeds[VALUES[i]], VALUES[i], styles[label])
                highlight(panel, drawn[label][i], styles[label])
    return made.finished()


def _series(label: str, training: Training, name: str) -> Series:
    """Return the means over seeds of accuracy or density, without intervals."""
    means = np.maximum(training.means[name], LOWEST[name])
    return Series(label, training.steps, means, np.full(len(means), np.nan))


def _seeds(panel: Axes, paths: Sequence[Numbers], name: str, style: Style) -> None:
    """Draw the curves of single seeds as one artist."""
    if len(paths) > 1:
        shown = [np.maximum(path, [-math.inf, LOWEST[name]]) for path in paths]
        panel.add_collection(
            LineCollection(shown, colors=style.colour, linewidths=0.4, alpha=0.5), autolim=False
        )
