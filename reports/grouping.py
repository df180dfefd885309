"""Group rows of trials into cells: one cell per task, method and target density."""

import json
import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from switchbench.errors import InputError
from switchbench.reports.cells import ACCURACY, LATENCY, TASK, Cell, Report, Task, mean
from switchbench.reports.statistics.contrasts import Pair, Paired, contrasts
from switchbench.reports.statistics.margin import MARGIN
from switchbench.reports.statistics.seeds import Numbers
from switchbench.row import Status, guesses, used_as

PROBLEM = [*TASK, "status", "label", "target_density", "seed", "trial_id", "error"]
"""Columns that the line about an unmeasured trial shows."""


def build(
    results: pd.DataFrame,
    title: str,
    pairs: Sequence[Pair] = (),
    margin: float = MARGIN,
    unreached: Sequence[str] = (),
) -> Report:
    """Group the ledger's table into tasks and cells, in the order of the plan.

    Args:
        results: The ledger's table, one row per planned trial.
        title: Heading of the report.
        pairs: Pairs of labels whose difference is shown beside methods and their controls.
        margin: Differences of accuracy that are smaller, as shares, count as equal.
        unreached: Target densities for which a method has no trial, with the reason.

    Returns:
        The report; ``tables`` makes its tables, ``formats`` writes them.

    Raises:
        InputError: Two trials are one method's at one density and seed of one task, or one label is that of
            two methods.
    """
    _require_unique(results)
    read = results.drop(columns=["config", "versions"], errors="ignore")  # long, and not in any table
    tasks = [_task(rows, pairs, margin) for _, rows in read.groupby(TASK, sort=False)]
    unmeasured = results.loc[~_measured(results), PROBLEM]
    problems = [*_problems(unmeasured), *(f"not reached: {line}" for line in unreached)]
    return Report(title, tasks, problems, len(unmeasured) + len(unreached))


def _require_unique(results: pd.DataFrame) -> None:
    """Raise InputError if a seed would count twice: of two versions, or of two recipes under one name."""
    key = [*TASK, "label", "target_density", "seed"]
    repeated = results[results.duplicated(key, keep=False)]
    for _, rows in repeated.groupby(key, sort=False, dropna=False):
        what, ids = _what(rows.iloc[0].to_dict()), " and ".join(rows["trial_id"].astype(str).head(2))
        raise InputError(
            f"results: {what} stands twice (trials {ids}), from two versions or two recipes; "
            "report them from folders of their own"
        )
    named = results[["label", "method"]].drop_duplicates()
    for label, methods in named[named.duplicated("label", keep=False)].groupby("label", sort=False)["method"]:
        both = " and ".join(repr(method) for method in methods.head(2))
        raise InputError(f"results: label {label!r} is that of {both}; report them from folders of their own")


def _measured(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Tell which rows have a test accuracy. One that is NaN, as in foreign tables, is no measurement."""
    return (rows["status"] == Status.OK) & rows[ACCURACY].notna()


def _task(rows: pd.DataFrame, pairs: Sequence[Pair], margin: float) -> Task:
    first = rows.iloc[0]
    densities = sorted(rows["target_density"].dropna().unique().tolist(), reverse=True)
    named = rows.drop_duplicates("label").set_index("label")
    methods = {str(label): str(method) for label, method in named["method"].items()}
    control_of = {str(label): str(method) for label, method in named["control_of"].dropna().items()}
    cells = dict(_cells(rows))
    compared = {key: cell.compared for key, cell in cells.items()}
    paired = Paired(methods, control_of, densities, compared)
    return Task(
        network=first["network"],
        dataset=first["dataset"],
        scope=first["scope"],
        paired=paired,
        labels=[*methods],
        densities=densities,
        cells=cells,
        contrasts=contrasts(paired, pairs, margin),
        margin=margin,
        started=bool(rows["start"].notna().any()),
    )


def _cells(rows: pd.DataFrame) -> Iterator[tuple[tuple[str, float | None], Cell]]:
    """Yield the cells of a task by label and target density (None: no target), in the order of the plan.

    Columns become arrays once: a task may have thousands of cells, and a table of each would take longer than
    all the rest.
    """
    names = [ACCURACY, *used_as("mean"), *([LATENCY] if LATENCY in rows else [])]
    columns = {name: _numbers(rows[name]) for name in names}
    times, flops = _ratios(rows, "seconds"), _ratios(rows, "flops")
    layers, idle = rows["density_layers"].to_numpy(object), rows["idle"].to_numpy(object)
    labels, targets = rows["label"].to_numpy(object), _numbers(rows["target_density"])
    seeds, ok = rows["seed"].to_numpy(), _measured(rows).to_numpy()
    guessing = _guessing(rows)
    for planned in _groups(rows):
        label, target = str(labels[planned[0]]), float(targets[planned[0]])
        measured = planned[ok[planned]]
        measured = measured[np.argsort(seeds[measured], kind="stable")]
        by_layer = _by_layer(layers[measured])
        cell = Cell(
            label=label,
            target=target,
            planned=len(planned),
            seeds=seeds[measured],
            values={name: values[measured] for name, values in columns.items()},
            times=[ratio for ratio in times[measured].tolist() if not math.isnan(ratio)],
            layers={name: mean(values) for name, values in by_layer.items()},
            emptied={name: zeros for name, values in by_layer.items() if (zeros := int((values == 0).sum()))},
            idle=next((reason for reason in idle[measured] if isinstance(reason, str)), None),
            flops=mean(flops[measured]),
            guessing=int(guessing[measured].sum()),
        )
        yield (label, None if math.isnan(target) else target), cell


def _guessing(rows: pd.DataFrame) -> Numbers:
    """Tell for each row whether its network does no better than guessing; False where that is unknown."""
    if "classes" not in rows:
        return np.zeros(len(rows), dtype=bool)
    known = zip(*(_numbers(rows[name]) for name in (ACCURACY, "test_size", "classes")), strict=True)
    return np.array([not any(map(math.isnan, each)) and guesses(*each) for each in known], dtype=bool)


def _groups(rows: pd.DataFrame) -> list[Numbers]:
    """Return the positions of the rows of each cell, in the order of the plan."""
    number = rows.groupby(["label", "target_density"], sort=False, dropna=False).ngroup().to_numpy()
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


def _numbers(column: "pd.Series[Any]") -> Numbers:
    return column.to_numpy(dtype=float, na_value=math.nan)


def _ratios(rows: pd.DataFrame, unit: str) -> Numbers:
    """Return each trial's training cost over that of one round of plain training."""
    total = _numbers(rows[f"train_{unit}"])
    plain = total - _numbers(rows[f"method_{unit}"])
    if f"plain_{unit}" in rows:
        stored = _numbers(rows[f"plain_{unit}"])
        plain = np.where(np.isnan(stored), plain, stored)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Numbers = total / plain
    return ratios


def _by_layer(stored: Iterable[Any]) -> dict[str, Numbers]:
    """Return the known densities of each layer. Each entry is one trial's densities as JSON, or missing."""
    densities: dict[str, list[float]] = {}
    for text in stored:
        for name, density in json.loads(text).items() if isinstance(text, str) else ():
            if isinstance(density, int | float) and not isinstance(density, bool):
                densities.setdefault(name, []).append(density)
    return {name: np.array(values, dtype=float) for name, values in densities.items()}


def _problems(unmeasured: pd.DataFrame) -> list[str]:
    """Return a line for each trial without a measurement; one for all of a method that were skipped alike."""
    causes: dict[tuple[str, ...], list[dict[Hashable, Any]]] = {}
    for row in unmeasured.to_dict("records"):
        own = () if row["status"] == Status.SKIPPED else (str(row["trial_id"]),)
        key = (*(str(row[name]) for name in ("status", "label", *TASK, "error")), *own)
        causes.setdefault(key, []).append(row)
    return [_problem(rows[0]) if len(rows) == 1 else _problem_of_many(rows) for rows in causes.values()]


def _problem_of_many(rows: list[dict[Hashable, Any]]) -> str:
    row = rows[0]
    where = f"{row['network']} on {row['dataset']}, scope {row['scope']}"
    return f"{row['status']}: {row['label']}, {where}, {len(rows)} trials: {row['error']}"


def _problem(row: dict[Hashable, Any]) -> str:
    reason = f": {row['error']}" if isinstance(row["error"], str) else ""
    return f"{row['status']}: {_what(row)} (trial {row['trial_id']}){reason}"


def _what(row: dict[Hashable, Any]) -> str:
    """Return what a trial is: method, density, task and seed."""
    target = row["target_density"]
    density = "" if math.isnan(target) else f" at density {target:g}"
    where = f"{row['network']} on {row['dataset']}, scope {row['scope']}, seed {row['seed']}"
    return f"{row['label']}{density}, {where}"
