"""What changed between two sets of results: which cells moved beyond noise."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from switchbench.reports.cells import Cell, Report
from switchbench.reports.grouping import build
from switchbench.reports.meanings import WithoutInert
from switchbench.reports.names import consistent
from switchbench.reports.statistics.margin import MARGIN
from switchbench.reports.statistics.paired import ALPHA, Difference, family
from switchbench.reports.statistics.seeds import Numbers, common
from switchbench.reports.statistics.summary import summarise
from switchbench.reports.tables.accuracy import target
from switchbench.reports.tables.differences import p_value, verdict
from switchbench.reports.tables.table import Entry, Number, Table
from switchbench.words import plural

CAPTION = (
    "Test accuracy in % of the seeds that both have. Difference: {after} minus {before}, in percentage "
    "points, mean ± half-width of the 95 % confidence interval (Student's t). p is that of a paired t test, "
    "corrected over all cells that both have (Holm); equal: within {margin:g} points, by two one-sided "
    "tests, likewise corrected."
)


@dataclass(frozen=True)
class Moved:
    """A cell that both hold."""

    task: str
    before: Cell
    after: Cell
    difference: Difference

    @property
    def identical(self) -> bool:
        """Whether both have the same accuracies, seed by seed."""
        return self.difference.summary.n > 0 and not any(_differences(self.before, self.after))


def changes(
    before: pd.DataFrame,
    after: pd.DataFrame,
    names: tuple[str, str],
    margin: float = MARGIN,
    without_inert: WithoutInert = dict,
) -> Table:
    """Compare two tables of results, cell by cell.

    Args:
        before: Results of one version of the code, or of one recipe.
        after: Those of the other.
        names: What the two are called.
        margin: Differences that are smaller, as shares, count as equal.
        without_inert: Returns parts of a config without the settings that change nothing.

    Returns:
        A row per cell that both measured, those that moved first. Its notes say how many moved, how many
        trials are identical, which names stand for something else, and which cells only one holds.
    """
    one, other = (_cells(build(results, "")) for results in (before, after))
    shared = [key for key in one if key in other and one[key].accuracy.n and other[key].accuracy.n]
    pairs = [(one[key], other[key]) for key in shared]
    tests = family([_differences(*pair) for pair in pairs], margin)
    moved = [Moved(key[0], *pair, test) for key, pair, test in zip(shared, pairs, tests, strict=True)]
    moved.sort(key=lambda each: np.nan_to_num(each.difference.p_corrected, nan=2.0))
    rows: list[list[Entry]] = [_row(each) for each in moved if not each.identical]
    caption = CAPTION.format(before=names[0], after=names[1], margin=100 * margin)
    header = ["task", "method", "target", *names, "difference", "p Holm", "n", "verdict"]
    beyond = sum(each.difference.p_corrected <= ALPHA for each in moved)
    same = len({*before["trial_id"]} & {*after["trial_id"]})
    notes = [
        f"{beyond} of {len(moved)} cells moved beyond noise; {len(moved) - len(rows)} are identical and left "
        f"out; {plural(same, 'trial')} {'is' if same == 1 else 'are'} in both"
    ]
    tables = zip(names, (before, after), strict=True)
    found = consistent([*tables], without_inert=without_inert)
    notes += [*found.apart, *found.same]
    for name, mine, others in ((names[0], one, other), (names[1], other, one)):
        only = [key for key in mine if key not in others]
        lost = [key for key in mine if key in others and mine[key].accuracy.n and not others[key].accuracy.n]
        notes += [f"only in {name}: {_counted(only)}"] if only else []
        notes += [f"measured only in {name}: {_counted(lost)}"] if lost else []
    return Table("changes", caption, header, rows, notes, keys=3)


Key = tuple[str, str, float | None]
"""Task, label, target density."""


def _cells(report: Report) -> dict[Key, Cell]:
    return {
        (task.title, label, density): cell
        for task in report.tasks
        for (label, density), cell in task.cells.items()
    }


def _differences(before: Cell, after: Cell) -> Numbers:
    one, other = common(before.seeds, after.seeds)
    found: Numbers = after.accuracies[other] - before.accuracies[one]
    return found


def _counted(keys: Sequence[Key]) -> str:
    counts = Counter((label, task) for task, label, _ in keys)
    return ", ".join(
        f"{label} on {task} ({plural(cells, 'cell')})" for (label, task), cells in counts.items()
    )


def _row(moved: Moved) -> list[Entry]:
    summary = moved.difference.summary
    shared = common(moved.before.seeds, moved.after.seeds)
    pairs = zip((moved.before, moved.after), shared, strict=True)
    means = [summarise(cell.accuracies[places]).mean for cell, places in pairs]
    return [
        moved.task,
        moved.before.label,
        target(moved.before),
        *(Number(100 * mean) for mean in means),
        Number(100 * summary.mean, 100 * summary.interval, signed=True) if summary.n else "no seed in common",
        p_value(moved.difference.p_corrected),
        Number(summary.n, digits=0),
        verdict(moved.difference),
    ]
