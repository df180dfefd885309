"""Tables, statistics, figures and a page from stored results alone; knows nothing of methods or training.

``results`` always is the ledger's table: one row per planned trial. Measured trials have the status ``ok``.

May import: nothing.
"""

from switchbench.reports.cells import Report
from switchbench.reports.files import (
    Composed,
    compose,
    show,
    text,
    write,
    write_leaderboard,
    write_search,
    write_table,
    write_tables,
)
from switchbench.reports.grouping import build

__all__ = [
    "Composed",
    "Report",
    "build",
    "compose",
    "show",
    "text",
    "write",
    "write_leaderboard",
    "write_search",
    "write_table",
    "write_tables",
]
