"""Tables, statistics, figures and a page from stored results alone; knows nothing of methods or training.

``results`` always is the ledger's table: one row per planned trial. Measured trials have the status ``ok``.

Names are imported when they are first used, so that figures can be drawn by a process that imports no pandas,
and which starts before this one has imported it.

May import: nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {"Report": "cells", "build": "grouping"}
"""Modules of the names; all others are in files."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'switchbench.reports' has no attribute {name!r}")
    return getattr(import_module(f"switchbench.reports.{_HOMES.get(name, 'files')}"), name)
