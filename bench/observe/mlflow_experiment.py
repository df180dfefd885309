"""The experiment of a ledger in MLflow: its runs, what was sent, and the requests that send a row.

An experiment holds one run for each results folder, which is the parent of the runs of its trials. One tag
(``ID_TAG``) holds the trial's id, and another (``STAMP_TAG``) the version of the row that was sent, so that
nothing is sent twice.
"""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from switchbench.errors import InputError
from switchbench.observe.mlflow_client import (
    connect,
    move_artifacts,
    patient_reading,
    remove_escaped_folder,
    runs_with,
)
from switchbench.observe.mlflow_rows import (
    COMPARISON_ID,
    CURVES_TAG,
    ID_TAG,
    LEDGER_TAG,
    NAME_TAG,
    OLD_REPORT_ID,
    PARENT_TAG,
    STAMP_TAG,
    curves_tag,
    dataset_input,
    metrics,
    milliseconds,
    parameters,
    readable_tags,
    row_tags,
    run_name,
    several_tasks,
    source_tags,
    times,
)
from switchbench.row import PlannedTrial, Row, Status
from switchbench.store.ledger import Ledger
from switchbench.store.parquet import SortedFile

FAILURES_BEFORE_GIVING_UP = 2
"""Stop sending after this many consecutive failures: then the server is probably down."""
METRIC_BATCH = 800
"""Metrics in one request. MLflow's limit is 1,000 values, with parameters and tags."""
NETWORK_BYTES = 10_000_000
"""Largest file of a finished network that is sent."""


@dataclass(frozen=True)
class _Sent:
    """A run of a trial in MLflow."""

    run_id: str
    parent: str
    stamp: str
    status: str = ""
    """That of its row; empty before it has one."""


@dataclass(frozen=True)
class LivePoint:
    """A point of the curves of a running trial."""

    trial: PlannedTrial
    point: Mapping[str, float]
    time: int
    """When it came, in MLflow's milliseconds."""


class Experiment:
    """The experiment of one ledger on an MLflow server or database."""

    def __init__(self, ledger: Ledger, uri: str | None, home: Ledger | None = None) -> None:
        """Connect, list the runs that exist already, and find or make the comparison's run.

        A deleted experiment is restored.

        Args:
            ledger: Its name becomes the experiment's name.
            uri: MLflow server or database; None: a sqlite file in the folder of ``home``.
            home: The ledger whose folder holds that file; None: the same one. A search's is its comparison's.

        Raises:
            InputError: The database cannot be used or made, or the ledger cannot hold one.
            Exception: Whatever MLflow raises.
        """
        self._ledger, self._name = ledger, ledger.name()
        home = home or ledger
        place = uri or home.mlflow_uri
        if place is None:
            raise InputError(f"--mlflow-uri: is required with results in {home.folder}")
        self._client = connect(place)
        existing = self._client.get_experiment_by_name(self._name)
        remove_escaped_folder(place)
        if existing and existing.lifecycle_stage == "deleted":
            self._client.restore_experiment(existing.experiment_id)
        artifacts = None if uri else home.mlflow_artifacts
        # the files of older searches lie elsewhere
        own = existing and existing.artifact_location.endswith("/mlflow")
        if own and artifacts and existing.artifact_location != artifacts:
            move_artifacts(place, existing.artifact_location, artifacts)  # the folder has been moved
        self._id = existing.experiment_id if existing else self._created(artifacts)
        self._several = several_tasks(ledger.planned()) if ledger.has_comparison else []
        self._runs: dict[str, list[_Sent]] = {}
        """The runs of each trial. Two folders that measured the same trial have a run each."""
        self._gathered: SortedFile | None = None
        """Curves of gathered trials, read when the first row is sent."""
        self._problem: Exception | None = None
        """Why files of a trial are missing in MLflow."""
        self._ended: int | None = None
        """The end of the last trial."""
        self._parent = self._find_parent()

    def _created(self, artifacts: str | None) -> str:
        """Create the experiment. Return its id, also where another machine creates it at the same moment."""
        try:
            return str(self._client.create_experiment(self._name, artifacts))
        except Exception:
            if found := self._client.get_experiment_by_name(self._name):
                return str(found.experiment_id)
            raise

    def _find_parent(self) -> str:
        """List all runs, and return the id of the comparison's run."""
        identity, found, old = _identity(self._ledger), "", ""
        with patient_reading():
            runs = [*runs_with(self._client, self._id, ID_TAG)]
        for run in runs:
            tags = run.data.tags
            trial_id = tags.get(ID_TAG)
            if trial_id == COMPARISON_ID:
                found = run.info.run_id if tags.get(LEDGER_TAG) == identity else found
            elif trial_id == OLD_REPORT_ID:
                old = run.info.run_id
            elif trial_id:
                stamp, status = tags.get(STAMP_TAG, ""), tags.get("status", "")
                sent = _Sent(run.info.run_id, tags.get(PARENT_TAG, ""), stamp, status)
                self._runs.setdefault(trial_id, []).append(sent)
        tags = {ID_TAG: COMPARISON_ID, LEDGER_TAG: identity, "comparison": self._name, **source_tags()}
        if run_id := found or old:
            self._log(run_id, tags=tags | {NAME_TAG: self._name})
            return str(run_id)
        rows = self._ledger.rows() if self._ledger.has_comparison else ()
        start = min((times(row)[0] for row in rows if row.finished), default=None)
        return str(self._client.create_run(self._id, start, tags, self._name).info.run_id)

    def send_all(self, rows: Iterable[Row | LivePoint]) -> tuple[int, Exception | None]:
        """Send rows as the iterable yields them. A row that fails does not stop the next ones.

        Args:
            rows: Rows of the ledger, and points of running trials. No more are taken after
                :data:`FAILURES_BEFORE_GIVING_UP` consecutive failures.

        Returns:
            The number of rows sent, and the last exception, if any.
        """
        sent, failures, problem = 0, 0, None
        for row in rows:
            try:
                if isinstance(row, LivePoint):
                    self.send_live(row)
                else:
                    sent += self.send(row)
                failures = 0
            except Exception as error:  # MLflow and its stores raise many types
                failures, problem = failures + 1, error
                if failures == FAILURES_BEFORE_GIVING_UP:
                    break
        return sent, problem

    def send(self, row: Row) -> bool:
        """Create or update the MLflow run of a row.

        The run is complete once it has its stamp, which is in the last request. A finished network is sent if
        it is stored and its file has at most :data:`NETWORK_BYTES`. Its exact zeros are the mask, so that no
        further file holds one.

        Returns:
            Whether anything was sent; False if the run was up to date, or holds a result and the row is a
            failure (:attr:`Row.standing`).
        """
        name = run_name(row, self._several)
        stamp, (start, end) = f"{row.finished} {name}", times(row)
        self._ended = max(end, self._ended or end)
        runs = self._runs.setdefault(row.trial_id, [])
        own = next((run for run in runs if run.parent in ("", self._parent)), None)
        elsewhere = {run.stamp.partition(" ")[0] for run in runs if run is not own}
        if str(row.finished) in elsewhere or (own and own.stamp == stamp):
            return False
        if own and own.status not in ("", Status.FAILED) and row.status == Status.FAILED:
            return False
        run_id = own.run_id if own else self._create(row.trial_id, name, start)
        self._gathered = self._gathered or self._ledger.gathered_curves()
        curves = self._ledger.curves(row.trial_id, self._gathered)
        if dataset := dataset_input(row):
            self._client.log_inputs(run_id, [dataset])
        self._send_network(run_id, row.trial_id)
        *earlier, last = _batches(metrics(row, curves))
        for batch in earlier:
            self._log(run_id, batch)
        self._client.set_terminated(run_id, "FAILED" if row.status == Status.FAILED else "FINISHED", end)
        tags = {NAME_TAG: name, PARENT_TAG: self._parent, CURVES_TAG: curves_tag(curves)}
        tags |= readable_tags(row, self._name) | row_tags(row) | {STAMP_TAG: stamp}
        self._log(run_id, last, parameters(row), tags)
        runs[:] = [run for run in runs if run.run_id != run_id] + [
            _Sent(run_id, self._parent, stamp, row.status)
        ]
        return True

    def send_plan(self) -> None:
        """Send the spec and the plan, if they exist, as artifacts of the comparison's run."""
        if self._ledger.has_comparison:
            with self._ledger.description() as local:
                self._client.log_artifacts(self._parent, str(local))

    def finish(self) -> None:
        """Send the spec, the plan and the report (page, text, tables in one file), and end the run.

        Raises:
            Exception: Whatever MLflow raises, also when it received the file of a network.
        """
        self.end("FINISHED")
        self.send_plan()
        if self._ledger.report.exists():
            with self._ledger.report_files() as local:
                # Tables and figures one by one are hundreds of files; whoever pulls can draw them again.
                for file in sorted(each for each in local.iterdir() if each.is_file()):
                    self._client.log_artifact(self._parent, str(file), "report")
        if self._problem:
            raise self._problem

    def end(self, status: str) -> None:
        """Say that the comparison's run has ended, in MLflow's words: ``FINISHED`` or ``KILLED``."""
        self._client.set_terminated(self._parent, status, self._ended)

    def send_live(self, live: LivePoint) -> None:
        """Send a point of a running trial. Its run says ``RUNNING`` until its row is sent."""
        from mlflow.entities import Metric

        trial = live.trial
        runs = self._runs.setdefault(trial.trial_id, [])
        own = next((run for run in runs if run.parent in ("", self._parent)), None)
        if own is None:
            started = self._ledger.announced(trial.trial_id)
            start = milliseconds(started.started) if started else live.time
            run_id = self._create(trial.trial_id, run_name(trial, self._several), start)
        else:
            run_id = own.run_id
        step = int(live.point["step"])
        shown = {name: value for name, value in live.point.items() if name != "step"}
        self._log(run_id, [Metric(name, float(value), live.time, step) for name, value in shown.items()])

    def _create(self, trial_id: str, name: str, start: int) -> str:
        tags = {ID_TAG: trial_id, PARENT_TAG: self._parent}
        run_id = str(self._client.create_run(self._id, start, tags, name).info.run_id)
        self._runs[trial_id].append(_Sent(run_id, self._parent, ""))
        return run_id

    def _log(
        self,
        run_id: str,
        metrics: list[Any] | None = None,
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log values in one request."""
        from mlflow.entities import Param, RunTag
        from mlflow.exceptions import MlflowException

        params = [Param(key, value) for key, value in (parameters or {}).items()]
        run_tags = [RunTag(key, value) for key, value in (tags or {}).items()]
        try:
            self._client.log_batch(run_id, metrics or [], params, run_tags)
        except MlflowException as error:
            if "param" not in str(error):
                raise
            # A run that has other parameters keeps them: MLflow changes none. All else follows the ledger.
            self._client.log_batch(run_id, metrics or [], tags=run_tags)

    def _send_network(self, run_id: str, trial_id: str) -> None:
        """Send a network's file. After a failure, which :meth:`finish` raises, none is sent any more."""
        if self._problem:
            return
        try:
            if content := self._ledger.networks.content(trial_id, NETWORK_BYTES):
                with tempfile.TemporaryDirectory(prefix="switchbench-") as folder:
                    file = Path(folder, "network.pt")
                    file.write_bytes(content)
                    self._client.log_artifact(run_id, str(file))
        except Exception as error:  # the row is worth more than the file
            self._problem = error


def _batches(metrics: list[Any]) -> list[list[Any]]:
    """Split metrics into requests; there is always a last one, which may be empty."""
    starts = range(0, max(len(metrics), 1), METRIC_BATCH)
    return [metrics[start : start + METRIC_BATCH] for start in starts]


def _identity(ledger: Ledger) -> str:
    """Return the name of a results folder; where it cannot be written, as a published one, its path."""
    try:
        return ledger.identity()
    except OSError:
        return str(ledger.folder)
