"""Render a report as Markdown, CSV and LaTeX, and on the terminal."""

import io
import math

import pandas as pd
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from switchbench.errors import printable
from switchbench.reports import escape
from switchbench.reports.cells import Report
from switchbench.reports.tables import Grid, accuracy, contrasts, grids


def markdown(report: Report) -> str:
    """Return the report in Markdown."""
    lines = [f"# {escape.markdown_line(report.title)}", ""]
    for task in report.tasks:
        lines += [f"## {escape.markdown_line(task.title)}", ""]
        for grid in grids(task):
            lines += grid_lines(grid)
    return "\n".join([*lines, *map(_markdown_item, _problem_lines(report))]) + "\n"


def grid_lines(grid: Grid) -> list[str]:
    """Return the lines of a table in Markdown, with its caption and notes."""
    lines = [_markdown_row(grid.header), "|---" + "|---:" * (len(grid.header) - 1) + "|"]
    lines += [_markdown_row(row) for row in grid.rows]
    lines += ["", grid.caption, ""]
    return [*lines, *(_markdown_item(f"- {note}") for note in grid.notes), ""] if grid.notes else lines


def latex(report: Report) -> str:
    """Return the accuracy tables in LaTeX. They need the package booktabs."""
    lines = ["% Needs \\usepackage{booktabs}."]
    for task in report.tasks:
        grid = accuracy(task)
        lines += [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{escape.latex(task.title)}. {escape.latex(grid.caption)}}}",
            f"\\begin{{tabular}}{{l{'r' * (len(grid.header) - 1)}}}",
            "\\toprule",
            " & ".join(escape.latex(cell) for cell in grid.header) + " \\\\",
            "\\midrule",
            *(" & ".join(escape.latex(cell) for cell in row) + " \\\\" for row in grid.rows),
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
        ]
    return "\n".join([*lines, *(f"% {escape.latex(line)}" for line in _problem_lines(report) if line)]) + "\n"


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
    if lines := _problem_lines(report):
        console.out("\n".join(lines), highlight=False)


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


def _problem_lines(report: Report) -> list[str]:
    if not report.problems:
        return []
    return ["Trials without a measurement:", "", *(f"- {printable(problem)}" for problem in report.problems)]


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(map(escape.markdown, cells)) + " |"


def _markdown_item(line: str) -> str:
    """Escape the entry of a list that begins with "- "; leave other lines as they are."""
    return f"- {escape.markdown_line(line[2:])}" if line.startswith("- ") else line
