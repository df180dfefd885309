"""Write the files of a report.

::

    report.md                     every table, with what was not measured
    report.tex                    every table, to be compiled or taken apart
    tables/TASK/NAME.tex          one table: .tex, .md, .csv, .parquet, .html
    cells.csv                     every number of every cell in full precision
    figures/TASK/NAME.svg         figures: .svg, .pdf, .png; figures/captions.md says what they show
    index.html                    the page: findings, figures, tables, all trials, and the search
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from switchbench.errors import printable
from switchbench.reports.cells import Report
from switchbench.reports.checklist import checklist
from switchbench.reports.figures.material import material
from switchbench.reports.figures.process import DrawingProcess
from switchbench.reports.findings import findings
from switchbench.reports.formats import escape, flat, html, latex, markdown, terminal
from switchbench.reports.grouping import build
from switchbench.reports.leaderboard import Comparison, leaderboard
from switchbench.reports.meanings import WithoutInert
from switchbench.reports.page.page import page
from switchbench.reports.search.tables import search_tables
from switchbench.reports.sources import Sources
from switchbench.reports.statistics.contrasts import Pair
from switchbench.reports.statistics.margin import MARGIN
from switchbench.reports.tables.catalogue import sections
from switchbench.reports.tables.sections import Section
from switchbench.reports.tables.table import Table
from switchbench.reports.view import EVERYTHING, View
from switchbench.row import columns

SHOWN = ("accuracy", "differences")
"""Tables that the terminal shows."""


@dataclass(frozen=True)
class Composed:
    """A report before it is written: whatever can be wrong with its options has been found."""

    results: pd.DataFrame
    report: Report
    sections: list[Section]
    view: View


def compose(
    results: pd.DataFrame,
    title: str,
    pairs: Sequence[Pair] = (),
    margin: float = MARGIN,
    view: View = EVERYTHING,
    unreached: Sequence[str] = (),
) -> Composed:
    """Compute the statistics and tables of a report.

    Args:
        results: The ledger's table.
        title: Heading of the report.
        pairs: Pairs of labels whose difference is shown beside methods and their controls.
        margin: Differences of accuracy that are smaller, as shares, count as equal.
        view: What is shown, and how.
        unreached: Target densities for which a method has no trial, with the reason.

    Returns:
        The report, to be written and shown.

    Raises:
        InputError: The view names a column that no table has.
    """
    report = view.report(build(results, title, pairs, margin, unreached))
    return Composed(results, report, view.sections(sections(report)), view)


def write(
    composed: Composed, folder: Path, sources: Sources | None = None, drawing: DrawingProcess | None = None
) -> None:
    """Write the files of a report.

    Args:
        composed: The report.
        folder: Where the files are written; it is created.
        sources: What is shown beyond the ledger's table, such as curves.
        drawing: The process that draws the figures, if it was started before.

    Raises:
        OSError: A file cannot be written.
        RunStopped: The process that draws has died.
    """
    report, sources = composed.report, sources or Sources()
    with drawing or DrawingProcess() as drawing:
        shutil.rmtree(folder / "figures", ignore_errors=True)
        drawing.draw(report, folder / "figures", material(report, sources))
        write_tables(composed, folder)
        _write_page(folder, report, composed.sections, composed.results, sources)
        drawing.wait()


def write_tables(composed: Composed, folder: Path) -> None:
    """Write the files of a report without figures and page. Raises OSError.

    Args:
        composed: The report.
        folder: Where the files are written; it is created. Tables of an earlier report are removed: they
            would be taken for some of this.
    """
    report, made, view = composed.report, composed.sections, composed.view
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "tables", ignore_errors=True)
    lines, floats = {}, {}
    for section in made:
        for table in section.tables:
            lines[id(table)], floats[id(table)] = _write(
                table, section.title, folder / "tables" / section.folder, view
            )
    whole = markdown.document(
        report.title, made, report.problems, findings(report), lambda table: lines[id(table)]
    )
    (folder / "report.md").write_text(whole, encoding="utf-8")
    whole = latex.document(made, report.problems, lambda table: floats[id(table)])
    (folder / "report.tex").write_text(whole, encoding="utf-8")
    every = flat.cells(report)
    every.to_csv(folder / "cells.csv", index=False)
    every.to_parquet(folder / "cells.parquet", index=False)


def text(report: Report) -> str:
    """Return a whole report in Markdown."""
    return markdown.document(report.title, sections(report), report.problems, findings(report))


def show(composed: Composed, console: Console) -> None:
    """Print the tables of accuracy and of differences, and the trials without a measurement.

    A caption that has been printed is not repeated.
    """
    captions: set[str] = set()
    for section in composed.sections:
        for table in section.tables:
            if table.name in SHOWN:
                title = section.title if table.name == SHOWN[0] else ""
                terminal.show(table, title, console, table.caption not in captions)
                captions.add(table.caption)
    if applied := composed.view.applied(composed.sections):
        console.print(
            f"tables with these columns: {', '.join(applied)}; the others are shown whole", soft_wrap=True
        )
    if problems := composed.report.problems:
        lines = ["Trials without a measurement:", "", *(f"- {printable(line)}" for line in problems)]
        console.out("\n".join(lines), highlight=False)


def write_table(table: Table, title: str, folder: Path) -> None:
    """Write a table in every format, as ``folder/NAME.*``. Raises OSError.

    Args:
        table: The table.
        title: What it is about, for captions.
        folder: It is created.
    """
    _write(table, title, folder, EVERYTHING)


def _write(table: Table, title: str, folder: Path, view: View) -> tuple[list[str], str]:
    """Write a table in every format, and return it in Markdown and in LaTeX."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = markdown.table_lines(table)
    floats = latex.floats(table, title, view.style, latex.label_of(folder.name, table))
    for ending, content in (("md", "\n".join(lines)), ("tex", f"{floats}\n"), ("html", html.fragment(table))):
        (folder / f"{table.name}.{ending}").write_text(content, encoding="utf-8")
    data = flat.frame(table)
    data.to_csv(folder / f"{table.name}.csv", index=False)
    data.to_parquet(folder / f"{table.name}.parquet", index=False)
    return lines, floats


def write_search(points: pd.DataFrame, folder: Path, title: str, with_page: bool = True) -> list[Table]:
    """Write the tables of a search, ``search.md``, and a page with its tables and pictures.

    Args:
        points: The ledger's table of points, one row per point.
        folder: Where the files are written; it is created.
        title: Name of the search.
        with_page: Whether to write ``index.html``; that of :func:`write` has both comparison and search.

    Returns:
        The tables of ``search.md``.

    Raises:
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = search_tables(points)
    lines = [f"# {escape.markdown_line(title)}: search", ""]
    for table in tables:
        lines += [*markdown.table_lines(table), ""]
    (folder / "search.md").write_text("\n".join(lines), encoding="utf-8")
    if with_page:
        report, none = Report(f"{title}: search", [], []), pd.DataFrame(columns=columns())
        _write_page(folder, report, [], none, Sources(points=points))
    return tables


def write_leaderboard(
    comparisons: Sequence[Comparison], file: Path, title: str, without_inert: WithoutInert = dict
) -> None:
    """Write the leaderboard of several comparisons as a page. Raises OSError.

    Args:
        comparisons: The comparisons.
        file: The page.
        title: Its heading.
        without_inert: Returns parts of a config without the settings that change nothing.
    """
    links = {each.name: each.page for each in comparisons if each.page}
    none = pd.DataFrame(columns=columns())
    made = leaderboard(comparisons, without_inert)
    file.write_text(page(Report(f"{title}: leaderboard", [], []), made, none, links=links), encoding="utf-8")


def _write_page(
    folder: Path,
    report: Report,
    made: Sequence[Section],
    results: pd.DataFrame,
    sources: Sources,
) -> None:
    search = None
    if sources.points is not None:
        from switchbench.reports.search.pictures import pictures  # imports optuna and plotly, which is slow

        made = [*made, Section("Search", "search", search_tables(sources.points))]
        search = pictures(sources.points)
    text = page(report, made, results, sources.curves, findings(report), checklist(report), search)
    (folder / "index.html").write_text(text, encoding="utf-8")
