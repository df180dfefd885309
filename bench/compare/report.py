"""Reports of a comparison, of several, and of the search before one, from the stored results."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
from rich.console import Console

from switchbench import reports
from switchbench.compare.choices import check_margin, pairs_of, view_of, with_baseline
from switchbench.compare.inert import without_inert
from switchbench.compare.report_options import DEFAULTS, ReportOptions
from switchbench.compare.sources import sources_of, with_latency
from switchbench.observe.terminal import plain_console
from switchbench.reports.changes import changes
from switchbench.reports.figures.process import DrawingProcess
from switchbench.reports.formats import terminal
from switchbench.reports.join import joined
from switchbench.reports.mixed import mixed
from switchbench.reports.results import Results
from switchbench.reports.sources import Sources
from switchbench.store.ledger import Ledger
from switchbench.store.objects import StorePath
from switchbench.store.search import SearchLedger
from switchbench.store.unwritable import unwritable


def report(
    folder: str | StorePath,
    console: Console | None = None,
    options: ReportOptions = DEFAULTS,
    out: Path | None = None,
    drawing: DrawingProcess | None = None,
) -> Results:
    """Print the main tables of a comparison, then write its report.

    Args:
        folder: Folder of the comparison.
        console: Where the tables are printed; default: standard error.
        options: What is shown.
        out: Folder of the report; None: ``report`` in the comparison's folder.
        drawing: The process that draws the figures, if it was started before.

    Returns:
        The ledger's table, one row per planned trial.

    Raises:
        InputError: The folder holds no comparison, an option is not valid, or the report cannot be written.
        RunStopped: The disk is full, or the process that draws was killed.
    """
    with drawing or DrawingProcess() as drawing:
        return _report(Ledger(folder), console or plain_console(stderr=True), options, out, drawing)


def _report(
    ledger: Ledger, console: Console, options: ReportOptions, out: Path | None, drawing: DrawingProcess
) -> Results:
    results = ledger.results()
    timed, unreached = with_latency(results, [ledger]), [*map(str, ledger.unreached())]
    composed = _composed(timed, ledger.name(), ledger.pairs(), options, unreached)
    _warn(mixed(results, without_inert), console)
    reports.show(composed, console)
    sources = sources_of([ledger], results, SearchLedger(ledger).points(), composed.view.densities)
    try:
        with nullcontext(out) if out else ledger.report_folder() as local:
            _write(composed, local, ledger, results, sources, drawing)
    except OSError as error:
        raise (unwritable(out, error, "--out") if out else ledger.unwritable(error)) from error
    _say_written(out or ledger.report, console)
    return Results.of(results, ledger.folder)


def report_joined(
    folders: Sequence[str | StorePath],
    out: Path,
    console: Console | None = None,
    options: ReportOptions = DEFAULTS,
    drawing: DrawingProcess | None = None,
) -> Results:
    """Write one report of several comparisons.

    Args:
        folders: Folders of comparisons, whose trials are joined: each trial once.
        out: Folder of the report.
        console: Where the tables are printed; default: standard error.
        options: What is shown.
        drawing: The process that draws the figures, if it was started before.

    Returns:
        The joined table, one row per trial.

    Raises:
        InputError: As for :func:`report`.
    """
    ledgers = [*map(Ledger, folders)]
    names = _distinct(ledgers)
    tables = [(name, each.results()) for name, each in zip(names, ledgers, strict=True)]
    found = joined(tables, without_inert)
    results = found.results
    pairs = [
        (labels.get(one, one), labels.get(other, other))
        for each, labels in zip(ledgers, found.labels, strict=True)
        for one, other in each.pairs()
    ]
    timed = with_latency(results, ledgers)
    unreached = [
        f"{name}: {each}" for name, ledger in zip(names, ledgers, strict=True) for each in ledger.unreached()
    ]
    composed = _composed(timed, " + ".join(names), pairs, options, unreached)
    console = console or plain_console(stderr=True)
    within = [f"{name}: {line}" for name, table in tables for line in mixed(table, without_inert)]
    _warn([*within, *found.lines], console)
    reports.show(composed, console)
    try:
        sources = sources_of(ledgers, results, densities=composed.view.densities)
        _write(composed, out, ledgers[0], results, sources, drawing)
    except OSError as error:
        raise unwritable(out, error, "--out") from error
    _say_written(out, console)
    return Results.of(results, out)


def report_changes(
    before: str | StorePath,
    after: str | StorePath,
    out: Path,
    console: Console | None = None,
    margin: float = ReportOptions.margin,
) -> None:
    """Write and print what changed between two comparisons: which cells moved beyond noise.

    Args:
        before: Folder of the first.
        after: Folder of the second.
        out: Folder of the files ``changes.md`` and ``changes.csv``.
        console: Where the table is printed; default: standard error.
        margin: Differences of accuracy that are smaller, in percentage points, count as equal.

    Raises:
        InputError: As for :func:`report`.
    """
    check_margin(margin)
    ledgers = Ledger(before), Ledger(after)
    one, other = _distinct(ledgers)
    table = changes(ledgers[0].results(), ledgers[1].results(), (one, other), margin / 100, without_inert)
    try:
        reports.write_table(table, f"{other} against {one}", out)
    except OSError as error:
        raise unwritable(out, error, "--out") from error
    console = console or plain_console(stderr=True)
    terminal.show(table, f"{other} against {one}", console)
    console.print(f"{out}: changes.md, changes.csv and other formats", soft_wrap=True)


def report_search(folder: str | StorePath, console: Console | None = None, out: Path | None = None) -> bool:
    """Write the tables and figures of the search that chose a comparison's methods, and print the tables.

    Args:
        folder: Folder of the comparison.
        console: Where the tables are printed; default: standard error.
        out: Folder of the files; None: ``report`` in the comparison's folder.

    Returns:
        Whether there was a search; if not, nothing is written.

    Raises:
        InputError: The stored points or the spec cannot be read.
    """
    ledger = Ledger(folder)
    search = SearchLedger(ledger)
    points = search.points()
    if points is None:
        return False
    title = search.name()
    try:
        with nullcontext(out) if out else ledger.report_folder() as local:
            tables = reports.write_search(points, local, title, with_page=not ledger.has_comparison)
    except OSError as error:
        raise (unwritable(out, error, "--out") if out else ledger.unwritable(error)) from error
    for table in tables:
        terminal.show(table, f"{title}: search", console or plain_console(stderr=True))
    return True


def _composed(
    results: pd.DataFrame,
    title: str,
    pairs: Sequence[tuple[str, str]],
    options: ReportOptions,
    unreached: Sequence[str],
) -> reports.Composed:
    """Check the options and compose the report. Raises InputError."""
    check_margin(options.margin)
    every = [*pairs, *pairs_of(options.pairs, results), *with_baseline(options.baseline, results)]
    view = view_of(options, results)
    return reports.compose(results, title, every, options.margin / 100, view, unreached)


def _write(
    composed: reports.Composed,
    folder: Path,
    ledger: Ledger,
    results: pd.DataFrame,
    sources: Sources,
    drawing: DrawingProcess | None,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ledger.write_compact(folder, results)  # first, for figures may fail
    reports.write(composed, folder, sources, drawing)


def _warn(lines: Sequence[str], console: Console) -> None:
    for line in lines:
        console.print(f"warning: {line}", markup=False, highlight=False, soft_wrap=True)


def _say_written(folder: object, console: Console) -> None:
    console.print(f"{folder}: index.html, report.md, report.tex, tables/, figures/", soft_wrap=True)


def _distinct(ledgers: Sequence[Ledger]) -> list[str]:
    """Return a name for each ledger: that of its comparison, or its folder's where names repeat."""
    names = [ledger.name() for ledger in ledgers]
    if len({*names}) < len(names):
        names = [ledger.folder.name for ledger in ledgers]
    return names if len({*names}) == len(names) else [str(ledger.folder) for ledger in ledgers]
