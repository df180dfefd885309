"""The figures of a report, and their files.

::

    figures/TASK/NAME.svg, .pdf, .png     the figures of one task
    figures/all-tasks/NAME.svg, …         those over all tasks
    figures/captions.md                   what each shows
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from switchbench.reports.cells import Report, Task
from switchbench.reports.figures import (
    accuracy,
    cost,
    curves,
    density,
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
from switchbench.reports.tables.sections import folder_names

ALL_TASKS = "all-tasks"

Arrays = Mapping[str, npt.ArrayLike]


@dataclass(frozen=True)
class Ranks:
    """What a critical-difference diagram shows: the arguments of :func:`ranks.ranks_figure`."""

    ranks: Mapping[str, float]
    groups: Sequence[Sequence[str]]
    critical_difference: float | None


@dataclass(frozen=True)
class Profile:
    """What a performance profile shows: the arguments of :func:`profiles.profile_figure`."""

    name: str
    """Name of the file."""
    taus: npt.ArrayLike
    shares: Arrays
    xlabel: str


@dataclass(frozen=True)
class Sources:
    """What figures show beyond the cells of a report. All of it may be missing.

    Mappings by task have the task's title as the key.
    """

    trials: pd.DataFrame | None = None
    """The ledger's table, which says whose the curves are."""
    curves: pd.DataFrame | None = None
    """One row per trial and epoch: trial_id, step, val_accuracy, density."""
    fronts: Mapping[str, Sequence[pareto.Front]] = field(default_factory=dict)
    """Pareto fronts by task."""
    masks: Mapping[str, Arrays] = field(default_factory=dict)
    """By task: for each label, the connections kept per input pixel, (height, width)."""
    weights: Mapping[str, Mapping[str, Arrays]] = field(default_factory=dict)
    """By task: for each label, the weights or gates of each layer."""
    ranks: Ranks | None = None
    profiles: Sequence[Profile] = ()


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
    looks = styles([label for task in report.tasks for label in task.labels])
    sources = sources or Sources()
    folders = folder_names([(task.network, task.dataset, task.scope) for task in report.tasks])
    groups = [
        (task.title, name, task_drawings(task, looks, sources))
        for task, name in zip(report.tasks, folders, strict=True)
    ]
    captions = ["# Figures", ""]
    folder.mkdir(parents=True, exist_ok=True)
    for title, name, drawings in [*groups, ("All tasks", ALL_TASKS, overall_drawings(looks, sources))]:
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
    dense = density.control(task)
    lowest = f" at density {min(task.densities):g}" if task.densities else ""
    names = ", ".join(f"{i} {name}" for i, name in enumerate(layers.layer_names(task), 1))
    yield from _drawn("accuracy", accuracy.CAPTION + OUTSIDE, accuracy.accuracy_figure(task, looks))
    if dense:
        caption = relative.CAPTION.format(dense=dense.label) + OUTSIDE
        yield from _drawn("relative", caption, relative.relative_figure(task, looks))
    where = lowest if layers.many(task) else ""
    caption = layers.CAPTION.format(names=names, where=where)
    yield from _drawn("layers", caption, layers.layers_figure(task, looks))
    caption = cost.CAPTION.format(where=lowest, unit="FLOPs") + OUTSIDE
    yield from _drawn("cost", caption, cost.cost_figure(task, looks))
    for front in sources.fronts.get(task.title, ()):
        caption = pareto.CAPTION.format(heading=front.heading) + OUTSIDE
        yield from _drawn(f"pareto-{_slug(front.heading)}", caption, pareto.front_figure(front, looks))
    if sources.curves is not None and sources.trials is not None:
        figure = curves.curves_figure(task, sources.trials, sources.curves, looks)
        yield from _drawn("curves", curves.CAPTION.format(where=lowest), figure)
    yield from _drawn("masks", masks.CAPTION, masks.masks_figure(sources.masks.get(task.title, {})))
    for label, values in sources.weights.get(task.title, {}).items():
        caption = histograms.CAPTION.format(label=label)
        yield from _drawn(f"weights-{_slug(label)}", caption, histograms.histograms_figure(values))


def overall_drawings(looks: dict[str, Style], sources: Sources) -> Iterator[Drawing]:
    """Draw the figures over all tasks, one after the other."""
    if given := sources.ranks:
        figure = ranks.ranks_figure(given.ranks, given.groups, given.critical_difference, looks)
        more = ranks.DIFFERENCE if given.critical_difference else ""
        yield from _drawn("ranks", ranks.CAPTION + more, figure)
    for each in sources.profiles:
        figure = profiles.profile_figure(each.taus, each.shares, each.xlabel, looks)
        yield from _drawn(each.name, profiles.CAPTION, figure)


def _drawn(name: str, caption: str, figure: Figure | None) -> Iterator[Drawing]:
    """Yield a figure if there is one."""
    if figure:
        yield Drawing(name, caption, figure)


def _slug(text: str) -> str:
    """Return a name of a file for any text."""
    return folder_names([(text,)])[0]
