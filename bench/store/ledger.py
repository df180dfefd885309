"""The ledger: the folder of a comparison and the names of its files. Only this package knows the names.

::

    DIR/spec.yaml                    the resolved spec
    DIR/plan.parquet                 the planned trials with their labels
    DIR/trials/<trial id>.parquet    one finished trial, one row
    DIR/curves/<trial id>.parquet    its curves, one row per epoch
    DIR/checkpoints/<trial id>.pt    the last checkpoint of a long trial that is not finished
    DIR/running/<trial id>.parquet   where a trial runs, since when; one that is lost leaves it behind
    DIR/logs/<trial id>.txt          what a trial printed and logged, and its traceback, if there is any
    DIR/networks/<trial id>.pt       a finished network that is stored
    DIR/report/                      tables and figures, and results.parquet: all rows in one file
    DIR/results.parquet              trials that were gathered or published: its rows count as stored trials
    DIR/curves.parquet               their curves, if they were gathered
    DIR/latency.parquet              times of stored networks, measured afterwards
    DIR/best.yaml                    the comparison with the best points of a search
    DIR/calibration/                 the ledger of the trial trainings that match densities
    DIR/search/                      the search's own ledger (:mod:`switchbench.store.search`)
    DIR/lock                         held by a driver that runs trials, so that there is one at a time
    DIR/id                           random name of the folder, by which MLflow tells it from others
    DIR/mlflow.db, DIR/mlflow/       the default MLflow mirror

DIR is a local or mounted folder, or is in an object store (:mod:`switchbench.store.objects`). A trial has a
result if its file exists, so files are written atomically. Trials are not locked: if two workers run the same
trial, the later row, with the same measurements, remains.
"""

import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import fields
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from switchbench.atomic_files import PARTIAL
from switchbench.errors import InputError, RunStopped
from switchbench.row import PlannedTrial, Row, Started, Status, Stored, Timed
from switchbench.spec.yaml_text import read_plain
from switchbench.store import parquet
from switchbench.store.lock import locked
from switchbench.store.objects import StorePath, discard, resolved, write_stream
from switchbench.store.unwritable import unwritable

if TYPE_CHECKING:
    import pandas as pd

    from switchbench.spec.comparison import Spec
    from switchbench.spec.trial import TrialConfig
    from switchbench.store.tensors import NetworkStore

StoredT = TypeVar("StoredT", bound=Stored)
ReadT = TypeVar("ReadT")
Points = list[dict[str, float]]
"""Curves of a trial: one point per epoch."""
DESCRIPTION = ("spec.yaml", "plan.parquet")
"""Files of :meth:`Ledger.description`."""
ID = "trial_id"
RESULTS = Path("results")
"""Default folder of comparisons, each in a folder of its own name."""
PLANNED = [field.name for field in fields(PlannedTrial)]
STORED = [status for status in Status if status != Status.MISSING]
YOUNG_SECONDS = 3_600
SENDERS = 16
"""Files that are sent to an object store at once."""
READERS = 2 * (os.cpu_count() or 1)
"""Threads that read small files."""


class Ledger:
    """The results of one comparison in a folder, or in an object store."""

    def __init__(self, folder: str | StorePath) -> None:
        """Name the files of a folder; nothing is read or written. Raises InputError if it is no folder."""
        self.folder = resolved(folder)
        self.report = self.folder / "report"
        self._networks = self.folder / "networks"
        self.best_file = self.folder / "best.yaml"
        self.lock_file = self.folder / "lock"
        self._latency_file = self.folder / "latency.parquet"
        self._spec_file, self._plan_file = (self.folder / name for name in DESCRIPTION)
        self._gathered_file = self.folder / "results.parquet"
        self._gathered_curves_file = self.folder / "curves.parquet"
        self._id_file = self.folder / "id"
        self._trials = self.folder / "trials"
        self._curves = self.folder / "curves"
        self._running = self.folder / "running"
        self._logs = self.folder / "logs"

    @cached_property
    def networks(self) -> "NetworkStore":
        """The stored networks."""
        from switchbench.store.tensors import NetworkStore  # imports torch, which readers of rows do not need

        return NetworkStore(self._networks)

    @property
    def has_networks(self) -> bool:
        """Whether any network may be stored."""
        return not isinstance(self._networks, Path) or self._networks.is_dir()

    @property
    def calibration(self) -> "Ledger":
        """The ledger of the trial trainings that find at which strengths methods meet target densities."""
        return Ledger(self.folder / "calibration")

    @property
    def mlflow_uri(self) -> str | None:
        """The default MLflow database; None in an object store, which cannot hold one."""
        return f"sqlite:///{_escaped(self.folder / 'mlflow.db')}" if isinstance(self.folder, Path) else None

    @property
    def mlflow_artifacts(self) -> str | None:
        """Where the default MLflow database keeps files, as a URI; None where there is none."""
        return (self.folder / "mlflow").as_uri() if isinstance(self.folder, Path) else None

    def identity(self) -> str:
        """Return the random name of the folder, which is made when it is first needed. Copies share it.

        Raises:
            OSError: It cannot be written or read.
        """
        if not self._id_file.exists():
            with write_stream(self._id_file) as stream:
                stream.write(uuid4().hex.encode())
        return self._id_file.read_bytes().decode(errors="replace")

    def check_writable(self) -> None:
        """Check early that the folder can be written. Nothing is written.

        Raises:
            InputError: It certainly cannot be written.
        """
        existing = self.folder
        if not isinstance(existing, Path):
            try:
                existing.exists()
            except OSError as error:
                raise InputError(f"output folder {existing}: {' '.join(str(error).split())}") from error
            return
        while not existing.exists():
            existing = existing.parent
        if not existing.is_dir():
            raise InputError(f"output folder {self.folder}: Not a directory: {existing}")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise InputError(f"output folder {self.folder}: Permission denied: {existing}")

    def only_driver(self) -> AbstractContextManager[None]:
        """Be the only driver that runs trials of this folder, for a block. The lock ends with the process.

        Raises:
            InputError: Another driver is running, or the folder cannot be written.
        """
        return locked(self.lock_file, wait=False)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a local folder for Ray Tune, which is removed at the end of the block."""
        if isinstance(self.folder, Path):
            folder = self.folder / ".ray"
        else:
            folder = Path(tempfile.mkdtemp(prefix="switchbench-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def report_folder(self) -> Iterator[Path]:
        """Yield a local folder for the report. At the end, an object store receives its files."""
        if isinstance(self.report, Path):
            self.report.mkdir(parents=True, exist_ok=True)
            yield self.report
            return
        with tempfile.TemporaryDirectory(prefix="switchbench-") as name:
            yield Path(name)
            files = [each for each in Path(name).rglob("*") if each.is_file()]
            with ThreadPoolExecutor(SENDERS) as senders:  # a store answers slowly, to many at once
                [*senders.map(partial(self._send_report_file, Path(name)), files)]

    def _send_report_file(self, folder: Path, file: Path) -> None:
        (self.report / file.relative_to(folder).as_posix()).write_bytes(file.read_bytes())

    @contextmanager
    def report_files(self) -> Iterator[Path]:
        """Yield a local folder with the files of the report, to be read; it may be empty."""
        if isinstance(self.report, Path):
            yield self.report
            return
        with tempfile.TemporaryDirectory(prefix="switchbench-") as name:
            for below in self.report.names_below():
                file = Path(name) / below
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes((self.report / below).read_bytes())
            yield Path(name)

    def create(self, spec: "Spec", plan: "list[TrialConfig]") -> None:
        """Make the folder, and write the spec and the plan.

        Args:
            spec: The resolved spec.
            plan: All planned trials.

        Raises:
            InputError: The folder cannot be written.
        """
        try:
            self._trials.mkdir(parents=True, exist_ok=True)
            for folder in (self._curves, self._running, self._logs):
                folder.mkdir(exist_ok=True)
            self._remove_partial_files()
            _write_spec(self._spec_file, spec)
            parquet.write(self._plan_file, (config.planned for config in plan), PlannedTrial)
        except OSError as error:
            raise self.unwritable(error) from error

    @contextmanager
    def description(self) -> Iterator[Path]:
        """Yield a local folder with copies of the spec and the plan: a ledger without results.

        Raises:
            InputError: The folder holds no comparison.
        """
        with tempfile.TemporaryDirectory(prefix="switchbench-") as name:
            parquet.write(Path(name) / self._plan_file.name, self.planned(), PlannedTrial)
            if (spec := self.spec_bytes()) is not None:
                (Path(name) / self._spec_file.name).write_bytes(spec)
            yield Path(name)

    def spec_bytes(self) -> bytes | None:
        """Return the content of the spec's file; None if there is none. Raises OSError."""
        return self._spec_file.read_bytes() if self._spec_file.exists() else None

    def fill(
        self, spec: bytes | None, plan: list[PlannedTrial], rows: list[Row], curves: Mapping[str, Points]
    ) -> None:
        """Store results that were collected elsewhere, in gathered form. Make the folder if it is missing.

        The folder's own results are gathered first. Rows and curves replace stored ones of the same trials,
        and the plan replaces the stored one.

        Args:
            spec: Content of the spec's file; None: the stored one stays.
            plan: All planned trials.
            rows: Rows of finished trials.
            curves: Their curves by trial id.

        Raises:
            InputError: A run is going on in the folder, or a file cannot be written.
        """
        self.compact()
        points = [{ID: trial_id, **point} for trial_id, curve in curves.items() for point in curve]
        with self.only_driver():
            try:
                parquet.gather(self._gathered_curves_file, points, ID)
                parquet.gather(self._gathered_file, rows, ID, Row)
                parquet.write(self._plan_file, plan, PlannedTrial)
                if spec is not None:
                    with write_stream(self._spec_file) as stream:
                        stream.write(spec)
            except OSError as error:
                raise self.unwritable(error) from error

    def _remove_partial_files(self) -> None:
        """Remove what killed processes left half-written; a file that is young may be written just now."""
        if isinstance(self.folder, Path):
            for file in [*self.folder.glob(f".*{PARTIAL}"), *self.folder.glob(f"*/.*{PARTIAL}")]:
                with suppress(OSError):
                    if time.time() - file.stat().st_mtime > YOUNG_SECONDS:
                        file.unlink()

    @property
    def has_comparison(self) -> bool:
        """Whether the folder holds a plan or a published table."""
        return self._plan_file.exists() or self._gathered_file.exists()

    def planned(self) -> list[PlannedTrial]:
        """Return the planned trials; if the folder has no plan, those of the published table.

        Raises:
            InputError: The folder holds no comparison.
        """
        if self._plan_file.exists() or not self._gathered_file.exists():
            return self._plan()
        return [PlannedTrial.stored(plain) for plain in parquet.plain_rows(self.results(), Row)]

    def write_best(self, spec: "Spec") -> None:
        """Store the comparison with the best points of a search. Raises InputError."""
        try:
            _write_spec(self.best_file, spec)
        except OSError as error:
            raise self.unwritable(error) from error

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
        label = f"{row.trial_id} {row.status}"  # what a run that continues needs of thousands of files
        parquet.write(self._trials / f"{row.trial_id}.parquet", [row], Row, label)

    def row(self, trial_id: str) -> Row | None:
        """Return the stored row of a trial; None if there is none.

        A file that is broken, or holds something else, counts as missing, so that the trial runs again. A
        warning names it. Rows of a published table in the folder count as stored, so that a published
        comparison can be extended.
        """
        return self._small_row(trial_id) or self._gathered_row(trial_id)

    def curves(self, trial_id: str, gathered: parquet.SortedFile | None = None) -> list[dict[str, float]]:
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
        present = sorted(wanted.intersection(_ids(self._curves)))
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

    def announce(self, started: Started) -> None:
        """Store where a trial runs. Raises OSError."""
        parquet.write(self._running / f"{started.trial_id}.parquet", [started], Started)

    def announced(self, trial_id: str) -> Started | None:
        """Return where a trial runs, or ran when it was lost; None if it has ended or never began."""
        path = self._running / f"{trial_id}.parquet"
        try:
            found = stored_rows(Started, parquet.read_if_sound(path), path)
        except InputError as error:
            logging.getLogger(__name__).warning("%s; it is ignored", error)
            return None
        return found[0] if found else None

    def withdraw(self, trial_id: str) -> None:
        """Remove what :meth:`announce` stored. Raises OSError."""
        discard(self._running / f"{trial_id}.parquet")

    def running(self) -> list[Started]:
        """Return all announced trials, by their start. Some may have been lost with their worker."""
        found = [self.announced(trial_id) for trial_id in _ids(self._running)]
        return sorted((each for each in found if each), key=lambda each: each.started)

    def write_log(self, trial_id: str, text: str) -> None:
        """Store what a trial printed, in place of what an earlier attempt printed. Raises OSError."""
        path = self._logs / f"{trial_id}.txt"
        if not text:
            discard(path)
            return
        with write_stream(path) as stream:
            stream.write(text.encode(errors="replace"))

    def log(self, trial_id: str) -> str:
        """Return what a trial printed, with its traceback; empty if there is nothing."""
        try:
            return (self._logs / f"{trial_id}.txt").read_bytes().decode(errors="replace")
        except OSError:
            return ""

    def checkpoint(self, trial_id: str) -> StorePath:
        """Return the path of a trial's checkpoint, which exists until the trial has its row."""
        return self.folder / "checkpoints" / f"{trial_id}.pt"

    def rows(self) -> Iterator[Row]:
        """Yield the stored row of every planned trial that has one, with the labels of the plan.

        Raises:
            InputError: The folder holds no comparison.
        """
        rows = (Row.stored(plain) for plain in parquet.plain_rows(self.results(), Row))
        return (row for row in rows if row.status != Status.MISSING)

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

    def results(self) -> "pd.DataFrame":
        """Return the table of the comparison.

        Returns:
            One row per planned trial, in the order and with the labels of the plan: the stored row, or a row
            with the status ``missing``. If the folder has no plan, the published table.

        Raises:
            InputError: The folder holds no comparison.
        """
        if self._gathered_file.exists() and not self._plan_file.exists():
            published = parquet.read_table(self._gathered_file, Row)
            if unknown := {*published["status"]} - {*Status}:
                raise InputError(
                    f"{self._gathered_file}: status {unknown.pop()!r} is unknown to this version"
                )
            return published
        plan = parquet.frame(self._plan(), PlannedTrial)
        measured = self._stored(plan[ID]).drop(columns=[name for name in PLANNED if name != ID])
        table = plan.merge(measured, on=ID, how="left", validate="one_to_one")
        return parquet.typed(table.fillna({"status": Status.MISSING}), Row)

    def write_compact(self, folder: Path, results: "pd.DataFrame") -> None:
        """Write a table of results as one small file in the folder of the report, to be published."""
        parquet.write_table(folder / self._gathered_file.name, results, Row)

    def compact(self) -> int:
        """Gather the files of finished trials into one file, and their curves into another.

        Each trial has its row at every moment: its own file is deleted once the gathered file is written, and
        readers look for its own file first.

        Returns:
            The number of rows that were gathered now.

        Raises:
            InputError: A run is going on in the folder, or a file cannot be written.
            RunStopped: The disk is full.
        """
        if not _ids(self._trials):
            return 0
        with self.only_driver():
            rows = [row for _, row in self._read_small(self._small_row, _ids(self._trials))]
            ids = [row.trial_id for row in rows]
            try:
                curves = {each: self._small_curves(each) for each in ids}
                points = [{ID: each, **point} for each in ids for point in curves[each]]
                parquet.gather(self._gathered_curves_file, points, ID)
                parquet.gather(self._gathered_file, rows, ID, Row)
            except OSError as error:
                raise self.unwritable(error) from error
            for trial_id in ids:
                (self._trials / f"{trial_id}.parquet").unlink(missing_ok=True)
                if curves[trial_id]:  # a file that cannot be read stays
                    (self._curves / f"{trial_id}.parquet").unlink(missing_ok=True)
        return len(ids)

    def name(self) -> str:
        """Return the name of the comparison; without a spec, the name of the folder.

        Raises:
            InputError: The spec cannot be read.
        """
        return str(self._read_spec()["name"]) if self._spec_file.exists() else self.folder.name

    def trials(self) -> "list[TrialConfig]":
        """Return the trials of the stored spec. Raises InputError if this version cannot read it."""
        from switchbench.spec.file import parse  # imports torch

        return parse(self._read_spec()).trials()

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

    def _small_curves(self, trial_id: str) -> list[dict[str, float]]:
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
            rows = stored_rows(Row, stored, path)
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
        present = sorted(set(trial_ids).intersection(_ids(self._trials)))
        with ThreadPoolExecutor(READERS) as readers:
            for trial_id, found in zip(present, readers.map(read, present), strict=True):
                if found is not None:
                    yield trial_id, found

    def _gathered_row(self, trial_id: str) -> Row | None:
        if not self._gathered_file.exists():
            return None
        stored = parquet.read(self._gathered_file, trial_id=trial_id)
        found = stored_rows(Row, stored, self._gathered_file)
        return next((row for row in found if row.status != Status.MISSING), None)

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
        return pd.concat([rows, gathered[others].drop_duplicates(ID)]) if len(rows) else gathered[others]

    def _plan(self) -> list[PlannedTrial]:
        if not self._plan_file.exists():
            raise InputError(f"{self.folder}: holds no comparison (no {self._plan_file.name})")
        return stored_rows(PlannedTrial, parquet.read(self._plan_file), self._plan_file)

    def _read_spec(self) -> dict[str, Any]:
        """Read the spec as plain values, without validation: folders of older versions stay readable."""
        try:
            spec = read_plain(self._spec_file.read_bytes(), str(self._spec_file))
        except OSError as error:
            raise InputError(f"{self._spec_file}: {error.strerror or error}") from error
        if not isinstance(spec.get("name"), str):
            raise InputError(f"{self._spec_file}: not a spec: its name cannot be read")
        return spec

    def unwritable(self, error: OSError) -> InputError | RunStopped:
        """Return the error to raise where a file cannot be written: RunStopped on a full disk."""
        return unwritable(self.folder, error)


def stored_rows(row_type: type[StoredT], rows: Iterable[Mapping[str, Any]], path: StorePath) -> list[StoredT]:
    """Make instances from the rows of a file. Raises InputError that names the file."""
    try:
        return [row_type.stored(row) for row in rows]
    except ValueError as error:
        raise InputError(f"{path}: not a table of this version of switchbench: {error}") from error


def _ids(folder: StorePath) -> list[str]:
    """Return the ids of the trials that have a file in a folder, sorted."""
    if isinstance(folder, Path) and not folder.is_dir():
        return []
    return sorted(file.stem for file in folder.iterdir() if re.fullmatch(r"\w+\.parquet", file.name))


def _escaped(path: Path) -> str:
    """Escape what would end the path in the URL of a database, or stand for another character."""
    return str(path).replace("%", "%25").replace("?", "%3F")


def _write_spec(path: StorePath, spec: "Spec") -> None:
    from switchbench.spec.file import dump  # imports torch

    with write_stream(path) as stream:
        stream.write(dump(spec).encode())
