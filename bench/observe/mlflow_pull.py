"""Results that are read back from an experiment of MLflow: plans, rows and curves, as they were sent."""

import logging
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from switchbench.errors import InputError, nearest_of, without_passwords
from switchbench.observe.mlflow_client import PAGE, connect, one_line, pages, patient_reading, runs_with
from switchbench.observe.mlflow_history import histories
from switchbench.observe.mlflow_rows import (
    COMPARISON_ID,
    CURVES_TAG,
    ID_TAG,
    LEDGER_TAG,
    OLD_REPORT_ID,
    STAMP_TAG,
    points,
    row_of,
)
from switchbench.row import PlannedTrial, Row, Status
from switchbench.store.ledger import DESCRIPTION, Ledger
from switchbench.store.result_files import Points
from switchbench.words import plural

MEASURED = ("density", "test_accuracy", "test_loss", "val_accuracy", "val_loss", "steps")
"""Columns that are the same whenever the same trial is measured."""
MOST_NAMED = 3
"""Trials that a warning names."""


@dataclass(frozen=True)
class Collected:
    """What an experiment holds."""

    plans: list[tuple[bytes, list[PlannedTrial]]] = field(default_factory=list)
    """The spec and the plan of each results folder that sent to it, oldest first. The spec is empty where
    there is none, as for trials that are in no plan."""
    rows: dict[str, Row] = field(default_factory=dict)
    """The row of each planned trial that has one, by its id."""
    curves: dict[str, Points] = field(default_factory=dict)
    """Their curves."""
    known: frozenset[str] = frozenset()
    """Ids of all trials that have a run, planned or not."""


@dataclass(frozen=True)
class _Sent:
    """A run with its row."""

    row: Row
    run: Any


def experiments(uri: str) -> dict[str, int]:
    """Return the number of trials in each experiment that holds runs of switchbench, by name.

    Args:
        uri: MLflow server or database.

    Raises:
        Exception: Whatever MLflow raises.
    """
    client = connect(uri, must_exist=True)
    found = _experiments(client)
    with patient_reading():
        counts = {each.name: _count(client, each.experiment_id) for each in found}
    return {name: count for name, count in sorted(counts.items()) if count is not None}


def collect(uri: str, name: str, curves: bool = True) -> Collected:
    """Read an experiment. What cannot be used is named in warnings, one line for each reason.

    Args:
        uri: MLflow server or database.
        name: Name of the experiment.
        curves: Whether curves are read too, which takes most of the time.

    Raises:
        InputError: There is no such experiment, or it holds no results.
        Exception: Whatever MLflow raises.
    """
    client = connect(uri, must_exist=True)
    experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage == "deleted":
        raise InputError(f"--experiment {name!r}: {_missing(client, uri, name, experiment)}")
    with patient_reading():
        runs = _runs(client, experiment.experiment_id)
        if not runs:
            raise InputError(
                f"--experiment {name!r}: holds no runs of switchbench at {without_passwords(uri)}"
            )
        plans, whole = _plans(client, runs)
        latest = _latest(_with_rows(runs))
        planned = {trial.trial_id for _, plan in plans for trial in plan}
        if not planned and not latest:
            raise InputError(
                f"--experiment {name!r}: holds no plan and no complete row; run switchbench sync again"
            )
        if not whole:
            plans.append((b"", _unplanned(latest, planned)))
        ids = (trial.trial_id for _, plan in plans for trial in plan)
        chosen = {trial_id: latest[trial_id] for trial_id in ids if trial_id in latest}
        return Collected(
            plans,
            {trial_id: sent.row for trial_id, sent in chosen.items()},
            _curves(client, chosen) if curves else {},
            frozenset(run.data.tags[ID_TAG] for run in runs),
        )


def _experiments(client: Any) -> list[Any]:
    return [*pages(lambda token: client.search_experiments(max_results=PAGE, page_token=token))]


def _runs(client: Any, experiment_id: str) -> list[Any]:
    """Return the runs of switchbench in an experiment, oldest first."""
    found = runs_with(client, experiment_id, ID_TAG)
    return sorted(found, key=lambda run: (run.info.start_time or 0, run.info.run_id))


def _count(client: Any, experiment_id: str) -> int | None:
    """Return the number of trials in an experiment; None if it holds no runs of switchbench."""
    ids = {run.data.tags[ID_TAG] for run in _runs(client, experiment_id)}
    return len(ids - {COMPARISON_ID, OLD_REPORT_ID}) if ids else None


def _missing(client: Any, uri: str, name: str, deleted: Any) -> str:
    """Say why an experiment is not found, with the most similar name."""
    if deleted:
        return f"is deleted; restore it with: mlflow experiments restore -x {deleted.experiment_id}"
    names = [each.name for each in _experiments(client)]
    nearest = nearest_of(name, names)
    hint = (
        f"; did you mean {nearest!r}?" if nearest else "; switchbench pull alone lists those that there are"
    )
    return f"no such experiment at {without_passwords(uri)}{hint}"


def _plans(client: Any, runs: Iterable[Any]) -> tuple[list[tuple[bytes, list[PlannedTrial]]], bool]:
    """Read the specs and plans of the comparisons' runs.

    Returns:
        Each spec with its plan, and whether every comparison's plan could be read.
    """
    plans: list[tuple[bytes, list[PlannedTrial]]] = []
    parents = [run for run in runs if LEDGER_TAG in run.data.tags]
    whole = bool(parents)
    for parent in parents:
        with tempfile.TemporaryDirectory(prefix="switchbench-") as folder:
            try:
                present = {file.path for file in client.list_artifacts(parent.info.run_id)}
                for file in present.intersection(DESCRIPTION):
                    client.download_artifacts(parent.info.run_id, file, folder)
                ledger = Ledger(Path(folder))
                planned, spec = ledger.planned(), ledger.spec_bytes()
            except Exception as error:  # artifact stores raise many types
                whole = False
                problem = one_line(error).replace(f"{folder}", f"MLflow's run {parent.info.run_id}")
                _warn(
                    "a plan cannot be read, so that trials that did not run are unknown: %s",
                    problem,
                )
                continue
        plans.append((spec or b"", planned))
    return plans, whole


def _with_rows(runs: Iterable[Any]) -> list[_Sent]:
    """Return the runs of trials that hold a row. The others are named in a warning."""
    found, without = [], []
    for run in runs:
        tags = run.data.tags
        if tags[ID_TAG] in (COMPARISON_ID, OLD_REPORT_ID):
            continue
        try:
            row = row_of(tags)
        except ValueError:
            row = None
        if row is not None and row.trial_id == tags[ID_TAG]:
            found.append(_Sent(row, run))
        elif STAMP_TAG in tags:
            without.append(tags[ID_TAG])
    if without:
        _warn(
            "%s without a row of this version: %s; switchbench sync sends them again",
            plural(len(without), "run"),
            _named(sorted(without)),
        )
    return found


def _latest(found: Iterable[_Sent]) -> dict[str, _Sent]:
    """Return the row of each trial that stands above its others. Trials that were measured with different
    results are named."""
    latest: dict[str, _Sent] = {}
    conflicts: Counter[str] = Counter()
    for sent in found:
        other = latest.get(sent.row.trial_id)
        if other and _measurements(other.row) != _measurements(sent.row):
            conflicts[sent.row.trial_id] += other.row.status == sent.row.status == Status.OK
        if other is None or sent.row.standing > other.row.standing:
            latest[sent.row.trial_id] = sent
    if named := sorted(+conflicts):
        _warn(
            "%s measured with different results: %s; the latest counts",
            plural(len(named), "trial"),
            _named(named),
        )
    return latest


def _measurements(row: Row) -> list[str]:
    return [repr(row[name]) for name in MEASURED]


def _unplanned(latest: dict[str, _Sent], planned: Collection[str]) -> list[PlannedTrial]:
    """Return the trials that have a row and are in no plan, in an order that does not change."""
    rows = [sent.row for trial_id, sent in latest.items() if trial_id not in planned]
    rows.sort(key=lambda row: (row.seed, str(row.finished), row.trial_id))
    return [PlannedTrial.stored(asdict(row)) for row in rows]


def _curves(client: Any, chosen: dict[str, _Sent]) -> dict[str, Points]:
    """Read the curves of trials."""
    tags = {sent.run.info.run_id: sent.run.data.tags.get(CURVES_TAG) for sent in chosen.values()}
    history = histories(client, {run_id: tag for run_id, tag in tags.items() if tag})
    return {
        trial_id: points(sent.row, str(tags[run_id]), history[run_id])
        for trial_id, sent in chosen.items()
        if (run_id := sent.run.info.run_id) in history
    }


def _named(ids: list[str]) -> str:
    more = len(ids) - MOST_NAMED
    return ", ".join(ids[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _warn(message: str, *values: object) -> None:
    logging.getLogger(__name__).warning(message, *values)
