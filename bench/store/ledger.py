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
    DIR/calibration/                 the ledger of the calibration runs that match densities
    DIR/search/                      the search's own ledger (:mod:`switchbench.store.search`)
    DIR/lock                         held by a driver that runs trials, so that there is one at a time;
                                     drivers that share a search's database share it
    DIR/id                           random name of the folder, by which MLflow tells it from others
    DIR/mlflow.db, DIR/mlflow/       the default MLflow mirror

DIR is a local or mounted folder, or is in an object store (:mod:`switchbench.store.objects`). A trial has a
result if its file exists, so files are written atomically. Trials are not locked: if two workers run the same
trial, the later row, with the same measurements, remains.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from switchbench.atomic_files import PARTIAL
from switchbench.errors import InputError, RunStopped
from switchbench.row import PlannedTrial, Row, Status
from switchbench.spec.yaml_text import read_plain
from switchbench.store import parquet
from switchbench.store.comparisons import PLAN, no_comparison
from switchbench.store.lock import locked, shared
from switchbench.store.objects import StorePath, resolved, write_stream
from switchbench.store.report_files import ReportFiles
from switchbench.store.result_files import ID, Points, ResultFiles
from switchbench.store.run_files import RunFiles
from switchbench.store.unreached import Unreached
from switchbench.store.unwritable import unwritable

if TYPE_CHECKING:
    import pandas as pd

    from switchbench.spec.comparison import Spec
    from switchbench.spec.strength import Strength
    from switchbench.spec.trial import TrialConfig
    from switchbench.store.tensors import NetworkStore


DESCRIPTION = ("spec.yaml", PLAN)
"""Files of :meth:`Ledger.description`."""
RESULTS = Path("results")
"""Default folder of comparisons, each in a folder of its own name."""
PLANNED = [field.name for field in fields(PlannedTrial)]
YOUNG_SECONDS = 3_600
"""A half-written file that is younger may be written just now, by another process."""


class Ledger(ResultFiles, RunFiles, ReportFiles):
    """The results of one comparison in a folder, or in an object store."""

    def __init__(self, folder: str | StorePath) -> None:
        """Name the files of a folder; nothing is read or written. Raises InputError if it is no folder."""
        self.folder = resolved(folder)
        for part in (ResultFiles, RunFiles, ReportFiles):
            part.__init__(self, self.folder)
        self._networks = self.folder / "networks"
        self.best_file = self.folder / "best.yaml"
        self.lock_file = self.folder / "lock"
        self._spec_file, self._plan_file = (self.folder / name for name in DESCRIPTION)
        self._id_file = self.folder / "id"

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
        """The ledger of the calibration runs that find at which strengths methods meet target densities."""
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

    def one_of_drivers(self) -> AbstractContextManager[None]:
        """Be one of several drivers that run trials of this folder, for a block. Wait for an only driver.

        Raises:
            InputError: The folder cannot be written.
        """
        return shared(self.lock_file)

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
        with self.only_driver():
            try:
                self.add_gathered(rows, curves)
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

    def rows(self) -> Iterator[Row]:
        """Yield the stored row of every planned trial that has one, with the labels of the plan.

        Raises:
            InputError: The folder holds no comparison.
        """
        rows = (Row.stored(plain) for plain in parquet.plain_rows(self.results(), Row))
        return (row for row in rows if row.status != Status.MISSING)

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

        Returns:
            The number of rows that were gathered now.

        Raises:
            InputError: A run is going on in the folder, or a file cannot be written.
            RunStopped: The disk is full.
        """
        if not parquet.stored_ids(self._trials):
            return 0
        with self.only_driver():
            try:
                return self.gather()
            except OSError as error:
                raise self.unwritable(error) from error

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

    def strengths(self) -> "list[Strength]":
        """Return the strengths in the stored spec that match densities, found or not.

        Raises:
            InputError: The spec cannot be read.
        """
        from switchbench.spec.strength import Strength  # pydantic

        stored = self._read_spec().get("strengths") if self._spec_file.exists() else None
        found: list[Strength] = []
        for each in stored if isinstance(stored, list) else []:
            with suppress(ValueError):  # of a version that wrote them otherwise
                found.append(Strength.model_validate(each))
        return found

    def unreached(self) -> list[Unreached]:
        """Return the target densities for which no trial was planned, because no strength meets them.

        Raises:
            InputError: The spec cannot be read.
        """
        missed = [each for each in self.strengths() if each.strength is None]
        errors: dict[tuple[str, ...], str] = {}
        if missed and self.calibration.has_comparison:
            rows = self.calibration.results()
            for row in rows[rows["status"] == Status.FAILED].to_dict("records"):
                key = (row["network"], row["dataset"], row["scope"], row["label"])
                errors[key] = f"{row['error']} (calibration run {row['trial_id']})"
        return [Unreached(str(each), each.trainings, errors.get(each.place[:4])) for each in missed]

    def _plan(self) -> list[PlannedTrial]:
        if not self._plan_file.exists():
            raise no_comparison(self.folder)
        return parquet.stored_rows(PlannedTrial, parquet.read(self._plan_file), self._plan_file)

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


def _escaped(path: Path) -> str:
    """Escape what would end the path in the URL of a database, or stand for another character."""
    return str(path).replace("%", "%25").replace("?", "%3F")


def _write_spec(path: StorePath, spec: "Spec") -> None:
    from switchbench.spec.file import dump  # imports torch

    with write_stream(path) as stream:
        stream.write(dump(spec).encode())
