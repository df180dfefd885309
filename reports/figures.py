"""Figures, drawn without a display, readable in print and by colour-blind readers."""

from itertools import cycle
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from switchbench.reports.tables import Report, Task

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito
MARKERS = "osD^vPX*"
COLUMNS = 2


def accuracy_figure(report: Report, stem: Path) -> None:
    """Accuracy against density, a panel per task, as ``stem``.svg and ``stem``.png."""
    columns = min(COLUMNS, len(report.tasks))
    lines = -(-len(report.tasks) // columns)
    figure = Figure(figsize=(7.5 * columns, 5 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(lines, columns, squeeze=False).flatten()
    for panel, task in zip(panels, report.tasks, strict=False):
        _panel(panel, task)
    for panel in panels[len(report.tasks) :]:
        panel.set_visible(False)
    with rc_context({"svg.hashsalt": "switchbench"}):  # the same results draw the same bytes
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(stem.with_suffix(".png"), dpi=150)


def _panel(panel: Axes, task: Task) -> None:
    """Lines over target densities; methods without a target stand where they ended."""
    styles = zip(cycle(COLOURS), cycle(MARKERS), strict=False)
    for label, (colour, marker) in zip(task.labels, styles, strict=False):
        cells = [cell for cell in task.cells.values() if cell.label == label and cell.accuracy.n]
        cells.sort(key=lambda cell: cell.means["density"])
        if not cells:
            continue
        shown = [cell for cell in cells if cell.means["density"]]  # 0 has no place on a log axis
        panel.errorbar(
            [cell.means["density"] for cell in shown],
            [100 * cell.accuracy.mean for cell in shown],
            yerr=[100 * cell.accuracy.interval for cell in shown],
            label=_plain(label if shown == cells else f"{label} (ended at density 0: not shown)"),
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
    panel.set_ylabel("test accuracy, % (mean, 95 % interval)")
    panel.set_title(_plain(f"{task.network} on {task.dataset}"))
    low, high = panel.get_ylim()
    panel.set_ylim(max(low, 0), min(high, 101))  # the interval of few seeds may leave what is possible
    panel.grid(alpha=0.3)
    if panel.get_legend_handles_labels()[0]:
        panel.legend()


def _plain(text: str) -> str:
    """Text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")
