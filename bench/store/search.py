"""The ledger of a search, in the folder ``search`` of the comparison that it leads to.

Beside the points' trials, which are stored like a comparison's::

    DIR/search/study.journal         Optuna's studies, unless a database holds them
    DIR/search/points.parquet        every point of the search, one row
    DIR/search/lock, opening         held by drivers, so that they do not get in each other's way
"""

from collections.abc import Iterable

import pandas as pd

from switchbench.row import PointRow
from switchbench.store import parquet
from switchbench.store.ledger import Ledger


class SearchLedger(Ledger):
    """The results of one search."""

    def __init__(self, comparison: Ledger) -> None:
        """``comparison``: the ledger of what the search leads to."""
        super().__init__(comparison.folder / "search")
        self.journal = self.folder / "study.journal"
        self.lock_file = self.folder / "lock"
        self.opening_file = self.folder / "opening"
        self._points_file = self.folder / "points.parquet"

    def write_points(self, points: Iterable[PointRow]) -> None:
        """Store every point of the search."""
        parquet.write(self._points_file, points, PointRow)

    def points(self) -> pd.DataFrame | None:
        """Every point of the search as a table with the columns of
        :class:`~switchbench.row.PointRow`, or None if there was no search. Raises InputError if the file is
        broken."""
        return parquet.read_table(self._points_file, PointRow) if self._points_file.exists() else None
