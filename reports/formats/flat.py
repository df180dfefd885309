"""Tables as data: CSV and Parquet, with every number in full precision."""

import math

import pandas as pd

from switchbench.reports.cells import ACCURACY, Report
from switchbench.reports.tables.table import Entry, Number, Table


def frame(table: Table) -> pd.DataFrame:
    """Return a table as data.

    Returns:
        One column per column of the table. A column of numbers is followed by ``NAME ±`` (half-width of the
        interval), ``NAME low`` and ``NAME high`` (its ends), and ``NAME note`` (marks and notes), as far as
        its entries have these. A missing number is NaN. A heading that repeats gets a prime.

    Example:
        >>> frame(Table("t", "", ["method", "0.1"], [["l1", Number(98.5, 0.2, mark="*")]])).to_dict("records")
        [{'method': 'l1', '0.1': 98.5, '0.1 ±': 0.2, '0.1 note': '*'}]
    """
    columns: dict[str, list[float] | list[str]] = {}
    for at, heading in enumerate(table.header):
        name = heading
        while name in columns:  # densities that differ beyond the digits shown, a layer named as a column
            name += "'"
        entries = [row[at] for row in table.rows]
        if not table.is_numeric(at):
            columns[name] = [str(entry) for entry in entries]
            continue
        numbers = [entry if isinstance(entry, Number) else Number(math.nan) for entry in entries]
        columns[name] = [number.value for number in numbers]
        if not all(math.isnan(number.spread) for number in numbers):
            columns[f"{name} ±"] = [number.spread for number in numbers]
        if any(number.ends for number in numbers):
            ends = [number.ends or (math.nan, math.nan) for number in numbers]
            columns[f"{name} low"], columns[f"{name} high"] = ([end[i] for end in ends] for i in (0, 1))
        notes = [_note(entry) for entry in entries]
        if any(notes):
            columns[f"{name} note"] = notes
    return pd.DataFrame(columns)


def _note(entry: Entry) -> str:
    if isinstance(entry, str):
        return entry
    return " ".join(part for part in ("best" if entry.best else "", entry.mark, entry.note) if part)


def cells(report: Report) -> pd.DataFrame:
    """Return every number of every cell, one row per task, method and target, in the ledger's units."""
    return pd.DataFrame(
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
            **{f"{name}_mean": value for name, value in cell.means.items() if name != ACCURACY},
            "flops_over_plain": cell.flops,
            "time_over_plain_min": min(cell.times, default=math.nan),
            "time_over_plain_max": max(cell.times, default=math.nan),
        }
        for task in report.tasks
        for cell in task.cells.values()
    )
