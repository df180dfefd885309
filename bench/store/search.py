"""The ledger of a search, in the folder ``search`` of its comparison.

The trials of the points are stored as in a comparison. Further files::

    DIR/search/study.journal         Optuna's studies, unless a database holds them
    DIR/search/points.parquet        all points of the search, one row each
    DIR/search/lock, opening         lock files of the drivers
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from switchbench.row import PointRow, PointState
from switchbench.store import parquet
from switchbench.store.ledger import Ledger

if TYPE_CHECKING:
    import pandas as pd


class SearchLedger(Ledger):
    """The results of one search."""

    def __init__(self, comparison: Ledger) -> None:
        """Name the files.

        Args:
            comparison: Ledger of the comparison that the search belongs to.
        """
        super().__init__(comparison.folder / "search")
        self.journal = self.folder / "study.journal"
        """Optuna's journal. Only a local or mounted folder can hold one."""
        self.opening_file = self.folder / "opening"
        """Lock of the driver that opens the studies."""
        self._points_file = self.folder / "points.parquet"

    def write_points(self, points: Iterable[PointRow]) -> None:
        """Store all points of the search. Raises InputError if they cannot be written."""
        try:
            parquet.write(self._points_file, points, PointRow)
        except OSError as error:
            raise self.unwritable(error) from error

    def points(self) -> "pd.DataFrame | None":
        """Read all points of the search.

        Returns:
            A table with the columns of :class:`~switchbench.row.PointRow`; None if there was no search.

        Raises:
            InputError: The file is broken, or holds something else.
        """
        if not self._points_file.exists():
            return None
        rows = parquet.stored_rows(PointRow, parquet.read(self._points_file), self._points_file)
        return parquet.frame(rows, PointRow)

    def points_done(self) -> dict[str, int]:
        """Return how many points of each method are done. Raises InputError if the file is broken."""
        points = self.points()
        if points is None:
            return {}
        done = (points["state"] != PointState.RUNNING).groupby(points["label"], sort=False).sum()
        return {str(label): int(number) for label, number in done.items()}

    def budget(self) -> int | None:
        """Return how many points each method gets; None if its budget is in steps. Raises InputError."""
        points = self._read_spec()["search"].get("points")
        return None if points is None else int(points)


def ledgers_of(comparison: Ledger) -> list[Ledger]:
    """Return the ledgers of a folder that hold trials: its search's, if that has any, and its own.

    A published search holds its points alone.
    """
    search = SearchLedger(comparison)
    ledgers: list[Ledger] = [search] if search.has_comparison else []
    return [*ledgers, comparison] if comparison.has_comparison or not ledgers else ledgers
