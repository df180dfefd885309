"""The table of results as users get it: a pandas table with a display of its own in notebooks."""

from typing import Any

import pandas as pd


class Results(pd.DataFrame):
    """Results of a comparison: one row per planned trial, with the columns of :class:`switchbench.Row`.

    In a notebook it shows the table of accuracies of each task. It is a table like any other: what is
    selected or computed from it is a plain ``pandas.DataFrame``.
    """

    @classmethod
    def of(cls, table: pd.DataFrame, folder: object) -> "Results":
        """Make results of a ledger's table. ``attrs["folder"]`` says where they come from."""
        made = cls(table)
        made.attrs["folder"] = str(folder)
        return made

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    def _repr_html_(self) -> str:
        from switchbench.reports.formats.html import fragment
        from switchbench.reports.formats.html_text import as_html
        from switchbench.reports.grouping import build
        from switchbench.reports.tables.accuracy import accuracy

        tasks = build(pd.DataFrame(self), "").tasks
        style = "<style>table.accuracy .best { font-weight: bold }</style>"
        return style + "\n".join(
            f"<h4>{as_html(task.title)}</h4>\n{fragment(accuracy(task))}" for task in tasks
        )
