"""Reports of a comparison, and of the search before it, from the stored results."""

from collections.abc import Iterable

import pandas as pd
from rich.console import Console

from switchbench import reports
from switchbench.errors import InputError, unknown
from switchbench.observe.terminal import plain_console
from switchbench.reports.formats import terminal
from switchbench.reports.statistics.paired import MARGIN
from switchbench.store.ledger import Ledger
from switchbench.store.objects import StorePath
from switchbench.store.search import SearchLedger


def report(
    folder: str | StorePath,
    console: Console | None = None,
    pairs: Iterable[tuple[str, str] | str] = (),
    baseline: str | None = None,
    margin: float = 100 * MARGIN,
) -> pd.DataFrame:
    """Write the report of a comparison and print its table.

    Args:
        folder: Folder of the comparison.
        console: Where the table is printed; default: standard error.
        pairs: Pairs of labels of methods whose difference is shown, paired by seed, also as ``A:B``.
        baseline: Label of a method that all others are compared with.
        margin: Differences of accuracy that are smaller, in percentage points, count as equal.

    Returns:
        The ledger's table, one row per planned trial.

    Raises:
        InputError: The folder holds no comparison, a pair, the baseline or the margin is not valid, or
            the report cannot be written.
    """
    if not 0 < margin <= 100:
        raise InputError(f"--margin {margin:g}: should be above 0 and at most 100 percentage points")
    console = console or plain_console(stderr=True)
    ledger = Ledger(folder)
    results = ledger.results()
    all_pairs = [*ledger.pairs(), *_validated(pairs, results), *_with_baseline(baseline, results)]
    try:
        with ledger.report_folder() as local:
            curves, points = ledger.all_curves(), SearchLedger(ledger).points()
            written = reports.write(results, local, ledger.name(), all_pairs, margin / 100, curves, points)
            ledger.write_compact(local, results)
            files = ", ".join(sorted(path.name for path in local.iterdir()))
    except OSError as error:
        raise ledger.unwritable(error) from error
    reports.show(written, console)
    console.print(f"{ledger.report}: {files}", soft_wrap=True)
    return results


def report_search(folder: str | StorePath, console: Console | None = None) -> bool:
    """Write the tables and figures of the search that chose a comparison's methods, and print the tables.

    Args:
        folder: Folder of the comparison.
        console: Where the tables are printed; default: standard error.

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
        with ledger.report_folder() as local:
            tables = reports.write_search(points, local, title, with_page=not ledger.has_comparison)
    except OSError as error:
        raise ledger.unwritable(error) from error
    for table in tables:
        terminal.show(table, f"{title}: search", console or plain_console(stderr=True))
    return True


def _validated(given: Iterable[tuple[str, str] | str], results: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the pairs. Raises InputError if a pair does not name two methods that can be compared."""
    labels = set(results["label"])
    pairs = [_split(pair, labels) if isinstance(pair, str) else pair for pair in given]
    with_target = set(results.dropna(subset=["target_density"])["label"])
    for pair in pairs:
        if pair[0] == pair[1]:
            raise InputError(f"--pair {':'.join(pair)}: should name two different methods")
        for label in pair:
            if label not in labels:
                raise InputError(f"--pair: {unknown('label', label, labels)}")
        if not with_target.intersection(pair):
            raise InputError(f"--pair {':'.join(pair)}: one of the methods should have a target density")
    return pairs


def _with_baseline(baseline: str | None, results: pd.DataFrame) -> list[tuple[str, str]]:
    """Pair all other methods with the baseline. Raises InputError if there is no such method."""
    if baseline is None:
        return []
    labels = list(dict.fromkeys(results["label"]))
    if baseline not in labels:
        raise InputError(f"--baseline: {unknown('label', baseline, labels)}")
    return [(label, baseline) for label in labels if label != baseline]


def _split(text: str, labels: set[str]) -> tuple[str, str]:
    """Split ``A:B`` at the colon that leaves known labels: labels may hold colons. Raises InputError."""
    colons = [at for at, character in enumerate(text) if character == ":" and text[:at] and text[at + 1 :]]
    pairs = [(text[:at], text[at + 1 :]) for at in colons]
    if not pairs:
        raise InputError(f"--pair {text!r}: should be the labels of two methods as A:B")
    known = [pair for pair in pairs if labels.issuperset(pair)]
    if len(known) > 1:
        named = " or ".join(f"{one!r} and {other!r}" for one, other in known)
        raise InputError(f"--pair {text!r}: may name {named}; use against in the spec")
    return max(pairs, key=lambda pair: len(labels.intersection(pair)))
