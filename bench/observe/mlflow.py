"""MLflow as a mirror of the ledger: never the truth, never in the way. The only code that
imports mlflow.

Trials never call MLflow. One thread of the driver sends finished rows; ``switchbench sync``
sends what is missing. A run is found again by the tag :data:`ID_TAG`, and what was sent by
:data:`STAMP_TAG`, so that nothing is sent twice.
"""

import itertools
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from switchbench.row import Row, Status, used_as
from switchbench.store.ledger import Ledger

OFF = "none"
"""Given in place of a server or database, turns the mirror off."""
ID_TAG = "switchbench.trial_id"
STAMP_TAG = "switchbench.sent"
REPORT_ID = "report"
FAILURES_BEFORE_GIVING_UP = 2
"""So many failures one after the other mean that the server is gone, not that a row is odd."""
PATIENCE_SECONDS = 20
METRIC_BATCH = 1_000
"""MLflow's limit on metrics in one request."""
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")


class Experiment:
    """One comparison's experiment on one MLflow server or database."""

    def __init__(self, ledger: Ledger, uri: str | None) -> None:
        """Connect and read what is there already; ``uri`` None: sqlite in the ledger's folder."""
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._ledger = ledger
        self._client = MlflowClient(tracking_uri=uri or ledger.mlflow_uri)
        name = ledger.name()
        found = self._client.get_experiment_by_name(name)
        place = None if uri else ledger.mlflow_artifacts.as_uri()
        self._id = found.experiment_id if found else self._client.create_experiment(name, place)
        self._sent: dict[str, tuple[str, str]] = {}
        """Run id and stamp of every trial that has a run, by trial id."""
        token = None
        while True:
            page = self._client.search_runs([self._id], max_results=1_000, page_token=token)
            for run in page:
                tags = run.data.tags
                if ID_TAG in tags:
                    self._sent[tags[ID_TAG]] = (run.info.run_id, tags.get(STAMP_TAG, ""))
            token = page.token
            if not token:
                return

    def send_all(self, rows: Iterable[Row]) -> tuple[int, Exception | None]:
        """Send rows as they come; one that fails stops no other. Returns how many were sent and
        the last problem."""
        sent, failures, problem = 0, 0, None
        for row in rows:
            try:
                sent += self.send(row)
                failures = 0
            except Exception as error:  # MLflow and its stores raise many kinds
                failures, problem = failures + 1, error
                if failures == FAILURES_BEFORE_GIVING_UP:
                    break
        return sent, problem

    def send(self, row: Row) -> bool:
        """Bring a row's run up to date; False if it was already."""
        from mlflow.entities import Metric, Param, RunTag

        trial_id, stamp = row.trial_id, f"{row.finished} {row.label}"
        run_id, sent = self._sent.get(trial_id, ("", ""))
        if run_id and sent == stamp:
            return False
        run_id = run_id or self._create(trial_id, _run_name(row))
        at = int(1_000 * datetime.fromisoformat(str(row.finished)).timestamp())
        metrics = [Metric(key, float(row[key]), at, 0) for key in used_as("metric") if row[key] is not None]
        for point in self._ledger.curves(trial_id):
            step = int(point["step"])
            points = ((f"curve_{key}", value) for key, value in point.items() if key != "step")
            metrics += [Metric(key, value, at, step) for key, value in points]
        parameters = [Param(key, str(value)) for key, value in _parameters(row).items()]
        tags = [RunTag(key, str(row[key] or "")[:5_000]) for key in used_as("tag")]
        tags.append(RunTag("mlflow.runName", _run_name(row)))
        self._client.log_batch(run_id, metrics[:METRIC_BATCH], parameters, tags)
        for start in range(METRIC_BATCH, len(metrics), METRIC_BATCH):
            self._client.log_batch(run_id, metrics[start : start + METRIC_BATCH])
        self._client.set_terminated(run_id, "FAILED" if row.status == Status.FAILED else "FINISHED")
        self._client.set_tag(run_id, STAMP_TAG, stamp)
        self._sent[trial_id] = (run_id, stamp)
        return True

    def send_report(self) -> None:
        """Store the report's files, if there are any, as artifacts of one run called ``report``."""
        if not self._ledger.report.exists():
            return
        run_id, _ = self._sent.get(REPORT_ID, ("", ""))
        run_id = run_id or self._create(REPORT_ID, REPORT_ID)
        self._client.log_artifacts(run_id, str(self._ledger.report), "report")
        self._client.set_terminated(run_id, "FINISHED")

    def _create(self, trial_id: str, run_name: str) -> str:
        run = self._client.create_run(self._id, tags={ID_TAG: trial_id}, run_name=run_name)
        self._sent[trial_id] = (run.info.run_id, "")
        return str(run.info.run_id)


def is_off(uri: str | None) -> bool:
    """Whether a URI turns MLflow off."""
    return uri == OFF


def sync(ledger: Ledger, rows: list[Row], uri: str | None = None) -> int:
    """Send every row that MLflow lacks, and the report if there is one; return how many rows.

    Raises what MLflow raises, after every row that it takes has been sent.
    """
    experiment = Experiment(ledger, uri)
    sent, problem = experiment.send_all(rows)
    if problem:
        raise problem
    experiment.send_report()
    return sent


class Mirror(threading.Thread):
    """Sends rows while trials run, in a thread that is left behind if MLflow does not answer."""

    def __init__(self, ledger: Ledger, uri: str | None) -> None:
        super().__init__(name="mlflow-mirror", daemon=True)
        self.problem: str | None = None
        """What went wrong last, in one line; None while all is well."""
        self._ledger, self._uri = ledger, uri
        self._inbox: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self._last_sign = time.monotonic()

    def running(self, trials: int) -> None:
        """Nothing to send."""

    def finished(self, row: Row) -> None:
        """Send this row when its turn comes."""
        self._inbox.put(row)

    def close(self) -> None:
        """Send what is left and the report; give up after :data:`PATIENCE_SECONDS` of silence."""
        self._inbox.put(None)
        self._last_sign = time.monotonic()
        while self.is_alive() and time.monotonic() - self._last_sign < PATIENCE_SECONDS:
            self.join(0.1)
        if self.is_alive():
            self.problem = self.problem or f"no answer within {PATIENCE_SECONDS} seconds"

    def run(self) -> None:
        """Send what the ledger holds already, then what arrives, then the report."""
        try:
            experiment = Experiment(self._ledger, self._uri)
            _, problem = experiment.send_all(self._rows())
            if problem:
                raise problem
            experiment.send_report()
        except Exception as error:  # a mirror must never hurt the run, whatever its server does
            self.problem = f"{type(error).__name__}: {error}".split("\n")[0][:200]

    def _rows(self) -> Iterator[Row]:
        """Rows in turn; that the next one is asked for is a sign that the last one got through."""
        for row in itertools.chain(self._ledger.rows(), iter(self._inbox.get, None)):
            self._last_sign = time.monotonic()
            yield row


def _run_name(row: Row) -> str:
    density = "" if row.target_density is None else f" {row.target_density:g}"
    return f"{row.label}{density} {row.network} {row.dataset} seed {row.seed}"


def _parameters(row: Row) -> dict[str, Any]:
    """The trial's config, flat: ``training.lr``, ``method.strength``, …; labels are tags."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else key, inner)
        elif not prefix.endswith(".label"):
            flat[prefix] = value

    walk("", json.loads(row.config or "{}"))
    return flat
