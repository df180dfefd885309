"""The figures of a report, and their files.

::

    figures/TASK/NAME.svg, .pdf, .png     the figures of one task
    figures/all-tasks/NAME.svg, …         those over all tasks
    figures/captions.md                   what each shows
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
from switchbench.reports.figures.material import NOTHING, Material
from switchbench.reports.figures.settings import save
from switchbench.reports.figures.style import Style, styles
from switchbench.reports.figures.workers import in_parallel
from switchbench.reports.formats import escape
from switchbench.reports.tables.sections import ALL_TASKS, folder_name

MOST_HISTOGRAMS = 12
"""Methods whose weights are drawn."""


@dataclass(frozen=True)
class Drawing:
    """A figure that may be drawn."""

    name: str
    """Name of its files."""
    caption: str
    draw: Callable[[], Figure | None]
    """Returns the figure; None if there is nothing to show."""


@dataclass(frozen=True)
class Sheet:
    """The figures of a task, or those over all."""

    title: str
    folder: str
    drawings: list[Drawing]


def draw_all(report: Report, folder: Path, material: Material = NOTHING, workers: int = 1) -> None:
    """Write the figures of a report, and their captions. Figures without data are left out.

    Args:
        report: The report.
        folder: Where the files are written; it is created.
        material: What is shown beyond the report's cells.
        workers: Number of processes that draw, as for :func:`in_parallel`. Files do not depend on it.

    Raises:
        OSError: A file cannot be written.
        WorkerLost: A process that draws has died.
    """
    looks = styles(report.methods)
    sheets = [
        *(
            Sheet(task.title, folder_name(task.key), task_drawings(task, looks, material))
            for task in report.tasks
        ),
        Sheet("All tasks", ALL_TASKS, overall_drawings(across(report), looks)),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for sheet in sheets:
        (folder / sheet.folder).mkdir(exist_ok=True)
    calls = [partial(_written, each, folder / sheet.folder) for sheet in sheets for each in sheet.drawings]
    written = iter(in_parallel(calls, workers))
    captions = ["# Figures", ""]
    for sheet in sheets:
        lines = [
            f"- `{sheet.folder}/{each.name}`: {escape.markdown_line(each.caption)}"
            for each in sheet.drawings
            if next(written)
        ]
        captions += [f"## {escape.markdown_line(sheet.title)}", "", *lines, ""] if lines else []
        if not lines:
            (folder / sheet.folder).rmdir()
    (folder / "captions.md").write_text("\n".join(captions), encoding="utf-8")


def _written(drawing: Drawing, folder: Path) -> bool:
    """Draw and write a figure, and return whether there is one."""
    figure = drawing.draw()
    if figure:
        save(figure, folder / drawing.name)
    return figure is not None


def task_drawings(task: Task, looks: dict[str, Style], material: Material) -> list[Drawing]:
    """Return the figures of a task.

    Args:
        task: The task.
        looks: Styles of the methods of the whole report.
        material: What is shown beyond the task's cells.
    """
    lowest = f" at density {min(task.densities):g}" if task.densities else ""
    dense = task.control
    control = dense.label if dense else None
    names = ", ".join(f"{i} {name}" for i, name in enumerate(layers.layer_names(task), 1))
    many = lowest if layers.many(task) else ""
    # The dense control keeps everything, which would take most of the colours.
    pictures = material.masks.get(task.key, {})
    kept = {label: pictures[label] for label in task.labels if label in pictures and label != control}
    weights = material.weights.get(task.key, {})
    trained = material.trainings.get(task.key, {})
    return [
        Drawing("accuracy", accuracy.CAPTION + OUTSIDE, partial(accuracy.accuracy_figure, task, looks)),
        Drawing(
            "relative",
            relative.CAPTION.format(dense=control) + OUTSIDE,
            partial(relative.relative_figure, task, looks),
        ),
        Drawing(
            "layers",
            layers.CAPTION.format(names=names, where=many),
            partial(layers.layers_figure, task, looks),
        ),
        Drawing(
            "cost",
            cost.CAPTION.format(where=lowest, unit="FLOPs") + OUTSIDE,
            partial(cost.cost_figure, task, looks),
        ),
        *(
            Drawing(
                f"pareto-{front.name}",
                pareto.CAPTION.format(heading=front.heading, seeds=front.seeds) + OUTSIDE,
                partial(pareto.front_figure, front, looks),
            )
            for front in fronts(task)
        ),
        Drawing("curves", curves.CAPTION.format(where=lowest), partial(curves.curves_figure, trained, looks)),
        Drawing("masks", masks.CAPTION.format(where=lowest), partial(masks.masks_figure, kept)),
        *(
            Drawing(
                f"weights-{folder_name((label,))}",
                histograms.CAPTION.format(
                    most=histograms.MOST_LAYERS,
                    label=label,
                    where=lowest if task.paired.takes_target(label) else "",
                ),
                partial(histograms.histograms_figure, weights[label]),
            )
            for label in [label for label in task.labels if label in weights][:MOST_HISTOGRAMS]
        ),
    ]


def overall_drawings(found: Across, looks: dict[str, Style]) -> list[Drawing]:
    """Return the figures over all tasks."""
    drawings = []
    if tests := found.tests:
        average = dict(zip(found.labels, tests.ranks.tolist(), strict=True))
        joined = [[found.labels[column] for column in group] for group in tests.groups]
        drawings.append(
            Drawing(
                "ranks",
                ranks.CAPTION.format(tasks=len(found.tasks)),
                partial(ranks.ranks_figure, average, joined, tests.critical_difference, looks),
            )
        )
    taus, shares = found.profile()
    score = "accuracy − dense (points)" if found.relative else "test accuracy (%)"
    drawings.append(
        Drawing(
            "profile",
            profiles.CAPTION.format(blocks=len(found.blocks)),
            partial(profiles.profile_figure, 100 * taus, shares, score, looks),
        )
    )
    return drawings
