"""Training curves: validation accuracy and density over the steps of training."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from switchbench.reports.cells import Task
from switchbench.reports.figures.axes import Numbers, linear_y, log_limits, log_y, percent_limits, short
from switchbench.reports.figures.density import NONE_LEFT
from switchbench.reports.figures.lines import Series, highlight, in_grey
from switchbench.reports.figures.panels import Entry, grid, groups, natural_width
from switchbench.reports.figures.style import Style, settings
from switchbench.row import Status

CAPTION = (
    "Validation accuracy and density over the steps of training{where}: means over seeds, with thin lines "
    "for single seeds. Methods without a target density are shown with the density that they reached."
)
VALUES = ("val_accuracy", "density")
MOST_SEEDS = 5
"""Seeds of a method that are drawn as thin lines."""


@settings()
def curves_figure(
    task: Task,
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    styles: dict[str, Style],
    density: float | None = None,
    width: float | None = None,
) -> Figure | None:
    """Draw validation accuracy and density over the steps of training.

    Args:
        task: The task.
        trials: The ledger's table.
        curves: One row per trial and epoch, with the columns trial_id, step, val_accuracy and density.
        styles: Looks of the methods.
        density: Target density; default: the lowest.
        width: Width in inches; default: one column, or two where methods need several panels.

    Returns:
        The figure; None if there are no curves of this task at this density.
    """
    density = min(task.densities, default=math.nan) if density is None else density
    points = _points(task, trials, curves, density)
    if points.empty:
        return None
    own = {str(label): rows for label, rows in points.groupby("label")}
    labels = [label for label in task.labels if label in own]
    drawn = {label: _series(label, own[label]) for label in labels}
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
                _seeds(panel, own[label], VALUES[i], styles[label])
                highlight(panel, drawn[label][i], styles[label])
    return made.finished()


def _points(task: Task, trials: pd.DataFrame, curves: pd.DataFrame, density: float) -> pd.DataFrame:
    """Return the points of the trials at a density, with label and seed; accuracy in %."""
    target = trials["target_density"]
    chosen = trials[
        (trials["network"] == task.network)
        & (trials["dataset"] == task.dataset)
        & (trials["scope"] == task.scope)
        & (trials["status"] == Status.OK)
        & (target.isna() | (target == density))
    ]
    known = curves.reindex(columns=["trial_id", "step", *VALUES])  # those of older versions may lack one
    points = known.merge(chosen[["trial_id", "label", "seed"]], on="trial_id")
    points = points.assign(
        val_accuracy=100 * points["val_accuracy"], density=points["density"].clip(lower=NONE_LEFT)
    )
    return points.dropna(subset=["step", *VALUES]).sort_values("step")


def _series(label: str, points: pd.DataFrame) -> tuple[Series, Series]:
    """Return accuracy and density of a method over the steps, as means over its seeds."""
    means = points.groupby("step")[[*VALUES]].mean()
    x: Numbers = means.index.to_numpy(dtype=float)
    accuracy, density = (means[name].to_numpy(dtype=float) for name in VALUES)
    none = np.full(len(x), np.nan)
    return Series(label, x, accuracy, none), Series(label, x, density, none)


def _seeds(panel: Axes, points: pd.DataFrame, name: str, style: Style) -> None:
    """Draw the curves of the first seeds as one artist."""
    by_seed = [group for _, group in points.groupby("seed")][:MOST_SEEDS]
    if len(by_seed) > 1:
        paths = [group[["step", name]].to_numpy(dtype=float) for group in by_seed]
        panel.add_collection(
            LineCollection(paths, colors=style.colour, linewidths=0.4, alpha=0.5), autolim=False
        )
