"""Mirror of the ledger in MLflow. The only code that imports mlflow.

Results are in the ledger; MLflow holds a copy. Trials never call MLflow, and its failures never end a run: a
thread of the driver sends finished rows, and ``switchbench sync`` sends the missing ones. The tag
:data:`ID_TAG` of an MLflow run holds the trial's id, and :data:`STAMP_TAG` the version of the row that was
sent, so that nothing is sent twice.
"""

import itertools
import json
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from switchbench.errors import InputError, without_passwords
from switchbench.row import Row, Status, used_as
from switchbench.store.ledger import Ledger

URI_VARIABLE = "MLFLOW_TRACKING_URI"
"""MLflow's environment variable, which counts where no URI is given."""
OFF = "none"
"""Value of ``--mlflow-uri`` that turns the mirror off."""
ID_TAG = "switchbench.trial_id"
STAMP_TAG = "switchbench.sent"
REPORT_ID = "report"
"""Value of :data:`ID_TAG` for the run that holds the report."""
FAILURES_BEFORE_GIVING_UP = 2
"""Stop sending after this many consecutive failures: then the server is probably down."""
PATIENCE_SECONDS = 20
"""How long :meth:`Mirror.close` waits without progress."""
LOCK_SECONDS = 5
"""How long to wait for another program that has locked an SQLite database."""
METRIC_BATCH = 1_000
"""MLflow's limit on metrics in one request."""
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a line for each run, with a server


class Experiment:
    """The experiment of one ledger on an MLflow server or database."""

    def __init__(self, ledger: Ledger, uri: str | None) -> None:
        """Connect, and list the runs that exist already. A deleted experiment is restored.

        Args:
            ledger: Its name becomes the experiment's name.
            uri: MLflow server or database; None: a sqlite file in the ledger's folder.

        Raises:
            InputError: The database cannot be used or made, or the ledger cannot hold one.
            Exception: Whatever MLflow raises.
        """
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._ledger = ledger
        place = uri or ledger.mlflow_uri
        if place is None:
            raise InputError(f"--mlflow-uri: is required with results in {ledger.folder}")
        _check_sqlite(place)
        self._client = MlflowClient(tracking_uri=place)
        name = ledger.name()
        existing = self._client.get_experiment_by_name(name)
        _remove_escaped_folder(place)
        if existing and existing.lifecycle_stage == "deleted":
            self._client.restore_experiment(existing.experiment_id)
        artifacts = None if uri else ledger.mlflow_artifacts
        self._id = existing.experiment_id if existing else self._client.create_experiment(name, artifacts)
        self._runs: dict[str, tuple[str, str]] = {}
        """MLflow's run id and the stamp of the row that was sent, by trial id."""
        token = None
        while True:
            page = self._client.search_runs([self._id], max_results=1_000, page_token=token)
            for run in page:
                tags = run.data.tags
                if ID_TAG in tags:
                    self._runs[tags[ID_TAG]] = (run.info.run_id, tags.get(STAMP_TAG, ""))
            token = page.token
            if not token:
                return

    def send_all(self, rows: Iterable[Row]) -> tuple[int, Exception | None]:
        """Send rows as the iterable yields them. A row that fails does not stop the next ones.

        Args:
            rows: Rows of the ledger. No more are taken after :data:`FAILURES_BEFORE_GIVING_UP` consecutive
                failures.

        Returns:
            The number of rows sent, and the last exception, if any.
        """
        sent, failures, problem = 0, 0, None
        for row in rows:
            try:
                sent += self.send(row)
                failures = 0
            except Exception as error:  # MLflow and its stores raise many types
                failures, problem = failures + 1, error
                if failures == FAILURES_BEFORE_GIVING_UP:
                    break
        return sent, problem

    def send(self, row: Row) -> bool:
        """Create or update the MLflow run of a row.

        Returns:
            Whether anything was sent; False if the run was up to date.
        """
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException

        trial_id, stamp = row.trial_id, f"{row.finished} {row.label}"
        run_id, sent_stamp = self._runs.get(trial_id, ("", ""))
        if run_id and sent_stamp == stamp:
            return False
        run_id = run_id or self._create(trial_id, _run_name(row))
        milliseconds = int(1_000 * datetime.fromisoformat(str(row.finished)).timestamp())
        measured = [key for key in used_as("metric") if row[key] is not None]
        metrics = [Metric(key, float(row[key]), milliseconds, 0) for key in measured]
        for point in self._ledger.curves(trial_id):
            step = int(point["step"])
            points = ((f"curve_{key}", value) for key, value in point.items() if key != "step")
            metrics += [Metric(key, value, milliseconds, step) for key, value in points]
        parameters = [Param(key, str(value)) for key, value in _parameters(row).items()]
        tags = [RunTag(key, str(row[key] or "")[:5_000]) for key in used_as("tag")]
        tags.append(RunTag("mlflow.runName", _run_name(row)))
        try:
            self._client.log_batch(run_id, metrics[:METRIC_BATCH], parameters, tags)
        except MlflowException as error:
            if "param" not in str(error):
                raise
            # A run that has other parameters keeps them: MLflow changes none. All else follows the ledger.
            self._client.log_batch(run_id, metrics[:METRIC_BATCH], tags=tags)
        for start in range(METRIC_BATCH, len(metrics), METRIC_BATCH):
            self._client.log_batch(run_id, metrics[start : start + METRIC_BATCH])
        self._client.set_terminated(run_id, "FAILED" if row.status == Status.FAILED else "FINISHED")
        self._client.set_tag(run_id, STAMP_TAG, stamp)
        self._runs[trial_id] = (run_id, stamp)
        return True

    def send_report(self) -> None:
        """Send the report's files, if they exist, as artifacts of one run called ``report``."""
        if not self._ledger.report.exists():
            return
        run_id, _ = self._runs.get(REPORT_ID, ("", ""))
        run_id = run_id or self._create(REPORT_ID, REPORT_ID)
        with self._ledger.report_files() as local:
            self._client.log_artifacts(run_id, str(local), "report")
        self._client.set_terminated(run_id, "FINISHED")

    def _create(self, trial_id: str, run_name: str) -> str:
        run = self._client.create_run(self._id, tags={ID_TAG: trial_id}, run_name=run_name)
        self._runs[trial_id] = (run.info.run_id, "")
        return str(run.info.run_id)


def resolve(uri: str | None) -> str | None:
    """Return a given URI, or that of the environment; None if there is neither."""
    return uri or os.environ.get(URI_VARIABLE) or None


def is_off(uri: str | None) -> bool:
    """Return whether a URI turns MLflow off.

    >>> is_off("none"), is_off(None)
    (True, False)
    """
    return uri == OFF


def sync(ledger: Ledger, rows: list[Row], uri: str | None = None) -> int:
    """Send the rows that MLflow lacks, and the report if it exists.

    Args:
        ledger: The ledger of the rows.
        rows: Its rows.
        uri: MLflow server or database; None: a sqlite file in the ledger's folder.

    Returns:
        The number of rows sent.

    Raises:
        Exception: The last one that MLflow raised. Rows that MLflow accepts are sent before.
    """
    experiment = Experiment(ledger, uri)
    sent, problem = experiment.send_all(rows)
    if problem:
        raise problem
    experiment.send_report()
    return sent


class Mirror(threading.Thread):
    """Observer that sends rows to MLflow while trials run.

    It is a daemon thread: if MLflow does not answer, the run ends without it.
    """

    def __init__(self, ledger: Ledger, uri: str | None) -> None:
        super().__init__(name="mlflow-mirror", daemon=True)
        self.problem: str | None = None
        """The last error in one line; None if there was none."""
        self._ledger, self._uri = ledger, uri
        self._inbox: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self._last_progress = time.monotonic()

    def trials_running(self, count: int) -> None:
        """Do nothing: MLflow does not store the count."""

    def trial_finished(self, row: Row) -> None:
        """Put the row into the queue of the thread."""
        self._inbox.put(row)

    def close(self) -> None:
        """Send the remaining rows and the report. Stop after :data:`PATIENCE_SECONDS` without progress."""
        self._inbox.put(None)
        self._last_progress = time.monotonic()
        while self.is_alive() and time.monotonic() - self._last_progress < PATIENCE_SECONDS:
            self.join(0.1)
        if self.is_alive():
            self.problem = self.problem or f"no answer within {PATIENCE_SECONDS} seconds"

    def run(self) -> None:
        """Send the rows of the ledger, then new rows, then the report."""
        try:
            experiment = Experiment(self._ledger, self._uri)
            _, problem = experiment.send_all(self._rows())
            if problem:
                raise problem
            experiment.send_report()
        except Exception as error:  # errors of the mirror must never end the run
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            self.problem = without_passwords(f"{kind}{error}".split("\n")[0])[:200]

    def _rows(self) -> Iterator[Row]:
        """Yield the rows to send. A request for the next row means that the last one has been handled."""
        for row in itertools.chain(self._ledger.rows(), iter(self._inbox.get, None)):
            self._last_progress = time.monotonic()
            yield row


def _check_sqlite(uri: str) -> None:
    """Check at once that MLflow can use or make an SQLite database: MLflow itself retries for minutes.

    Raises:
        InputError: It cannot.
    """
    if not uri.startswith("sqlite:"):
        return
    from sqlalchemy import make_url

    file = make_url(uri).database
    if not file or file == ":memory:":
        return
    path = Path(file).absolute()
    if not path.exists():  # MLflow makes it, and its folder
        folder = next(parent for parent in path.parents if parent.exists())
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise InputError(f"{file}: cannot be made, because {folder} is no folder that can be written")
        return
    try:
        with closing(sqlite3.connect(file, timeout=LOCK_SECONDS)) as database:
            database.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            problem = "another program has locked this database; try again when that has ended"
            raise InputError(f"{file}: {problem}") from error
        raise InputError(f"{file}: no database that MLflow can use ({error})") from error


def _remove_escaped_folder(uri: str) -> None:
    """Remove the empty folder that MLflow makes of a path whose special characters are escaped in the URI."""
    from sqlalchemy import make_url

    written = uri.removeprefix("sqlite:///")
    if written != uri and written != make_url(uri).database:
        with suppress(OSError):
            os.removedirs(Path(written).parent)


def _run_name(row: Row) -> str:
    density = "" if row.target_density is None else f" {row.target_density:g}"
    return f"{row.label}{density} {row.network} {row.dataset} seed {row.seed}"


def _parameters(row: Row) -> dict[str, Any]:
    """Flatten the trial's config: ``training.lr``, ``method.strength``, …; labels are left out, as tags."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else key, inner)
        elif not prefix.endswith((".label", "dataset.path")):
            flat[prefix] = value

    walk("", json.loads(row.config or "{}"))
    return flat
