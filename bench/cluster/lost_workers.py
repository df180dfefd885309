"""Rows of trials whose worker process was lost, so that every planned trial has one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from switchbench.cluster.worker import Job, record_lost
from switchbench.row import Row, Status
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger

LOST_WORKER_RETRIES = 2
"""How often a trial is retried after its worker died."""
WORKER_DIED = "the worker process died"
OUT_OF_MEMORY = "its node ran out of memory, so that Ray ended the worker process (see resources.memory)"
CLUSTER_FAULTS = (
    "its node has died",
    "node was terminated",
    "NodeDiedError",
    "ActorUnavailableError",
    "is unavailable: RpcError",
    "Connection reset by peer",
)
"""What Ray's errors say where a node is lost or cannot be reached."""


def record_lost_point(trials: Sequence[TrialConfig], job: Job, reason: str) -> Row:
    """Store and return a failure for the first unmeasured trial: it was running when the worker failed."""
    ledger = Ledger(job.folder)
    rows = [ledger.row(config.trial_id) for config in trials]
    index = next((i for i, row in enumerate(rows) if not row or row.status != Status.VALIDATED), -1)
    return record_lost(trials[index], job, reason)


def rows_of_lost_point(trials: Sequence[TrialConfig], job: Job, lost: Row) -> list[Row]:
    """Return the rows of a lost point: of the trials that are measured, then of the one that was running."""
    ledger = Ledger(job.folder)
    rows = [ledger.row(config.trial_id) for config in trials]
    measured = [row for row in rows if row and row.status == Status.VALIDATED]
    return measured if lost in measured else [*measured, lost]  # it may have died after the last trial


def is_clusters_fault(trial: Any) -> bool:
    """Return whether the cluster, and not the trial, is why Tune gave up a trial.

    Such a trial has no row, so that it counts as missing and never against its method.

    Args:
        trial: Tune's trial. Its error file is read, as in :func:`failure_reason`.
    """
    last = _last_failure(trial)
    return any(sign in last for sign in CLUSTER_FAULTS)


def failure_reason(trial: Any) -> str:
    """Return why Tune gave up a trial, in one line.

    It is read from the file that Tune has just written on the driver's machine. ``trial.get_error()`` reads
    the storage folder, to which Tune copies that file later.
    """
    last = _last_failure(trial)
    if "OutOfMemoryError" in last or "out of memory issue" in last:
        return OUT_OF_MEMORY
    return WORKER_DIED if "actor died" in last else (last.strip().splitlines() or ["unknown"])[-1]


def _last_failure(trial: Any) -> str:
    """Return what Tune has written of the last attempt."""
    return Path(trial.error_file).read_text().rpartition("Failure #")[2]
