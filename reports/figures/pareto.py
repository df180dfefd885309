"""Pareto fronts: accuracy against a cost, with the methods that are best at some cost."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from switchbench.reports.analyses.fronts import Front
from switchbench.reports.figures.axes import linear_y, log_limits, log_x, percent_limits
from switchbench.reports.figures.lines import HEIGHT, mark_outside
from switchbench.reports.figures.panels import FEW, Entry, grid
from switchbench.reports.figures.settings import settings
from switchbench.reports.figures.style import GREY, NO_LINE, SINGLE, Style

CAPTION = (
    "Test accuracy (mean over seeds) against {heading}, one point for each target density, or for "
    "the density that a method found. The line is the "
    "Pareto front: no measured point costs less and is more accurate. Percentages: share of bootstrap draws "
    "of {seeds} seeds in which the method is on the front; of many methods, those that rarely are "
    "on it stand in grey."
)
OTHERS = Style(GREY, ".", NO_LINE)
SELDOM = 0.05
"""Least share of bootstrap draws in which a method is on the front, for it to stand out among many."""


@settings()
def front_figure(front: Front, styles: dict[str, Style], width: float = SINGLE) -> Figure | None:
    """Draw accuracy against a cost. Of many methods, those that are often on the front stand out.

    Args:
        front: The points.
        styles: Looks of the methods.
        width: Width in inches.

    Returns:
        The figure; None if there is no point with a cost.
    """
    points = [point for point in front.points if point.cost >= 0 and point.accuracy == point.accuracy]
    if not points:
        return None
    labels = list(dict.fromkeys(point.label for point in points))
    chosen = labels if len(labels) <= FEW else _often(front, labels)
    keys = [Entry(_with_share(label, front.shares), styles[label], line=False) for label in chosen]
    keys += [Entry("others", OTHERS, line=False)] if len(chosen) < len(labels) else []
    heading = f"{front.heading} ({front.unit})" if front.unit else front.heading
    made = grid([keys], width, [HEIGHT], heading, ["test accuracy (%)"])
    panel = made.panels[0][0]
    costs = np.array([point.cost for point in points])
    if (costs > 0).all():
        log_x(panel, log_limits(costs), made.size[0])
    else:
        panel.set_xlim(-0.03 * costs.max() - 1e-9, 1.03 * costs.max() + 1e-9)
        panel.xaxis.set_major_locator(MaxNLocator(max(2, round(made.size[0] / 0.6))))
    linear_y(panel, percent_limits([100 * point.accuracy for point in points]))
    best = sorted((point.cost, 100 * point.accuracy) for point in points if point.on_front)
    if best:
        panel.step(*zip(*best, strict=True), where="post", color="#555555", linewidth=0.9, zorder=1.5)
    for label in labels:
        style = styles[label] if label in chosen else OTHERS
        own = [point for point in points if point.label == label]
        x, y = np.array([point.cost for point in own]), np.array([100 * point.accuracy for point in own])
        order = 2 if label in chosen else 1
        panel.plot(x, y, color=style.colour, marker=style.marker, linestyle="none", label=label, zorder=order)
        mark_outside(panel, x, y, style.colour)
    return made.finished()


def _often(front: Front, labels: Sequence[str]) -> list[str]:
    """Return the methods that are on the front now or in enough draws, at most as many as one panel shows."""
    now = {point.label for point in front.points if point.on_front}
    shares = {label: front.shares.get(label, 0) for label in labels}
    often = [label for label in labels if label in now or shares[label] >= SELDOM]
    first = sorted(often, key=lambda label: (label not in now, -shares[label]))[:FEW]
    return [label for label in labels if label in first]


def _with_share(label: str, shares: Mapping[str, float]) -> str:
    return f"{label} ({100 * shares[label]:.0f} %)" if label in shares else label
