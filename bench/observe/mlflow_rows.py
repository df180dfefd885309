"""What a run of MLflow holds of a row, and the row that is read back from it.

A run has the row twice: as parameters, metrics and tags for people, and complete, as JSON in tags
(:data:`ROW_TAG`), so that ``switchbench pull`` gets every value back as it was stored.
"""

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from sys import float_info
from typing import Any

from switchbench.row import PlannedTrial, Row, used_as
from switchbench.store.result_files import Points

ID_TAG = "switchbench.trial_id"
"""Tag of every run of switchbench: the id of its trial, or :data:`COMPARISON_ID`."""
COMPARISON_ID = "comparison"
"""Value of :data:`ID_TAG` for the run that holds spec, plan and report; its trials are nested below it."""
STAMP_TAG = "switchbench.sent"
"""Tag with the version of the row that a run holds completely."""
LEDGER_TAG = "switchbench.ledger"
"""Tag of a comparison's run: the name of the results folder that it mirrors."""
OLD_REPORT_ID = "report"
"""Value of :data:`ID_TAG` for the run that held the report in older versions; it becomes the parent."""
ROW_TAG = "switchbench.row."
"""Beginning of the tags that hold the row as JSON: a number follows."""
CURVES_TAG = "switchbench.curves"
"""Tag with the columns of the curves, and their number of points, as JSON."""
PARENT_TAG = "mlflow.parentRunId"
NAME_TAG = "mlflow.runName"
TASK = ("network", "dataset", "scope")
"""Columns that are part of a run's name if the comparison has several values."""
MOST_CHARACTERS = 5_000
"""Characters in a tag."""
MOST_ROW_TAGS = 75
"""Tags for one row, so that a run's tags fit into one request."""


def milliseconds(moment: str) -> int:
    """Return a moment in ISO 8601 as MLflow's time.

    >>> milliseconds("1970-01-01T00:00:01.5+00:00")
    1500
    """
    return round(1_000 * datetime.fromisoformat(moment).timestamp())


def times(row: Row) -> tuple[int, int]:
    """Return when a trial started and ended. The start is the end if no duration was measured."""
    end = milliseconds(str(row.finished))
    seconds = row.seconds if row.seconds is not None else row.train_seconds
    return end - round(1_000 * (seconds or 0)), end


def several_tasks(plan: Iterable[PlannedTrial]) -> list[str]:
    """Return the columns of :data:`TASK` that take several values in a plan."""
    trials = [*plan]
    return [column for column in TASK if len({getattr(trial, column) for trial in trials}) > 1]


def run_name(row: PlannedTrial, several: Collection[str] = ()) -> str:
    """Return the name of a run. What tells runs apart comes first: lists show about 25 characters.

    Args:
        row: The trial.
        several: As :func:`several_tasks` returns it.

    Returns:
        For instance ``switcher 2% seed 0`` or ``switcher 2% seed 0 · lenet-300-100``.
    """
    density = "" if row.target_density is None else f" {100 * row.target_density:g}%"
    return " · ".join(
        [f"{row.label}{density} seed {row.seed}", *(str(getattr(row, column)) for column in several)]
    )


def readable_tags(row: Row, comparison: str) -> dict[str, str]:
    """Return the tags for people: columns to filter by, and where the code comes from."""
    tags = {name: str("" if row[name] is None else row[name])[:MOST_CHARACTERS] for name in used_as("tag")}
    return tags | {"comparison": comparison} | source_tags(json.loads(row.versions or "{}").get("commit", ""))


def source_tags(commit: str = "") -> dict[str, str]:
    """Return MLflow's own tags for the source of a run.

    Args:
        commit: As ``git describe --dirty`` writes it; empty if it is not known.
    """
    tags = {"mlflow.source.name": "switchbench", "mlflow.source.type": "LOCAL"}
    if commit:
        tags["mlflow.source.git.commit"] = commit.removesuffix("-dirty")
        tags["mlflow.source.git.dirty"] = str(commit.endswith("-dirty")).lower()
    return tags


def row_tags(row: Row) -> dict[str, str]:
    """Return the tags that hold a whole row. An error of hundreds of thousands of characters is cut.

    JSON keeps every float: Python writes the shortest text that is read as the same number. It is plain
    ASCII, so that characters are bytes.
    """
    plain = {name: value for name, value in asdict(row).items() if value is not None}
    text = json.dumps(plain, separators=(",", ":"))
    if len(text) > MOST_CHARACTERS * MOST_ROW_TAGS:
        plain["error"] = str(row.error)[:MOST_CHARACTERS]
        text = json.dumps(plain, separators=(",", ":"))
    starts = range(0, len(text), MOST_CHARACTERS)
    return {f"{ROW_TAG}{number}": text[at : at + MOST_CHARACTERS] for number, at in enumerate(starts)}


def row_of(tags: Mapping[str, str]) -> Row | None:
    """Return the row in the tags of a run; None if there is none, as in runs of older versions.

    Raises:
        ValueError: The tags hold something else.
    """
    parts: list[str] = []
    while (part := tags.get(f"{ROW_TAG}{len(parts)}")) is not None:
        parts.append(part)
    if not parts:
        return None
    # What follows the first JSON value are tags of an earlier, longer row.
    plain, _ = json.JSONDecoder().raw_decode("".join(parts))
    if not isinstance(plain, dict):
        raise ValueError("the row is no mapping")
    return Row.stored(plain)


def parameters(row: Row) -> dict[str, str]:
    """Flatten the trial's config: ``training.lr``, ``method.strength``, …; labels are left out, as tags.

    The density of the config is the target; the metric ``density`` is what was measured.
    """
    flat: dict[str, str] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else key, inner)
        elif not prefix.endswith((".label", "dataset.path")):
            flat[prefix] = str(value)

    walk("", json.loads(row.config or "{}"))
    return {"target_density" if name == "density" else name: value for name, value in flat.items()}


def metrics(row: Row, curves: Points) -> list[Any]:
    """Return a row's metrics, and the points of its curves, as MLflow's metrics.

    MLflow shows the value with the largest step, and among these with the latest time. Curves and final
    values share names (``val_accuracy``), so final values have the last step, and a curve's points are a
    millisecond earlier, by which :func:`points` knows them.
    """
    from mlflow.entities import Metric

    _, end = times(row)
    last = max([row.steps or 0, *(int(point["step"]) for point in curves)])
    found = [
        Metric(name, float(value), end - 1, int(point["step"]))
        for point in curves
        for name, value in point.items()
        if name != "step" and value is not None
    ]
    return found + [
        Metric(name, float(row[name]), end, last) for name in used_as("metric") if row[name] is not None
    ]


def curves_tag(curves: Points) -> str:
    """Return the value of :data:`CURVES_TAG`: the columns in order, with their types.

    >>> curves_tag([{"epoch": 0, "step": 5, "loss": 0.5}])
    '{"points": 1, "columns": {"epoch": "int", "step": "int", "loss": "float"}}'
    """
    columns = {
        name: "int" if isinstance(value, int) else "float"
        for point in reversed(curves)  # the first point that has a column decides
        for name, value in point.items()
        if value is not None
    }
    ordered = dict.fromkeys(name for point in curves for name in point if name in columns)
    return json.dumps({"points": len(curves), "columns": {name: columns[name] for name in ordered}})


def points(row: Row, tag: str, history: Mapping[str, Sequence[Any]]) -> Points:
    """Rebuild the curves of a trial.

    Args:
        row: The trial's row.
        tag: The run's :data:`CURVES_TAG`.
        history: MLflow's metrics by name, as sent; also final values, and points of earlier rows.

    Returns:
        One point per step, with the columns and types that were sent.
    """
    columns, at = json.loads(tag)["columns"], times(row)[1] - 1
    by_step: dict[int, dict[str, float]] = {}
    for name, kind in columns.items():
        for metric in history.get(name, ()):
            if metric.timestamp == at:
                value = int(metric.value) if kind == "int" else _restored(metric.value)
                by_step.setdefault(metric.step, {"step": metric.step})[name] = value
    return [
        {name: by_step[step][name] for name in columns if name in by_step[step]} for step in sorted(by_step)
    ]


def dataset_input(row: Row) -> Any:
    """Return the data set as MLflow's input of a run; None if the row has no config.

    Its digest is that of the entry in the config (name and options), and not of the images: these decide the
    trial's id.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    entry = json.loads(row.config or "{}").get("dataset")
    if not isinstance(entry, dict):
        return None
    identity = {key: value for key, value in entry.items() if key != "label"}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    source: dict[str, Any] = {"tags": {"mlflow.source.name": "switchbench", "dataset": entry.get("dataset")}}
    if path := entry.get("path"):
        source = {"uri": str(path)}
    sizes = {"num_rows": row.train_size, "validation_rows": row.val_size, "test_rows": row.test_size}
    dataset = Dataset(
        row.dataset[:500], digest, "local" if path else "code", json.dumps(source), profile=json.dumps(sizes)
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _restored(value: float) -> float:
    """Return a metric as it was sent: MLflow stores the largest number in place of infinity."""
    return math.copysign(math.inf, value) if abs(value) == float_info.max else value
