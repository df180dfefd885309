"""What the page's figures and its table of trials show, as plain values."""

import math
from typing import Any

import numpy as np
import pandas as pd

from switchbench.reports.cells import ACCURACY, TASK, Cell, Report, Task
from switchbench.reports.formats.html_text import text_of
from switchbench.reports.statistics.summary import summarise
from switchbench.reports.tables.table import NOTHING, Entry, Number, Table

TRIALS_CAPTION = (
    "Every planned trial. Target: the density that the method was asked for. Density: the share of the "
    "weights in scope that are not zero in the finished network. Time: training (processor "
    "time on a CPU). A row opens the trial's config and curves."
)
DIGITS = 5
"""Significant digits of numbers in curves and details; tables hold all."""
LONG = ("config", "versions", "density_layers", "found")
"""Columns of JSON, which are shown in the details of a trial."""
AXES = ("trial_id", "round", "epoch", "step")
"""Columns of curves that are no measurement."""


def labels_of(report: Report) -> list[str]:
    """Return the labels of all methods, in the order of the plan."""
    return list(dict.fromkeys(label for task in report.tasks for label in task.labels))


def shown_trials(report: Report, trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of the methods and target densities that the report shows."""
    targets = {density for task in report.tasks for density in task.densities}
    at = trials["target_density"]
    return trials[trials["label"].isin(labels_of(report)) & (at.isna() | at.isin(targets))]


def task_data(task: Task) -> dict[str, Any]:
    """Return the points of the figure of a task: accuracies in %, differences to dense in points."""
    dense = task.control.label if task.control else None
    cells = [task.cells[key] for key in task.shown()]
    lines: dict[str, list[dict[str, Any]]] = {label: [] for label in task.labels}
    for cell in sorted(cells, key=lambda cell: cell.means["density"]):
        if cell.accuracy.n:
            lines[cell.label].append(_point(task, cell, dense))
    return {
        "title": task.title,
        "scope": task.scope,
        "dense": dense,
        "targets": task.densities,
        "lines": [{"label": label, "points": points} for label, points in lines.items()],
    }


def _point(task: Task, cell: Cell, dense: str | None) -> dict[str, Any]:
    point = {
        "x": cell.target if math.isnan(cell.means["density"]) else cell.means["density"],
        "target": cell.target,
        "elsewhere": cell.missed or not cell.takes_target,
        "mean": 100 * cell.accuracy.mean,
        "interval": 100 * cell.accuracy.interval,
        "n": cell.accuracy.n,
        "planned": cell.planned,
    }
    if dense is not None and cell.label != dense:
        change = summarise(task.differences(cell.label, dense, cell.target))
        point |= {"change": 100 * change.mean, "changeInterval": 100 * change.interval}
    return point


def trial_table(trials: pd.DataFrame) -> Table:
    """Return the table of all trials, in the order of the plan."""
    names = [name for name in TASK if trials[name].nunique() > 1]
    columns: list[tuple[str, list[Entry]]] = [
        ("method", _texts(trials, "label")),
        *((name.replace("dataset", "data set"), _texts(trials, name)) for name in names),
        ("target", _numbers(trials, "target_density", significant=6)),
        ("seed", _numbers(trials, "seed", digits=0)),
        ("status", _texts(trials, "status")),
        ("test accuracy (%)", _numbers(trials, ACCURACY, 100)),
        ("val. accuracy (%)", _numbers(trials, "val_accuracy", 100)),
        ("density (%)", _numbers(trials, "density", 100, digits=3)),
        ("MACs", _numbers(trials, "macs", digits=0)),
        ("time (s)", _numbers(trials, "train_seconds", digits=1)),
        ("trial", _texts(trials, "trial_id")),
    ]
    rows = [list(row) for row in zip(*(entries for _, entries in columns), strict=True)]
    return Table("trials", TRIALS_CAPTION, [name for name, _ in columns], rows)


def trial_data(report: Report, trials: pd.DataFrame, curves: pd.DataFrame | None) -> dict[str, Any]:
    """Return the details of all trials, by column, and their curves one after the other.

    Returns:
        ``task``, ``label``, ``target`` and ``seed`` of each trial, its other values in ``facts``, its JSON
        columns as text, ``lengths``: the number of points of its curves, and ``curves``: their columns.
    """
    numbers = {(task.network, task.dataset, task.scope): at for at, task in enumerate(report.tasks)}
    keys = zip(*(trials[name] for name in TASK), strict=True)
    lengths, columns = _curves(trials, curves)
    facts = [name for name in trials if name not in LONG]
    return {
        "task": [numbers[key] for key in keys],
        "label": trials["label"].tolist(),
        "target": trials["target_density"].tolist(),
        "facts": {str(name): _plain(trials[name]) for name in facts},
        **{name: [text_of(each) for each in trials[name]] for name in LONG if name in trials},
        "lengths": lengths,
        "curves": columns,
    }


def _curves(trials: pd.DataFrame, curves: pd.DataFrame | None) -> tuple[list[int], dict[str, list[Any]]]:
    """Return the number of points of each trial, and the columns of all points in the order of the trials."""
    if curves is None or curves.empty or "step" not in curves:
        return [0] * len(trials), {}
    place = pd.Series(np.arange(len(trials)), index=trials["trial_id"].to_numpy())
    at = curves["trial_id"].map(place[~place.index.duplicated()])
    known = curves.assign(_at=at).dropna(subset=["_at", "step"]).sort_values(["_at", "step"], kind="stable")
    lengths = np.bincount(known["_at"].astype(int), minlength=len(trials)).tolist()
    shown = [
        str(name)
        for name in curves.select_dtypes("number")
        if name not in AXES and bool(known[name].notna().any())
    ]
    return lengths, {name: _plain(known[name]) for name in ("step", *shown)}


def _plain(column: "pd.Series[Any]") -> list[Any]:
    """Return a column as plain values; fractions have :data:`DIGITS` significant digits."""
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        values = column.to_numpy(dtype=float, na_value=np.nan)
        return [int(each) if each.is_integer() else float(f"{each:.{DIGITS}g}") for each in values.tolist()]
    return [text_of(each) for each in column]


def _texts(trials: pd.DataFrame, name: str) -> list[Entry]:
    return [text_of(each) for each in trials[name]]


def _numbers(trials: pd.DataFrame, name: str, scale: float = 1, **shown: Any) -> list[Entry]:
    """Return the entries of a column, which a table of an older version may lack."""
    if name not in trials:
        return [NOTHING] * len(trials)
    values = trials[name].to_numpy(dtype=float, na_value=np.nan)
    return [Number(float(f"{scale * each:.12g}"), **shown) for each in values]  # 89.43, not 89.42999999999999
