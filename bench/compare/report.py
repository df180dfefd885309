"""The report of a comparison, and of the search before it, from what is stored in its folder."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from rich.console import Console

from switchbench import reports
from switchbench.errors import InputError, unknown
from switchbench.observe.terminal import plain_console
from switchbench.store.ledger import Ledger
from switchbench.store.search import SearchLedger


def report(
    folder: str | Path, console: Console | None = None, pairs: Iterable[tuple[str, str]] = ()
) -> pd.DataFrame:
    """Write the report of a comparison's folder, print its table, return the ledger's table.

    ``pairs`` are labels of two methods whose difference, paired by seed, is to be shown.
    """
    console = console or plain_console(stderr=True)
    ledger = Ledger(folder)
    results = ledger.results()
    pairs = [*ledger.pairs(), *_checked(pairs, results)]
    try:
        written = reports.write(results, ledger.report, ledger.name(), pairs)
        ledger.write_compact(results)
    except OSError as error:
        raise InputError(f"report folder {ledger.report}: {error.strerror or error}") from error
    reports.terminal(written, console)
    files = ", ".join(sorted(path.name for path in ledger.report.iterdir()))
    console.print(f"{ledger.report}: {files}", soft_wrap=True)
    return results


def report_search(folder: str | Path, console: Console | None = None) -> bool:
    """Write the tables and pictures of the search that chose a comparison's methods, and print what it
    found; False where there was none."""
    ledger = Ledger(folder)
    search = SearchLedger(ledger)
    points = search.points()
    if points is None:
        return False
    title = search.name()
    for grid in reports.write_search(points, ledger.report, title):
        reports.print_grid(grid, f"{title}: search", console or plain_console(stderr=True))
    return True


def _checked(pairs: Iterable[tuple[str, str]], results: pd.DataFrame) -> list[tuple[str, str]]:
    pairs, labels = [*pairs], set(results["label"])
    aimed = set(results.dropna(subset=["target_density"])["label"])
    for pair in pairs:
        if pair[0] == pair[1]:
            raise InputError(f"--pair {':'.join(pair)}: should be two methods")
        for label in pair:
            if label not in labels:
                raise InputError(f"--pair: {unknown('method', label, labels)}")
        if not aimed.intersection(pair):
            raise InputError(f"--pair {':'.join(pair)}: both end at densities of their own")
    return pairs
