"""The ledger: a comparison's folder, and the names of its files, which nothing outside this package knows.

::

    DIR/spec.yaml                    the resolved spec
    DIR/plan.parquet                 the planned trials with their labels
    DIR/trials/<trial id>.parquet    one finished trial, one row
    DIR/curves/<trial id>.parquet    its curves, one row per epoch
    DIR/checkpoints/<trial id>.pt    the last checkpoint of a long trial that is not finished
    DIR/networks/<trial id>.pt       a finished network that is kept
    DIR/report/                      tables and figures, and results.parquet: all rows in one file
    DIR/results.parquet              such a file as it was published: its rows count as trials
    DIR/best.yaml                    the comparison that a search leads to
    DIR/search/                      the search's own ledger (:mod:`switchbench.store.search`)
    DIR/mlflow.db, DIR/mlflow/       the default MLflow mirror

A trial has a result when its file exists, so every file is written whole or not at all. No trial is ever
locked: writers of the same one write the same row.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from switchbench.atomic_files import atomic_write
from switchbench.errors import InputError
from switchbench.row import PlannedTrial, Row, Status
from switchbench.spec.comparison import Spec
from switchbench.spec.file import dump
from switchbench.spec.trial import TrialConfig
from switchbench.store import parquet
from switchbench.store.tensors import Networks


class Ledger:
    """The results of one comparison in a folder on a local or mounted file system."""

    def __init__(self, folder: str | Path) -> None:
        if re.match(r"[a-z][a-z0-9+]+:/", str(folder)):  # a Path has lost one of the two slashes
            raise InputError(f"output folder {folder}: should be a local or mounted folder, not a URL")
        self.folder = Path(folder).resolve()
        self.report = self.folder / "report"
        self.scratch = self.folder / ".ray"
        self.mlflow_uri = f"sqlite:///{self.folder / 'mlflow.db'}"
        self.mlflow_artifacts = self.folder / "mlflow"
        self.networks = Networks(self.folder / "networks")
        self.best_file = self.folder / "best.yaml"
        self._spec_file = self.folder / "spec.yaml"
        self._published_file = self.folder / "results.parquet"
        self._plan_file = self.folder / "plan.parquet"
        self._trials = self.folder / "trials"
        self._curves = self.folder / "curves"

    def check_writable(self) -> None:
        """Raise InputError if the folder is certain not to be writable; write nothing."""
        there = self.folder
        while not there.exists():
            there = there.parent
        if not there.is_dir():
            raise InputError(f"output folder {self.folder}: Not a directory: {there}")
        if not os.access(there, os.W_OK | os.X_OK):
            raise InputError(f"output folder {self.folder}: Permission denied: {there}")

    def create(self, spec: Spec, plan: list[TrialConfig]) -> None:
        """Make the folder and write the resolved spec and the plan. Raises InputError if the
        folder cannot be written."""
        try:
            self._trials.mkdir(parents=True, exist_ok=True)
            self._curves.mkdir(exist_ok=True)
            _write_spec(self._spec_file, spec)
            parquet.write(self._plan_file, (config.planned for config in plan), PlannedTrial)
        except OSError as error:
            raise InputError(f"output folder {self.folder}: {error.strerror or error}") from error

    @property
    def planned(self) -> bool:
        """Whether the folder holds a comparison."""
        return self._plan_file.exists() or self._published_file.exists()

    def write_best(self, spec: Spec) -> None:
        """Store the comparison that a search leads to."""
        _write_spec(self.best_file, spec)

    def write(self, row: Row, curves: list[dict[str, float]]) -> None:
        """Store a trial: its curves first, its row as the last act."""
        if curves:
            parquet.write(self._curves / f"{row.trial_id}.parquet", curves)
        parquet.write(self._trials / f"{row.trial_id}.parquet", [row], Row)

    def row(self, trial_id: str) -> Row | None:
        """The stored row of a trial, or None. A broken file counts as none, so that the trial runs again.
        Rows of a published table in the folder count as well, so that it can be added to."""
        rows = parquet.read_if_sound(self._trials / f"{trial_id}.parquet")
        return Row.stored(rows[0]) if rows else self._published.get(trial_id)

    def curves(self, trial_id: str) -> list[dict[str, float]]:
        """The stored curves of a trial, empty if there are none."""
        return parquet.read_if_sound(self._curves / f"{trial_id}.parquet")

    def checkpoint(self, trial_id: str) -> Path:
        """Where a trial keeps its checkpoint while it runs."""
        return self.folder / "checkpoints" / f"{trial_id}.pt"

    def rows(self) -> Iterator[Row]:
        """The stored row of every planned trial that has one, under its planned labels."""
        for planned in self._plan():
            row = self.row(planned.trial_id)
            if row is not None:
                yield replace(row, **asdict(planned))

    def done(self, trial_id: str) -> bool:
        """Whether a trial is measured and need not run again."""
        row = self.row(trial_id)
        return row is not None and row.status.settled()

    def results(self) -> pd.DataFrame:
        """One row per planned trial, in the plan's order and under its labels: the stored row,
        or status ``missing``. Reads ``results.parquet`` if the folder holds nothing else.

        Raises InputError if the folder holds no comparison.
        """
        if self._published_file.exists() and not self._plan_file.exists():
            return parquet.read_table(self._published_file, Row)
        return parquet.frame(self._all_rows(), Row)

    def write_compact(self, results: pd.DataFrame) -> None:
        """Store a table of results as one file in the report's folder, small enough to publish."""
        parquet.write_table(self.report / self._published_file.name, results, Row)

    def name(self) -> str:
        """The comparison's name; the folder's where there is no spec. Raises InputError."""
        return str(self._read_spec()["name"]) if self._spec_file.exists() else self.folder.name

    def pairs(self) -> list[tuple[str, str]]:
        """Labels of the methods whose difference the spec asks for: a method, and the one that its entry
        names by ``against``. Raises InputError."""
        methods = self._read_spec().get("methods") if self._spec_file.exists() else None
        entries = [entry for entry in methods or [] if isinstance(entry, dict) and "against" in entry]
        return [(str(entry.get("label", entry.get("method"))), str(entry["against"])) for entry in entries]

    def _all_rows(self) -> Iterable[Row]:
        for planned in self._plan():
            row = self.row(planned.trial_id)
            yield replace(row, **asdict(planned)) if row else Row(**asdict(planned), status=Status.MISSING)

    @cached_property
    def _published(self) -> dict[str, Row]:
        rows = map(Row.stored, parquet.read_if_sound(self._published_file))
        return {row.trial_id: row for row in rows if row.status != Status.MISSING}

    def _plan(self) -> list[PlannedTrial]:
        if not self._plan_file.exists():
            raise InputError(f"{self.folder}: holds no comparison (no {self._plan_file.name})")
        return [PlannedTrial.stored(planned) for planned in parquet.read(self._plan_file)]

    def _read_spec(self) -> dict[str, Any]:
        """The spec as plain values, read without validation: folders of older versions stay readable."""
        try:
            spec: dict[str, Any] = YAML(typ="safe").load(self._spec_file)
            spec["name"]
        except (YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise InputError(f"{self._spec_file}: not a spec: no name can be read from it") from error
        return spec


def _write_spec(path: Path, spec: Spec) -> None:
    with atomic_write(path) as stream:
        stream.write(dump(spec).encode())
