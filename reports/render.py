"""Render a report as Markdown, CSV and LaTeX, and on the terminal.

To add a table, write a function ``Task -> Grid`` and add it to :data:`TABLES`.
"""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from switchbench.reports.contrasts import tie
from switchbench.reports.statistics import Summary
from switchbench.reports.tables import Cell, Report, Task
from switchbench.row import used_as, uses

CAPTION = (
    "Test accuracy in %, mean ± half-width of the 95 % confidence interval (Student's t) over n seeds; "
    "no interval for n = 1. Columns are target densities of the layers in scope; @ gives the density "
    "that was reached if it differs from the target."
)
COST_CAPTION = (
    "Results and costs, means over seeds. Densities are recounted from the finished weights: in scope, of"
    " all linear and convolution weights, of all parameters. MACs are per image with non-zero weights; "
    "speedup is theoretical; MACs shrunk are those of the smaller dense network without dead neurons and "
    "channels. Training FLOPs are those of executed matrix products and convolutions, estimated from a "
    "sample of steps, relative to one round of plain training. Time is training time relative to one "
    "round of plain steps, which are timed at intervals in the same run; lowest to highest over seeds. "
    "Dense adds no cost, so its time shows the error of this measure, which is large if training is short"
    " or the machine is busy."
)
START_CAPTION = (
    " All methods of a seed started from the same trained dense network; its training is not counted."
)
CONTRAST_CAPTION = (
    "Test accuracy of a method minus that of another, in percentage points: mean over pairs of the same seed "
    "± half-width of the 95 % confidence interval (Student's t); = marks an interval that contains zero. "
    "Intervals are not corrected for multiple comparisons: if twenty true differences are zero, one of their "
    "intervals is expected to exclude zero by chance. A control is the method without one of its parts: if "
    "the two are not told apart, the data show no benefit of that part."
)
LAYER_CAPTION = (
    "Density of each linear and convolution layer, recounted from the finished weights, mean over seeds. "
    "Columns are the names of layers in the network."
)
NOTHING = "–"
OWN_COLUMN = "own density"
MISSED = 0.01
"""Relative distance from the target density above which the density is shown beside the accuracy."""


@dataclass(frozen=True)
class Grid:
    """A table as text, which all renderers share."""

    caption: str
    header: list[str]
    rows: list[list[str]]
    notes: Sequence[str] = ()
    """Findings, one line each."""


def grids(task: Task) -> list[Grid]:
    """Return the tables of a task, in the order of :data:`TABLES`; tables without rows are left out."""
    made = [table(task) for table in TABLES]
    return [grid for grid in made if grid.rows]


def markdown(report: Report) -> str:
    """Return the report in Markdown."""
    lines = [f"# {report.title}", ""]
    for task in report.tasks:
        lines += [f"## {task.title}", ""]
        for grid in grids(task):
            lines += grid_lines(grid)
    return "\n".join([*lines, *_problem_lines(report)]) + "\n"


def grid_lines(grid: Grid) -> list[str]:
    """Return the lines of a table in Markdown, with its caption and notes."""
    lines = [_markdown_row(grid.header), "|---" + "|---:" * (len(grid.header) - 1) + "|"]
    lines += [_markdown_row(row) for row in grid.rows]
    lines += ["", grid.caption, ""]
    return [*lines, *(f"- {note}" for note in grid.notes), ""] if grid.notes else lines


def latex(report: Report) -> str:
    """Return the accuracy tables in LaTeX. They need the package booktabs."""
    lines = ["% Needs \\usepackage{booktabs}."]
    for task in report.tasks:
        grid = accuracy(task)
        lines += [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{_tex(task.title)}. {_tex(grid.caption)}}}",
            f"\\begin{{tabular}}{{l{'r' * (len(grid.header) - 1)}}}",
            "\\toprule",
            " & ".join(_tex(cell) for cell in grid.header) + " \\\\",
            "\\midrule",
            *(" & ".join(_tex(cell) for cell in row) + " \\\\" for row in grid.rows),
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
        ]
    return "\n".join([*lines, *(f"% {line}" for line in _problem_lines(report) if line)]) + "\n"


def csv(report: Report) -> str:
    """Return one line per task, method and target density, with every number in full precision."""
    rows = [
        {
            "network": task.network,
            "dataset": task.dataset,
            "scope": task.scope,
            "label": cell.label,
            "target_density": cell.target,
            "n": cell.accuracy.n,
            "planned": cell.planned,
            "test_accuracy_mean": cell.accuracy.mean,
            "test_accuracy_ci95": cell.accuracy.interval,
            "test_accuracy_std": cell.accuracy.std,
            **{f"{name}_mean": value for name, value in cell.means.items()},
            "flops_over_plain": cell.flops,
            "time_over_plain_min": min(cell.times, default=math.nan),
            "time_over_plain_max": max(cell.times, default=math.nan),
        }
        for task in report.tasks
        for cell in task.cells.values()
    ]
    stream = io.StringIO()
    pd.DataFrame(rows).to_csv(stream, index=False)
    return stream.getvalue()


def terminal(report: Report, console: Console) -> None:
    """Print the tables of accuracy and paired differences, and the trials without a measurement."""
    for task in report.tasks:
        print_grid(accuracy(task), task.title, console)
        if task.contrasts:
            print_grid(contrasts(task), "", console)
    for line in _problem_lines(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_grid(grid: Grid, title: str, console: Console) -> None:
    """Print a table with its caption and notes."""
    caption = Text(grid.caption)
    table = Table(title=Text(title), title_justify="left", caption=caption, caption_justify="left")
    for index, name in enumerate(grid.header):
        table.add_column(Text(name), justify="right" if index else "left", no_wrap=True)
    for row in grid.rows:
        table.add_row(*map(Text, row))
    # Never truncate numbers: a table may be wider than the terminal.
    needed = Measurement.get(console, console.options.update(width=10_000), table).maximum
    width = max(needed, console.width)
    Console(file=console.file, width=width, force_terminal=console.is_terminal).print(table)
    for note in grid.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def accuracy(task: Task) -> Grid:
    """Test accuracy by method and target density."""
    own = any(not cell.takes_target for cell in task.cells.values())
    targets = [f"{density:g}" for density in task.densities]
    header = ["method", *targets, *([OWN_COLUMN] if own else []), "n"]
    rows = []
    for label in task.labels:
        cells = [task.cells.get((label, density)) for density in task.densities]
        free = task.cells.get((label, None))
        texts = [_accuracy(cell) for cell in cells]
        if own:
            texts.append(_accuracy(free))
        counts = {cell.accuracy.n for cell in [*cells, free] if cell}
        rows.append([label, *texts, "–".join(str(n) for n in sorted({min(counts), max(counts)}))])
    return Grid(CAPTION, header, rows, [*_emptied_layers(task)])


def _emptied_layers(task: Task) -> Iterator[str]:
    """Yield a line for each method that left a layer without connections; nothing flows through it."""
    for label in task.labels:
        found = [
            f"{name}{_at_target(cell)} ({seeds} of {cell.accuracy.n} seeds)"
            for cell in task.cells.values()
            for name, seeds in cell.emptied.items()
            if cell.label == label
        ]
        if found:
            yield f"{label}: no connection is left in {', '.join(found)}"


def contrasts(task: Task) -> Grid:
    """Differences between two methods, paired by seed."""
    header = ["method", "against", *(f"{density:g}" for density in task.densities)]
    rows = [
        [contrast.label, contrast.against, *map(_difference, contrast.differences.values())]
        for contrast in task.contrasts
    ]
    return Grid(CONTRAST_CAPTION, header, rows, [contrast.verdict for contrast in task.contrasts])


def costs(task: Task) -> Grid:
    """Densities, MACs, FLOPs and time by method and target density."""
    measured = [cell for cell in task.cells.values() if cell.accuracy.n]
    columns = [
        column
        for column in _cost_columns()
        if not column.optional or any(column.text(cell) for cell in measured)
    ]
    rows = [
        [cell.label, _target(cell), *(column.text(cell) or NOTHING for column in columns)]
        for cell in measured
    ]
    header = ["method", "target", *(column.heading for column in columns)]
    return Grid(COST_CAPTION + (START_CAPTION if task.started else ""), header, rows)


@dataclass(frozen=True)
class _Column:
    heading: str
    text: Callable[[Cell], str]
    """Text of a cell's entry; empty if there is no value."""
    optional: bool = False


def _cost_columns() -> Iterator[_Column]:
    """Yield the columns of rows that have a heading, and the columns computed from several of them."""
    for name in used_as("heading"):
        yield _Column(uses(name).heading, partial(_mean, name), uses(name).optional)
        if name == "macs":
            yield _Column("speedup", _speedup)
    yield _Column("training FLOPs", lambda cell: "" if math.isnan(cell.flops) else f"{cell.flops:.2f}×")
    yield _Column("time", lambda cell: _range(cell.times))


def _mean(name: str, cell: Cell) -> str:
    mean = cell.means[name]
    return "" if math.isnan(mean) else uses(name).template.format(mean)


def _speedup(cell: Cell) -> str:
    """Return the theoretical speedup. It assumes a kernel that skips zeros."""
    macs = cell.means["macs"]
    speedup = cell.means["macs_dense"] / macs if macs else math.inf
    return "" if math.isnan(speedup) else f"{speedup:.1f}×"


def layers(task: Task) -> Grid:
    """Density of each layer by method and target density."""
    cells = [cell for cell in task.cells.values() if cell.layers]
    names = list(dict.fromkeys(name for cell in cells for name in cell.layers))
    rows = [
        [cell.label, _target(cell), *(f"{cell.layers.get(name, math.nan):.3%}" for name in names)]
        for cell in cells
    ]
    return Grid(LAYER_CAPTION, ["method", "target", *names], rows)


TABLES: tuple[Callable[[Task], Grid], ...] = (accuracy, contrasts, costs, layers)
"""The tables of a task, in the order of the report."""


def _at_target(cell: Cell) -> str:
    return f" at {cell.target:g}" if cell.takes_target else ""


def _target(cell: Cell) -> str:
    return f"{cell.target:g}" if cell.takes_target else NOTHING


def _accuracy(cell: Cell | None) -> str:
    if cell is None:
        return ""
    summary = cell.accuracy
    if not summary.n:
        return "none measured"
    short = f" ({summary.n} of {cell.planned})" if summary.n < cell.planned else ""
    missed = cell.takes_target and abs(cell.means["density"] / cell.target - 1) > MISSED
    found = f" @ {cell.means['density']:.2%}" if missed or not cell.takes_target else ""
    return f"{100 * summary.mean:.2f}{_interval(summary)}{short}{found}"


def _difference(summary: Summary) -> str:
    if not summary.n:
        return "none measured"
    return f"{100 * summary.mean:+.2f}{_interval(summary)}{' =' if tie(summary) else ''} (n = {summary.n})"


def _interval(summary: Summary) -> str:
    return "" if math.isnan(summary.interval) else f" ± {100 * summary.interval:.2f}"


def _range(ratios: list[float]) -> str:
    ends = dict.fromkeys(f"{ratio:.3g}" for ratio in (min(ratios), max(ratios))) if ratios else {}
    return f"{'–'.join(ends)}×" if ends else "–"


def _problem_lines(report: Report) -> list[str]:
    if not report.problems:
        return []
    return ["Trials without a measurement:", "", *(f"- {problem}" for problem in report.problems)]


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


TEX = {
    "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_", "{": "\\{",
    "}": "\\}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "±": "$\\pm$", "×": "$\\times$",
    "–": "--",
}  # fmt: skip


def _tex(text: str) -> str:
    return "".join(TEX.get(character, character) for character in text)
