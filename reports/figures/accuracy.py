"""Figures, drawn without a display, readable in print and by colour-blind readers."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from switchbench.reports.cells import Report, Task

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito
MARKERS = "osD^vPX*"
COLUMNS = 2
LEGEND_LINES = 18
"""Methods in one column of the legend, which is beside the panels."""
PANEL, LEGEND_COLUMN = (7.0, 5.2), 2.6
"""Inches."""

CAPTION = "mean and 95 % interval; outliers are clipped"

Style = tuple[str, str]
"""Colour and marker."""


def accuracy_figure(report: Report, stem: Path) -> None:
    """Draw accuracy against density, one panel per task, as ``stem``.svg and ``stem``.png."""
    columns = min(COLUMNS, len(report.tasks))
    lines = -(-len(report.tasks) // columns)
    names = list(dict.fromkeys(label for task in report.tasks for label in task.labels))
    styles = dict(zip(names, zip(cycle(COLOURS), cycle(MARKERS), strict=False), strict=False))
    beside = -(-len(names) // LEGEND_LINES)
    width = PANEL[0] * columns + LEGEND_COLUMN * beside
    figure = Figure(figsize=(width, PANEL[1] * lines), layout="constrained")
    figure.supxlabel(CAPTION, fontsize="small")
    FigureCanvasAgg(figure)
    panels = figure.subplots(lines, columns, squeeze=False).flatten()
    entries: dict[str, Artist] = {}
    for panel, task in zip(panels, report.tasks, strict=False):
        _panel(panel, task, styles)
        handles, labels = panel.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    for panel in panels[len(report.tasks) :]:
        panel.set_visible(False)
    if entries:
        figure.legend([*entries.values()], [*entries], loc="outside right upper", ncols=beside)
    with rc_context({"svg.hashsalt": "switchbench"}):  # the same results give identical bytes
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
    figure.set_layout_engine("none")  # the layout is made already, which takes a third of the time
    figure.savefig(stem.with_suffix(".png"), dpi=150)


def _panel(panel: Axes, task: Task, styles: dict[str, Style]) -> None:
    """Draw a line per method. Methods without a target are points at the density that they reached."""
    measured = [cell for cell in task.cells.values() if cell.accuracy.n]
    low, high = _limits([100 * cell.accuracy.mean for cell in measured])
    for label in task.labels:
        cells = [cell for cell in measured if cell.label == label]
        cells.sort(key=lambda cell: cell.means["density"])
        if not cells:
            continue
        colour, marker = styles[label]
        shown = [cell for cell in cells if cell.means["density"]]  # a log axis has no 0
        means = [100 * cell.accuracy.mean for cell in shown]
        below = f" (below {low:.3g} %)" if means and max(means) < low else ""
        panel.errorbar(
            [cell.means["density"] for cell in shown],
            means,
            yerr=[100 * cell.accuracy.interval for cell in shown],
            label=_plain(f"{label}{below}" if shown == cells else f"{label} (ended at density 0: not shown)"),
            color=colour,
            marker=marker,
            linestyle="-" if len(cells) > 1 else "none",
            capsize=3,
        )
        if shown and shown[0].means["density"] == 1:
            panel.axhline(100 * shown[0].accuracy.mean, color=colour, linestyle=":", linewidth=1)
    panel.set_xscale("log")
    panel.set_xticks([*task.densities, 1.0], [f"{density:.3g}" for density in (*task.densities, 1.0)])
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel(f"density (share of weights kept, scope {task.scope})")
    panel.set_ylabel("test accuracy (%)")
    panel.set_title(_plain(f"{task.network} on {task.dataset}"))
    panel.set_ylim(low, high)
    panel.grid(alpha=0.3)


def _limits(accuracies: Sequence[float]) -> tuple[float, float]:
    """Return the range of the accuracy axis in %.

    Intervals of few seeds may be much wider than the differences between methods, so they do not count. A
    method that collapses would flatten the others to one line, so means below Tukey's outer fence (1977) do
    not count either.
    """
    if not accuracies:
        return 0, 101
    first, third = np.percentile(accuracies, [25, 75])
    low, high = max(min(accuracies), first - 3 * (third - first)), max(accuracies)
    room = 0.15 * (high - low) + 1
    return max(low - room, 0), min(high + room, 101)


def _plain(text: str) -> str:
    """Escape what matplotlib would not show as it is: dollar signs, and a leading underscore in a legend."""
    return ("\u2009" if text.startswith("_") else "") + text.replace("$", r"\$")
