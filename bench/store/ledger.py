"""The ledger: a comparison's folder, and the only place that knows the names of its files.

::

    DIR/spec.yaml                    the resolved spec
    DIR/plan.parquet                 the planned trials with their labels
    DIR/trials/<trial id>.parquet    one finished trial, one row
    DIR/curves/<trial id>.parquet    its curves, one row per epoch
    DIR/checkpoints/<trial id>.pt    the last checkpoint of a long trial that is not finished
    DIR/networks/<trial id>.pt       a finished network that is kept
    DIR/report/                      tables and figures, and results.parquet: all rows in one file
    DIR/best.yaml                    the comparison that a search leads to
    DIR/search/                      the search's own ledger, and beside its trials
    DIR/search/study.journal         Optuna's studies, unless a database holds them
    DIR/search/points.parquet        every point of the search, one row
    DIR/results.parquet              such a file as it was published: its rows count as trials
    DIR/mlflow.db, DIR/mlflow/       the default MLflow mirror

A trial has a result when its file exists, so every file is written under another name, flushed
to disk and renamed. No trial is ever locked: writers of the same one write the same row. (The drivers of
searches hold ``search/lock`` and ``search/opening``, so that they do not get in each other's way.)
"""

import os
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from switchbench.errors import InputError
from switchbench.files import atomic_write
from switchbench.spec import file as specfile
from switchbench.spec.comparison import Spec
from switchbench.spec.trial import TrialConfig
from switchbench.store.tensors import Networks
from switchbench.trial.run import VALIDATED

DONE = ("ok", "diverged", "skipped")
"""Statuses of trials that are measured; ``failed`` ones are listed, and tried again."""
SEARCHED = (VALIDATED, "pruned", "diverged", "skipped")
"""The same of a search, whose trials are not measured on test images."""
MISSING = "missing"
"""Status in a table of a planned trial without a row."""

TEXT, INTEGER, REAL = pa.string(), pa.int64(), pa.float64()
PLAN = pa.schema(
    {
        "trial_id": TEXT,
        "label": TEXT,
        "method": TEXT,
        "control_of": TEXT,
        "network": TEXT,
        "dataset": TEXT,
        "scope": TEXT,
        "seed": INTEGER,
        "target_density": REAL,
        "start": TEXT,
    }
)
ROW = pa.schema(
    [
        *PLAN,
        *pa.schema(
            {
                "status": TEXT,
                "error": TEXT,
                "density": REAL,
                "density_prunable": REAL,
                "density_network": REAL,
                "density_layers": TEXT,
                "test_accuracy": REAL,
                "test_top5": REAL,
                "test_loss": REAL,
                "val_accuracy": REAL,
                "val_loss": REAL,
                "train_size": INTEGER,
                "val_size": INTEGER,
                "test_size": INTEGER,
                "macs": INTEGER,
                "macs_dense": INTEGER,
                "macs_shrunk": INTEGER,
                "steps": INTEGER,
                "examples": INTEGER,
                "rounds": INTEGER,
                "train_seconds": REAL,
                "train_flops": REAL,
                "parameters": INTEGER,
                "method_parameters": INTEGER,
                "method_seconds": REAL,
                "method_flops": REAL,
                "device": TEXT,
                "threads": INTEGER,
                "versions": TEXT,
                "config": TEXT,
                "finished": TEXT,
                "run": TEXT,
            }
        ),
    ]
)


POINT = pa.schema(
    {
        "label": TEXT,
        "number": INTEGER,
        "state": TEXT,
        "origin": TEXT,
        "best": pa.bool_(),
        "objectives": TEXT,
        "values": TEXT,
        "params": TEXT,
        "distributions": TEXT,
        "infeasible": REAL,
        "density": REAL,
        "val_accuracy": REAL,
        "steps": INTEGER,
        "seconds": REAL,
        "error": TEXT,
    }
)
"""A point of a search; values and the like as JSON."""


class Ledger:
    """The results of one comparison in a folder on a local or mounted file system."""

    def __init__(self, folder: str | Path) -> None:
        if re.match(r"[a-z][a-z0-9+]+:/", str(folder)):  # a Path has lost one of the two slashes
            raise InputError(f"output folder {folder}: should be a local or mounted folder, not a URL")
        self.folder = Path(folder).resolve()
        self.report = self.folder / "report"
        self.scratch = self.folder / ".ray"
        self.mlflow_uri = f"sqlite:///{self.folder / 'mlflow.db'}"
        self.networks = Networks(self.folder / "networks")
        self.mlflow_artifacts = self.folder / "mlflow"
        self.journal = self.folder / "study.journal"
        self.best_file = self.folder / "best.yaml"
        self.lock_file = self.folder / "lock"
        self.opening_file = self.folder / "opening"
        self._points_file = self.folder / "points.parquet"
        self._compact = self.folder / "results.parquet"
        self._plan_file = self.folder / "plan.parquet"
        self._trials = self.folder / "trials"
        self._curves = self.folder / "curves"

    def check_writable(self) -> None:
        """Raise InputError if the folder is certain not to be writable; write nothing."""
        place = self.folder
        while not place.exists():
            place = place.parent
        if not place.is_dir():
            raise InputError(f"output folder {self.folder}: Not a directory: {place}")
        if not os.access(place, os.W_OK | os.X_OK):
            raise InputError(f"output folder {self.folder}: Permission denied: {place}")

    def create(self, spec: Spec, plan: list[TrialConfig]) -> None:
        """Make the folder and write the resolved spec and the plan. Raises InputError if the
        folder cannot be written."""
        try:
            self._trials.mkdir(parents=True, exist_ok=True)
            self._curves.mkdir(exist_ok=True)
            _publish(self.folder / "spec.yaml", specfile.dump(spec).encode())
            rows = [{name: config.columns()[name] for name in PLAN.names} for config in plan]
            _publish(self._plan_file, _parquet(rows, PLAN))
        except OSError as error:
            raise InputError(f"output folder {self.folder}: {error.strerror or error}") from error

    @property
    def planned(self) -> bool:
        """Whether the folder holds a comparison."""
        return self._plan_file.exists() or self._compact.exists()

    @property
    def search(self) -> "Ledger":
        """The ledger of the search that chose this comparison's methods."""
        return Ledger(self.folder / "search")

    def write_best(self, spec: Spec) -> None:
        """Store the comparison that a search leads to."""
        _publish(self.best_file, specfile.dump(spec).encode())

    def write_points(self, points: list[dict[str, Any]]) -> None:
        """Store every point of a search."""
        _publish(self._points_file, _parquet(points, POINT))

    def points(self) -> pd.DataFrame | None:
        """Every point of the search that chose this comparison's methods, or None if there was none."""
        path = self.search._points_file
        if not path.exists():
            return None
        points: pd.DataFrame = _sound(path).to_pandas()
        return points

    def write(self, row: dict[str, Any], curves: list[dict[str, float]]) -> None:
        """Store a trial: its curves first, its row as the last act."""
        if curves:
            schema = pa.Table.from_pylist(curves).schema
            _publish(self._curves / f"{row['trial_id']}.parquet", _parquet(curves, schema))
        _publish(self._trials / f"{row['trial_id']}.parquet", _parquet([row], ROW))

    def row(self, trial_id: str) -> dict[str, Any] | None:
        """The stored row of a trial, or None; a broken file is none, and the trial runs again. Rows
        of a published table in the folder count as well, so that it can be added to."""
        rows = _rows(self._trials / f"{trial_id}.parquet")
        return rows[0] if rows else self._published.get(trial_id)

    def curves(self, trial_id: str) -> list[dict[str, float]]:
        """The stored curves of a trial, empty if there are none."""
        return _rows(self._curves / f"{trial_id}.parquet")

    def checkpoint(self, trial_id: str) -> Path:
        """Where a trial keeps its checkpoint while it runs."""
        return self.folder / "checkpoints" / f"{trial_id}.pt"

    def rows(self) -> Iterator[dict[str, Any]]:
        """The stored row of every planned trial that has one."""
        for planned in self._plan():
            row = self.row(planned["trial_id"])
            if row is not None:
                yield row | planned

    def done(self, trial_id: str) -> bool:
        """Whether a trial is measured and need not run again."""
        row = self.row(trial_id)
        return row is not None and row["status"] in DONE

    def results(self) -> pd.DataFrame:
        """One row per planned trial, in the plan's order and under its labels: the stored row,
        or status ``missing``. Reads ``results.parquet`` where a folder holds nothing else.

        Raises InputError if the folder holds no comparison.
        """
        if self._compact.exists() and not self._plan_file.exists():
            published: pd.DataFrame = _sound(self._compact).to_pandas()
            return published.reindex(columns=ROW.names)  # older tables lack newer columns
        rows = []
        for planned in self._plan():
            stored = self.row(planned["trial_id"]) or {"status": MISSING}
            rows.append(dict.fromkeys(ROW.names) | stored | planned)
        results: pd.DataFrame = pa.Table.from_pylist(rows, schema=ROW).to_pandas()
        return results

    def write_compact(self, results: pd.DataFrame) -> None:
        """Store a table of results as one file in the report's folder, small enough to publish."""
        table = pa.Table.from_pandas(results, schema=ROW, preserve_index=False)
        _publish(self.report / "results.parquet", _encode(table))

    @cached_property
    def _published(self) -> dict[str, dict[str, Any]]:
        rows = [dict.fromkeys(ROW.names) | row for row in _rows(self._compact)]
        return {str(row["trial_id"]): row for row in rows if row["status"] != MISSING}

    def _plan(self) -> list[dict[str, Any]]:
        if not self._plan_file.exists():
            raise InputError(f"{self.folder}: holds no comparison (no {self._plan_file.name})")
        planned: list[dict[str, Any]] = _sound(self._plan_file).to_pylist()
        return planned

    def name(self) -> str:
        """The comparison's name, read without validation: old folders stay readable."""
        path = self.folder / "spec.yaml"
        if not path.exists():
            return self.folder.name
        try:
            return str(YAML(typ="safe").load(path)["name"])
        except (YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a spec: no name can be read from it") from error


def _sound(path: Path) -> pa.Table:
    """What a file holds that a folder cannot do without. Raises InputError if it is broken."""
    try:
        return pq.ParquetFile(path).read()
    except pa.ArrowException as error:
        raise InputError(f"{path}: broken ({' '.join(str(error).split())})") from error


def _rows(path: Path) -> list[dict[str, Any]]:
    """What a file holds; nothing if it is missing or broken (by a failing disk or copy: we
    publish whole files only)."""
    try:
        rows: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist() if path.exists() else []
    except pa.ArrowInvalid:
        return []
    return rows


def _parquet(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> bytes:
    return _encode(pa.Table.from_pylist(list(rows), schema=schema))


def _encode(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(None), sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _publish(path: Path, content: bytes) -> None:
    with atomic_write(path) as stream:
        stream.write(content)
