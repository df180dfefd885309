"""The tables of a report, in order.

To add a table, write a function ``Task -> Table`` (or ``Across -> Table``, for one over all tasks) and add it
here.
"""

from collections.abc import Callable

from switchbench.reports.analyses.across import Across, across
from switchbench.reports.cells import Report, Task
from switchbench.reports.checklist import checklist
from switchbench.reports.tables.accuracy import accuracy, summary, to_dense
from switchbench.reports.tables.costs import costs, layers
from switchbench.reports.tables.differences import attribution, differences, tests
from switchbench.reports.tables.operating import curves, front_shares
from switchbench.reports.tables.overall import leaderboard, rank_pairs
from switchbench.reports.tables.practice import practice
from switchbench.reports.tables.published import published
from switchbench.reports.tables.sections import ALL_TASKS, Section, folder_name
from switchbench.reports.tables.table import Table

TASK_TABLES: tuple[Callable[[Task], Table], ...] = (
    accuracy,
    differences,
    tests,
    attribution,
    to_dense,
    curves,
    front_shares,
    summary,
    costs,
    layers,
    published,
)
"""The tables of each task."""


OVERALL_TABLES: tuple[Callable[[Across], Table], ...] = (leaderboard, rank_pairs)
"""The tables over all tasks."""


def sections(report: Report) -> list[Section]:
    """Return the tables of a report: a section for each task, and one over all. Empty ones are left out."""
    if not report.tasks:
        return []
    by_task = [
        Section(
            task.title, folder_name(task.key), [table for make in TASK_TABLES if (table := make(task)).rows]
        )
        for task in report.tasks
    ]
    over_all = across(report)
    shown = {label for task in report.tasks for label in task.labels}
    tables = [table.of(shown) for make in OVERALL_TABLES if (table := make(over_all)).rows]
    tables = [table for table in [*tables, practice(checklist(report))] if table.rows]
    if not tables and not over_all.missing:
        return by_task
    return [*by_task, Section("All tasks", ALL_TASKS, tables, over_all.missing)]
