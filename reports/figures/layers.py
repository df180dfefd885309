"""Density of each layer, in network order."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from switchbench.reports.cells import Task
from switchbench.reports.figures.axes import fixed_x, log_limits, log_y
from switchbench.reports.figures.density import NONE_LEFT, measured
from switchbench.reports.figures.lines import LOW_HEIGHT, Series, highlight, lines_figure
from switchbench.reports.figures.panels import FEW, Entry, grid, natural_width
from switchbench.reports.figures.settings import settings
from switchbench.reports.figures.style import SMALL, Style
from switchbench.reports.figures.text import even_step, shown, width

CAPTION = (
    "Mean density of each layer over seeds, in network order ({names}){where}. Methods without a target "
    "density stand at the density that they reached. Triangles at the lower edge mark layers without a "
    "connection."
)
TITLES = ("layer", "density")


def layer_names(task: Task) -> list[str]:
    """Return the names of all layers that trials state, in network order."""
    return [*dict.fromkeys(name for cell in task.cells.values() for name in cell.layers)]


def many(task: Task) -> bool:
    """Whether methods are so many that one density is shown, in several panels."""
    return len(measured(task)) > FEW


@settings()
def layers_figure(task: Task, styles: dict[str, Style], width: float | None = None) -> Figure | None:
    """Draw density by layer: a panel for each target, or, with many methods, panels for the lowest target.

    Args:
        task: The task.
        styles: Looks of its methods.
        width: Width in inches; default: one column for one panel, or two.

    Returns:
        The figure; None if trials do not state densities of layers.
    """
    names = layer_names(task)
    targets = task.densities or [math.nan]
    by_target = {target: _series(task, names, target) for target in targets}
    values = [y for drawn in by_target.values() for each in drawn for y in each.y]
    positive = [value for value in values if value > NONE_LEFT]
    if not positive:
        return None
    ends = log_limits(positive)

    def scales(panel: Axes, inches: float) -> None:
        each = inches / len(names)
        places = [each * (i + 0.5) for i in range(len(names))]
        texts = _texts(names, each)
        step = even_step(places, texts, SMALL)
        panel.set_xlim(-0.5, len(names) - 0.5)
        fixed_x(panel, range(0, len(names), step), texts[::step], places[::step])
        log_y(panel, ends)

    if many(task):
        return lines_figure(by_target[targets[-1]], styles, scales, TITLES, width)
    drawn = {each.label: each for series in by_target.values() for each in series}
    top = [Entry(label, styles[label], each.is_line) for label, each in drawn.items()]
    keys = [[Entry(f"density {target:g}")] if target == target else [] for target in targets]
    made = grid(keys, width or natural_width(len(keys)), [LOW_HEIGHT], TITLES[0], [TITLES[1]], top)
    for (panel,), series in zip(made.panels, by_target.values(), strict=True):
        scales(panel, made.size[0])
        for each in series:
            highlight(panel, each, styles[each.label])
    return made.finished()


def _series(task: Task, names: Sequence[str], target: float) -> list[Series]:
    """Return the densities of the layers of each method at a target."""
    found = []
    for label in measured(task):
        cell = task.cell(label, target)
        known = (
            [(i, cell.layers[name]) for i, name in enumerate(names) if name in cell.layers] if cell else []
        )
        if known:
            x, y = np.array(known, dtype=float).T
            found.append(Series(label, x, np.maximum(y, NONE_LEFT), np.full(len(x), np.nan)))
    return found


def _texts(names: Sequence[str], step: float) -> list[str]:
    """Return the names of the layers, or their numbers if names do not fit side by side."""
    texts = [shown(name) for name in names]
    fit = all(width(text, SMALL) < step - 0.06 for text in texts)
    return texts if fit else [str(i + 1) for i in range(len(names))]
