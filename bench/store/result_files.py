"""The files of finished trials: a small one for each trial and its curves, and gathered or published ones.

A trial has a result if its own file exists, or if the gathered table has its row. Its own file counts first.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from switchbench.errors import InputError
from switchbench.row import Row, Status, Timed
from switchbench.store import parquet
from switchbench.store.comparisons import GATHERED
from switchbench.store.objects import StorePath

if TYPE_CHECKING:
    import pandas as pd

ReadT = TypeVar("ReadT")
Points = list[dict[str, float]]
"""Curves of a trial: one point per epoch."""
ID = "trial_id"
STORED = [status for status in Status if status != Status.MISSING]
READERS = 2 * (os.cpu_count() or 1)
"""Threads that read small files."""


class ResultFiles:
    """Rows, curves and measured times of the trials in a folder."""

    def __init__(self, folder: StorePath) -> None:
        """Name the files; nothing is read or written."""
        self._trials = folder / "trials"
        self._curves = folder / "curves"
        self._gathered_file = folder / GATHERED
        self._gathered_curves_file = folder / "curves.parquet"
        self._latency_file = folder / "latency.parquet"

    def write(self, row: Row, curves: Points) -> None:
        """Store the result of a trial. The row is written last: a trial with a row is complete.

        Args:
            row: The row.
            curves: One point per epoch, with numbers by column name; may be empty.

        Raises:
            OSError: A file cannot be written.
        """
        if curves:
            parquet.write(self._curves / f"{row.trial_id}.parquet", curves)
        label = f"{row.trial_id} {row.status}"  # what a run that continues needs of thousands of files
        parquet.write(self._trials / f"{row.trial_id}.parquet", [row], Row, label)

    def row(self, trial_id: str) -> Row | None:
        """Return the stored row of a trial; None if there is none.

        A file that is broken, or holds something else, counts as missing, so that the trial runs again. A
        warning names it. Rows of a published table in the folder count as stored, so that a published
        comparison can be extended.
        """
        return self._small_row(trial_id) or self._gathered_row(trial_id)

    def curves(self, trial_id: str, gathered: parquet.SortedFile | None = None) -> Points:
        """Return the stored curves of a trial, one point per epoch; empty if there are none.

        A file that holds something else is named in a warning.

        Args:
            trial_id: The trial.
            gathered: What :meth:`gathered_curves` returned, if many trials are looked up.
        """
        points = self._small_curves(trial_id)
        if not points:
            found = (gathered or self.gathered_curves()).rows(trial_id)
            points = [{key: point[key] for key in point if point[key] is not None} for point in found]
            for point in points:
                del point[ID]
        return points

    def gathered_curves(self) -> parquet.SortedFile:
        """Read the gathered curves as they are now."""
        return parquet.SortedFile(self._gathered_curves_file, ID)

    def curve_table(self, trial_ids: Collection[str]) -> "pd.DataFrame":
        """Return the stored curves of several trials: one row per trial and epoch, with the trial's id.

        Args:
            trial_ids: The trials; those without curves have no rows.

        Returns:
            The column ``trial_id`` and those of the curves; without any curve, a table without rows.
        """
        import pandas as pd  # a plan does not need it

        wanted = set(trial_ids)
        present = sorted(wanted.intersection(parquet.stored_ids(self._curves)))
        with ThreadPoolExecutor(READERS) as readers:
            small = dict(zip(present, readers.map(self._small_curves, present), strict=True))
        points = [{ID: each, **point} for each, curve in small.items() for point in curve]
        found = [pd.DataFrame(points, columns=None if points else [ID])]
        missing = wanted.difference(each for each, curve in small.items() if curve)
        if missing:
            gathered = parquet.frame_if_sound(self._gathered_curves_file)
            found += [gathered[gathered[ID].isin(missing)]] if ID in gathered else []
        return pd.concat(found, ignore_index=True)

    def write_latencies(self, timed: Collection[Timed]) -> None:
        """Store measured times, in place of earlier ones of the same trials. Raises OSError, InputError."""
        parquet.gather(self._latency_file, timed, ID, Timed)

    def latencies(self) -> "pd.DataFrame":
        """Return the measured times: one row per trial, form and batch size; empty if there are none.

        Raises:
            InputError: The file is broken.
        """
        if not self._latency_file.exists():
            return parquet.frame([], Timed)
        return parquet.read_table(self._latency_file, Timed)

    def statuses(self, trial_ids: Collection[str]) -> dict[str, Status]:
        """Return the status of each of the trials that has a stored row.

        Of each file, its label is read: thousands are read when a run continues.
        """
        wanted = set(trial_ids)
        found = dict(self._read_small(self._small_status, wanted))
        if len(found) < len(wanted) and self._gathered_file.exists():
            rows = parquet.read(self._gathered_file, columns=[ID, "status"])
            gathered = {row[ID]: Status(row["status"]) for row in rows if row["status"] in STORED}
            found = {trial_id: gathered[trial_id] for trial_id in wanted & gathered.keys()} | found
        return found

    def stored_ids(self) -> set[str]:
        """Return the ids of all stored trials, also of those that the present plan lacks."""
        gathered = parquet.read(self._gathered_file, columns=[ID]) if self._gathered_file.exists() else []
        return {*parquet.stored_ids(self._trials), *(str(row[ID]) for row in gathered)}

    def gather(self) -> int:
        """Move the rows and curves of all small files into the gathered ones.

        Each trial has its row at every moment: its own file is deleted once the gathered file is written, and
        readers look for its own file first.

        Returns:
            The number of rows that were moved.

        Raises:
            OSError: A file cannot be written.
        """
        rows = [row for _, row in self._read_small(self._small_row, parquet.stored_ids(self._trials))]
        curves = {row.trial_id: self._small_curves(row.trial_id) for row in rows}
        self.add_gathered(rows, curves)
        for trial_id, points in curves.items():
            (self._trials / f"{trial_id}.parquet").unlink(missing_ok=True)
            if points:  # a file that cannot be read stays
                (self._curves / f"{trial_id}.parquet").unlink(missing_ok=True)
        return len(rows)

    def add_gathered(self, rows: Iterable[Row], curves: Mapping[str, Points]) -> None:
        """Store rows, and curves by trial id, in gathered form, in place of earlier ones. Raises OSError."""
        points = [{ID: trial_id, **point} for trial_id, curve in curves.items() for point in curve]
        parquet.gather(self._gathered_curves_file, points, ID)
        parquet.gather(self._gathered_file, rows, ID, Row)

    def _stored(self, trial_ids: Collection[str]) -> "pd.DataFrame":
        """Return the stored rows of trials, without those that have none.

        The gathered file is read last, so that a trial that is gathered at this moment is not missed.
        """
        import pandas as pd  # a plan does not need it

        wanted = set(trial_ids)
        small = [row for _, row in self._read_small(self._small_row, wanted)]
        rows = parquet.frame(small, Row)
        if not self._gathered_file.exists() or len(small) == len(wanted):
            return rows
        gathered = parquet.read_table(self._gathered_file, Row)
        others = (
            gathered[ID].isin(wanted) & ~gathered[ID].isin(rows[ID]) & (gathered["status"] != Status.MISSING)
        )
        found = gathered[others].drop_duplicates(ID)
        return pd.concat([rows, found]) if len(rows) else found

    def _gathered_row(self, trial_id: str) -> Row | None:
        if not self._gathered_file.exists():
            return None
        stored = parquet.read(self._gathered_file, trial_id=trial_id)
        found = parquet.stored_rows(Row, stored, self._gathered_file)
        return next((row for row in found if row.status != Status.MISSING), None)

    def _small_curves(self, trial_id: str) -> Points:
        """Return the curves in a trial's own file; empty if there is none, or another content."""
        path = self._curves / f"{trial_id}.parquet"
        points = parquet.read_if_sound(path)
        if all(isinstance(value, int | float | None) for point in points for value in point.values()):
            return points
        logging.getLogger(__name__).warning("%s: not the curves of a trial; it counts as missing", path)
        return []

    def _small_row(self, trial_id: str) -> Row | None:
        """Return the row in a trial's own file; None if there is none, or another content."""
        path = self._trials / f"{trial_id}.parquet"
        stored = parquet.read_if_sound(path)
        try:
            rows = parquet.stored_rows(Row, stored, path)
            if [row.trial_id for row in rows] not in ([], [trial_id]):
                raise InputError(f"{path}: should hold one row, of trial {trial_id}")
        except InputError as error:
            logging.getLogger(__name__).warning("%s; it counts as missing", error)
            return None
        return rows[0] if rows else None

    def _small_status(self, trial_id: str) -> Status | None:
        """Return the status in a trial's own file: that of its label; in older files, of its column.

        Where anything is odd, look at the whole row.
        """
        path = self._trials / f"{trial_id}.parquet"
        labelled, _, status = parquet.label_if_sound(path).partition(" ")
        if labelled == trial_id and status in STORED:
            return Status(status)
        stored = parquet.read_if_sound(path, columns=[ID, "status"])
        if len(stored) == 1 and stored[0].get(ID) == trial_id and stored[0].get("status") in STORED:
            return Status(stored[0]["status"])
        row = self._small_row(trial_id) if stored else None
        return row.status if row else None

    def _read_small(
        self, read: Callable[[str], ReadT | None], trial_ids: Collection[str]
    ) -> Iterator[tuple[str, ReadT]]:
        """Read the own files of those trials that have one, with several threads."""
        present = sorted(set(trial_ids).intersection(parquet.stored_ids(self._trials)))
        with ThreadPoolExecutor(READERS) as readers:
            for trial_id, found in zip(present, readers.map(read, present), strict=True):
                if found is not None:
                    yield trial_id, found
