"""The figures of a report, and their files.

::

    figures/TASK/NAME.svg, .pdf, .png     the figures of one task
    figures/all-tasks/NAME.svg, …         those over all tasks
    figures/captions.md                   what each shows
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from switchbench.reports.analyses.across import Across, across
from switchbench.reports.analyses.fronts import fronts
from switchbench.reports.cells import Report, Task
from switchbench.reports.figures import (
    accuracy,
    cost,
    curves,
    histograms,
    layers,
    masks,
    pareto,
    profiles,
    ranks,
    relative,
)
from switchbench.reports.figures.lines import OUTSIDE
from switchbench.reports.figures.style import Style, save, styles
from switchbench.reports.formats import escape
from switchbench.reports.sources import Sources
from switchbench.reports.tables.sections import ALL_TASKS, folder_name

MOST_HISTOGRAMS = 12
"""Methods whose weights are drawn."""


@dataclass(frozen=True)
class Drawing:
    """A figure, the name of its files, and its caption."""

    name: str
    caption: str
    figure: Figure


def draw_all(report: Report, folder: Path, sources: Sources | None = None) -> None:
    """Write the figures of a report, and their captions. Figures without data are left out.

    Args:
        report: The report.
        folder: Where the files are written; it is created.
        sources: What is shown beyond the report's cells.

    Raises:
        OSError: A file cannot be written.
    """
    looks = styles(report.methods)
    sources = sources or Sources()
    groups = [
        (task.title, folder_name(task.key), task_drawings(task, looks, sources)) for task in report.tasks
    ]
    captions = ["# Figures", ""]
    folder.mkdir(parents=True, exist_ok=True)
    for title, name, drawings in [
        *groups,
        ("All tasks", ALL_TASKS, overall_drawings(across(report), looks)),
    ]:
        lines = []
        for drawing in drawings:  # one at a time, so that they do not fill the memory
            (folder / name).mkdir(exist_ok=True)
            save(drawing.figure, folder / name / drawing.name)
            lines.append(f"- `{name}/{drawing.name}`: {escape.markdown_line(drawing.caption)}")
        captions += [f"## {escape.markdown_line(title)}", "", *lines, ""] if lines else []
    (folder / "captions.md").write_text("\n".join(captions), encoding="utf-8")


def task_drawings(task: Task, looks: dict[str, Style], sources: Sources) -> Iterator[Drawing]:
    """Draw the figures of a task, one after the other.

    Args:
        task: The task.
        looks: Styles of the methods of the whole report.
        sources: What is shown beyond the task's cells.
    """
    lowest = f" at density {min(task.densities):g}" if task.densities else ""
    dense = task.control
    control = dense.label if dense else None
    yield from _drawn("accuracy", accuracy.CAPTION + OUTSIDE, accuracy.accuracy_figure(task, looks))
    caption = relative.CAPTION.format(dense=control) + OUTSIDE
    yield from _drawn("relative", caption, relative.relative_figure(task, looks))
    names = ", ".join(f"{i} {name}" for i, name in enumerate(layers.layer_names(task), 1))
    caption = layers.CAPTION.format(names=names, where=lowest if layers.many(task) else "")
    yield from _drawn("layers", caption, layers.layers_figure(task, looks))
    caption = cost.CAPTION.format(where=lowest, unit="FLOPs") + OUTSIDE
    yield from _drawn("cost", caption, cost.cost_figure(task, looks))
    for front in fronts(task):
        caption = pareto.CAPTION.format(heading=front.heading, seeds=front.seeds) + OUTSIDE
        yield from _drawn(f"pareto-{front.name}", caption, pareto.front_figure(front, looks))
    if sources.curves is not None and sources.trials is not None:
        figure = curves.curves_figure(task, sources.trials, sources.curves, looks)
        yield from _drawn("curves", curves.CAPTION.format(where=lowest), figure)
    kept = sources.masks.get(task.key, {})
    # The dense control keeps everything, which would take most of the colours.
    kept = {label: kept[label] for label in task.labels if label in kept and label != control}
    yield from _drawn("masks", masks.CAPTION.format(where=lowest), masks.masks_figure(kept))
    weights = sources.weights.get(task.key, {})
    for label in [label for label in task.labels if label in weights][:MOST_HISTOGRAMS]:
        where = lowest if task.paired.takes_target(label) else ""
        caption = histograms.CAPTION.format(label=label, where=where)
        name = f"weights-{folder_name((label,))}"
        yield from _drawn(name, caption, histograms.histograms_figure(weights[label]))


def overall_drawings(found: Across, looks: dict[str, Style]) -> Iterator[Drawing]:
    """Draw the figures over all tasks, one after the other."""
    if tests := found.tests:
        average = dict(zip(found.labels, tests.ranks.tolist(), strict=True))
        joined = [[found.labels[column] for column in group] for group in tests.groups]
        figure = ranks.ranks_figure(average, joined, tests.critical_difference, looks)
        yield from _drawn("ranks", ranks.CAPTION.format(tasks=len(found.tasks)), figure)
    taus, shares = found.profile()
    score = "accuracy − dense (points)" if found.relative else "test accuracy (%)"
    figure = profiles.profile_figure(100 * taus, shares, score, looks)
    yield from _drawn("profile", profiles.CAPTION.format(blocks=len(found.blocks)), figure)


def _drawn(name: str, caption: str, figure: Figure | None) -> Iterator[Drawing]:
    """Yield a figure if there is one."""
    if figure:
        yield Drawing(name, caption, figure)
