"""The tables of a report, in order.

To add a table, write a function ``Task -> Table`` (or ``Report -> Table``, for one over all tasks) and add it
here.
"""

from collections.abc import Callable

from switchbench.reports.cells import Report, Task
from switchbench.reports.tables.accuracy import accuracy, summary, to_dense
from switchbench.reports.tables.costs import costs, layers
from switchbench.reports.tables.differences import attribution, differences, tests
from switchbench.reports.tables.sections import Section, folder_names
from switchbench.reports.tables.table import Table

TASK_TABLES: tuple[Callable[[Task], Table], ...] = (
    accuracy,
    differences,
    tests,
    attribution,
    to_dense,
    summary,
    costs,
    layers,
)
"""The tables of each task."""


def sections(report: Report) -> list[Section]:
    """Return the tables of a report: a section for each task. Tables without rows are left out."""
    folders = folder_names([(task.network, task.dataset, task.scope) for task in report.tasks])
    return [
        Section(task.title, folder, [table for make in TASK_TABLES if (table := make(task)).rows])
        for task, folder in zip(report.tasks, folders, strict=True)
    ]
