"""The ledger: the folder of a comparison and the names of its files. Only this package knows the names.

::

    DIR/spec.yaml                    the resolved spec
    DIR/plan.parquet                 the planned trials with their labels
    DIR/trials/<trial id>.parquet    one finished trial, one row
    DIR/curves/<trial id>.parquet    its curves, one row per epoch
    DIR/checkpoints/<trial id>.pt    the last checkpoint of a long trial that is not finished
    DIR/networks/<trial id>.pt       a finished network that is stored
    DIR/report/                      tables and figures, and results.parquet: all rows in one file
    DIR/results.parquet              a published copy of that file: its rows count as stored trials
    DIR/best.yaml                    the comparison with the best points of a search
    DIR/search/                      the search's own ledger (:mod:`switchbench.store.search`)
    DIR/lock                         held by a driver that runs trials, so that there is one at a time
    DIR/mlflow.db, DIR/mlflow/       the default MLflow mirror

A trial has a result if its file exists, so files are written atomically. Trials are not locked: if two
workers run the same trial, both write the same row.
"""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from filelock import FileLock, Timeout

from switchbench.atomic_files import atomic_write, reason
from switchbench.errors import InputError
from switchbench.row import PlannedTrial, Row, Status, Stored
from switchbench.spec.comparison import Spec
from switchbench.spec.file import dump, read_plain
from switchbench.spec.trial import TrialConfig
from switchbench.store import parquet
from switchbench.store.tensors import NetworkStore

StoredT = TypeVar("StoredT", bound=Stored)


class Ledger:
    """The results of one comparison in a folder on a local or mounted file system."""

    def __init__(self, folder: str | Path) -> None:
        """Name the files of a folder; nothing is read or written. Raises InputError if it is a URL."""
        if re.match(r"[a-z][a-z0-9+]+:/", str(folder)):  # a Path drops one of the two slashes
            raise InputError(f"output folder {folder}: should be a local or mounted folder, not a URL")
        try:
            self.folder = Path(folder).resolve()
            self.folder.exists()
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, or no path at all
            problem = getattr(error, "strerror", None) or error
            raise InputError(f"output folder {str(folder)[:100]}: {problem}") from error
        self.report = self.folder / "report"
        self.scratch = self.folder / ".ray"
        self.mlflow_uri = f"sqlite:///{_escaped(self.folder / 'mlflow.db')}"
        self.mlflow_artifacts = self.folder / "mlflow"
        self.networks = NetworkStore(self.folder / "networks")
        self.best_file = self.folder / "best.yaml"
        self.lock_file = self.folder / "lock"
        self._spec_file = self.folder / "spec.yaml"
        self._published_file = self.folder / "results.parquet"
        self._plan_file = self.folder / "plan.parquet"
        self._trials = self.folder / "trials"
        self._curves = self.folder / "curves"

    def check_writable(self) -> None:
        """Check early that the folder can be written. Nothing is written.

        Raises:
            InputError: It certainly cannot be written.
        """
        existing = self.folder
        while not existing.exists():
            existing = existing.parent
        if not existing.is_dir():
            raise InputError(f"output folder {self.folder}: Not a directory: {existing}")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise InputError(f"output folder {self.folder}: Permission denied: {existing}")

    @contextmanager
    def only_driver(self) -> Iterator[None]:
        """Be the only driver that runs trials of this folder. The lock ends with the process.

        Raises:
            InputError: Another driver is running, or the folder cannot be written.
        """
        lock = FileLock(self.lock_file, timeout=0)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise InputError(f"{self.folder}: another run is going on there") from error
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            lock.release()

    def create(self, spec: Spec, plan: list[TrialConfig]) -> None:
        """Make the folder, and write the spec and the plan.

        Args:
            spec: The resolved spec.
            plan: All planned trials.

        Raises:
            InputError: The folder cannot be written.
        """
        try:
            self._trials.mkdir(parents=True, exist_ok=True)
            self._curves.mkdir(exist_ok=True)
            _write_spec(self._spec_file, spec)
            parquet.write(self._plan_file, (config.planned for config in plan), PlannedTrial)
        except OSError as error:
            raise self._unwritable(error) from error

    @property
    def has_comparison(self) -> bool:
        """Whether the folder holds a plan or a published table."""
        return self._plan_file.exists() or self._published_file.exists()

    def write_best(self, spec: Spec) -> None:
        """Store the comparison with the best points of a search. Raises InputError."""
        try:
            _write_spec(self.best_file, spec)
        except OSError as error:
            raise self._unwritable(error) from error

    def write(self, row: Row, curves: list[dict[str, float]]) -> None:
        """Store the result of a trial. The row is written last: a trial with a row is complete.

        Args:
            row: The row.
            curves: One point per epoch, with numbers by column name; may be empty.

        Raises:
            OSError: A file cannot be written.
        """
        if curves:
            parquet.write(self._curves / f"{row.trial_id}.parquet", curves)
        parquet.write(self._trials / f"{row.trial_id}.parquet", [row], Row)

    def row(self, trial_id: str) -> Row | None:
        """Return the stored row of a trial; None if there is none.

        A file that is broken, or holds something else, counts as missing, so that the trial runs again. A
        warning names it. Rows of a published table in the folder count as stored, so that a published
        comparison can be extended.
        """
        path = self._trials / f"{trial_id}.parquet"
        stored = parquet.read_if_sound(path)
        try:
            rows = stored_rows(Row, stored, path)
            if [row.trial_id for row in rows] not in ([], [trial_id]):
                raise InputError(f"{path}: should hold one row, of trial {trial_id}")
        except InputError as error:
            logging.getLogger(__name__).warning("%s; it counts as missing", error)
            rows = []
        return rows[0] if rows else self._published.get(trial_id)

    def curves(self, trial_id: str) -> list[dict[str, float]]:
        """Return the stored curves of a trial, one point per epoch; empty if there are none.

        A file that holds something else is named in a warning.
        """
        path = self._curves / f"{trial_id}.parquet"
        points = parquet.read_if_sound(path)
        if all(isinstance(value, int | float | None) for point in points for value in point.values()):
            return points
        logging.getLogger(__name__).warning("%s: not the curves of a trial; it counts as missing", path)
        return []

    def checkpoint(self, trial_id: str) -> Path:
        """Return the path of a trial's checkpoint, which exists until the trial has its row."""
        return self.folder / "checkpoints" / f"{trial_id}.pt"

    def rows(self) -> Iterator[Row]:
        """Yield the stored row of every planned trial that has one, with the labels of the plan.

        Raises:
            InputError: The folder holds no comparison.
        """
        return (row for row in self._all_rows() if row.status != Status.MISSING)

    def done(self, trial_id: str) -> bool:
        """Return whether a trial has a final status and need not run again."""
        row = self.row(trial_id)
        return row is not None and row.status.settled()

    def results(self) -> pd.DataFrame:
        """Return the table of the comparison.

        Returns:
            One row per planned trial, in the order and with the labels of the plan: the stored row, or a row
            with the status ``missing``. If the folder has no plan, the published table.

        Raises:
            InputError: The folder holds no comparison.
        """
        if self._published_file.exists() and not self._plan_file.exists():
            published = parquet.read_table(self._published_file, Row)
            if unknown := {*published["status"]} - {*Status}:
                raise InputError(
                    f"{self._published_file}: status {unknown.pop()!r} is unknown to this version"
                )
            return published
        return parquet.frame(self._all_rows(), Row)

    def write_compact(self, results: pd.DataFrame) -> None:
        """Write a table of results as one small file in the folder of the report, to be published."""
        parquet.write_table(self.report / self._published_file.name, results, Row)

    def name(self) -> str:
        """Return the name of the comparison; without a spec, the name of the folder.

        Raises:
            InputError: The spec cannot be read.
        """
        return str(self._read_spec()["name"]) if self._spec_file.exists() else self.folder.name

    def pairs(self) -> list[tuple[str, str]]:
        """Return the pairs of methods whose difference the spec requests with ``against``.

        Returns:
            Pairs of labels: the method of the entry, and the value of its ``against``.

        Raises:
            InputError: The spec cannot be read.
        """
        methods = self._read_spec().get("methods") if self._spec_file.exists() else None
        entries = methods if isinstance(methods, list) else []
        entries = [entry for entry in entries if isinstance(entry, dict) and "against" in entry]
        return [(str(entry.get("label", entry.get("method"))), str(entry["against"])) for entry in entries]

    def _all_rows(self) -> Iterable[Row]:
        for planned in self._plan():
            row = self.row(planned.trial_id)
            yield replace(row, **asdict(planned)) if row else Row(**asdict(planned), status=Status.MISSING)

    @cached_property
    def _published(self) -> dict[str, Row]:
        rows = stored_rows(Row, parquet.read_if_sound(self._published_file), self._published_file)
        return {row.trial_id: row for row in rows if row.status != Status.MISSING}

    def _plan(self) -> list[PlannedTrial]:
        if not self._plan_file.exists():
            raise InputError(f"{self.folder}: holds no comparison (no {self._plan_file.name})")
        return stored_rows(PlannedTrial, parquet.read(self._plan_file), self._plan_file)

    def _read_spec(self) -> dict[str, Any]:
        """Read the spec as plain values, without validation: folders of older versions stay readable."""
        spec = read_plain(self._spec_file)
        if not isinstance(spec.get("name"), str):
            raise InputError(f"{self._spec_file}: not a spec: its name cannot be read")
        return spec

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(f"output folder {self.folder}: {reason(error)}")


def stored_rows(row_type: type[StoredT], rows: Iterable[Mapping[str, Any]], path: Path) -> list[StoredT]:
    """Make instances from the rows of a file. Raises InputError that names the file."""
    try:
        return [row_type.stored(row) for row in rows]
    except ValueError as error:
        raise InputError(f"{path}: not a table of this version of switchbench: {error}") from error


def _escaped(path: Path) -> str:
    """Escape what would end the path in the URL of a database, or stand for another character."""
    return str(path).replace("%", "%25").replace("?", "%3F")


def _write_spec(path: Path, spec: Spec) -> None:
    with atomic_write(path) as stream:
        stream.write(dump(spec).encode())
