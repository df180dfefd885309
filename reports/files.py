"""Write the files of a report.

::

    report.md                     every table, with what was not measured
    report.tex                    every table, to be compiled or taken apart
    tables/TASK/NAME.tex          one table: .tex, .md, .csv, .parquet, .html
    cells.csv                     every number of every cell in full precision
    figures/TASK/NAME.svg         figures: .svg, .pdf, .png; figures/captions.md says what they show
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from switchbench.errors import printable
from switchbench.reports.cells import Report, build
from switchbench.reports.figures.catalogue import Sources, draw_all
from switchbench.reports.findings import findings
from switchbench.reports.formats import escape, flat, latex, markdown, terminal
from switchbench.reports.formats.latex import Style
from switchbench.reports.search.tables import search_tables
from switchbench.reports.statistics.contrasts import Pair
from switchbench.reports.statistics.paired import MARGIN
from switchbench.reports.tables.accuracy import accuracy
from switchbench.reports.tables.catalogue import sections
from switchbench.reports.tables.differences import differences
from switchbench.reports.tables.table import Table
from switchbench.reports.view import EVERYTHING, View


def write(
    results: pd.DataFrame,
    folder: Path,
    title: str,
    pairs: Sequence[Pair] = (),
    margin: float = MARGIN,
    view: View = EVERYTHING,
    sources: Sources | None = None,
) -> Report:
    """Write the report of a comparison.

    Args:
        results: The ledger's table.
        folder: Where the files are written; it is created.
        title: Heading of the report.
        pairs: Pairs of labels whose difference is shown beside methods and their controls.
        margin: Differences of accuracy that are smaller, as shares, count as equal.
        view: What is shown, and how.
        sources: What figures show beyond the ledger's table, such as curves.

    Returns:
        The report, for other renderers.

    Raises:
        OSError: A file cannot be written.
    """
    report = view.report(build(results, title, pairs, margin))
    made = view.sections(sections(report))
    folder.mkdir(parents=True, exist_ok=True)
    whole = markdown.document(title, made, report.problems, findings(report))
    (folder / "report.md").write_text(whole, encoding="utf-8")
    (folder / "report.tex").write_text(latex.document(made, report.problems, view.style), encoding="utf-8")
    every = flat.cells(report)
    every.to_csv(folder / "cells.csv", index=False)
    every.to_parquet(folder / "cells.parquet", index=False)
    for section in made:
        own = folder / "tables" / section.folder
        for table in section.tables:
            write_table(table, section.title, own, view.style)
    draw_all(report, folder / "figures", sources)
    return report


def text(report: Report) -> str:
    """Return a whole report in Markdown."""
    return markdown.document(report.title, sections(report), report.problems, findings(report))


def show(report: Report, console: Console, view: View = EVERYTHING) -> None:
    """Print the tables of accuracy and of differences, and the trials without a measurement."""
    for task in report.tasks:
        terminal.show(view.table(accuracy(task)), task.title, console)
        if task.contrasts:
            terminal.show(view.table(differences(task)), "", console)
    if report.problems:
        lines = ["Trials without a measurement:", "", *(f"- {printable(line)}" for line in report.problems)]
        console.out("\n".join(lines), highlight=False)


def write_table(table: Table, title: str, folder: Path, style: Style = Style.PAPER) -> None:
    """Write a table in every format, as ``folder/NAME.*``. Raises OSError.

    Args:
        table: The table.
        title: What it is about, for captions.
        folder: It is created.
        style: What LaTeX does with wide tables.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{table.name}.tex").write_text(latex.floats(table, title, style) + "\n", encoding="utf-8")
    (folder / f"{table.name}.md").write_text("\n".join(markdown.table_lines(table)), encoding="utf-8")
    data = flat.frame(table)
    data.to_csv(folder / f"{table.name}.csv", index=False)
    data.to_parquet(folder / f"{table.name}.parquet", index=False)


def write_search(points: pd.DataFrame, folder: Path, title: str) -> list[Table]:
    """Write the tables ``search.md`` and the pictures ``search.html`` of a search.

    Args:
        points: The ledger's table of points, one row per point.
        folder: Where the files are written; it is created.
        title: Name of the search.

    Returns:
        The tables of ``search.md``.

    Raises:
        OSError: A file cannot be written.
    """
    from switchbench.reports.search.pictures import write_pictures  # imports optuna and plotly, which is slow

    folder.mkdir(parents=True, exist_ok=True)
    tables = search_tables(points)
    lines = [f"# {escape.markdown_line(title)}: search", ""]
    for table in tables:
        lines += [*markdown.table_lines(table), ""]
    (folder / "search.md").write_text("\n".join(lines), encoding="utf-8")
    write_pictures(points, folder / "search.html", title)
    return tables
