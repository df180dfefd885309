"""Group rows of trials into cells: one cell per task, method and target density."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from switchbench.reports.contrasts import Contrast, Pair, contrasts
from switchbench.reports.statistics import Summary, summarise
from switchbench.row import Status, used_as

TASK = ["network", "dataset", "scope"]
"""Columns that define a task."""


@dataclass(frozen=True)
class Cell:
    """All seeds of one method at one target density on one task."""

    label: str
    target: float
    """Target density; NaN if the method takes none."""
    planned: int
    """Number of seeds planned."""
    accuracy: Summary
    """Test accuracy, as a share."""
    means: dict[str, float]
    """Means of the ledger's other numeric columns over the measured seeds."""
    times: list[float]
    """For each measured seed: training time over that of one round of plain steps, timed in the same run."""
    flops: float
    """Training FLOPs over FLOPs of one round of plain training, mean over seeds."""
    layers: dict[str, float]
    """Mean density of each linear and convolution layer."""
    idle: str | None
    """What the method never did, because the training was too short."""
    emptied: dict[str, int]
    """Number of measured seeds in which a layer has no connection left, for layers where that happened."""

    @property
    def takes_target(self) -> bool:
        """Whether the method was given a target density."""
        return not math.isnan(self.target)


@dataclass(frozen=True)
class Task:
    """One network on one data set in one scope."""

    network: str
    dataset: str
    scope: str
    labels: list[str]
    densities: list[float]
    """Target densities, from high to low."""
    cells: dict[tuple[str, float | None], Cell]
    """By label and target density (None: no target)."""
    contrasts: list[Contrast]
    """Differences between methods and their controls, and between requested pairs."""
    started: bool
    """Whether methods started from a trained dense network."""

    @property
    def title(self) -> str:
        """The task as a heading."""
        return f"{self.network} on {self.dataset}, scope {self.scope}"


@dataclass(frozen=True)
class Report:
    """Everything that renderers show."""

    title: str
    tasks: list[Task]
    problems: list[str]
    """One line for each planned trial without a measurement."""


def build(results: pd.DataFrame, title: str, pairs: Sequence[Pair] = ()) -> Report:
    """Group the ledger's table into tasks and cells, in the order of the plan.

    Args:
        results: The ledger's table, one row per planned trial.
        title: Heading of the report.
        pairs: Pairs of labels whose difference is shown beside methods and their controls.

    Returns:
        The report; ``tables.py`` makes its tables, ``render.py`` writes them.
    """
    tasks = [_task(rows, pairs) for _, rows in results.groupby(TASK, sort=False)]
    unmeasured = results[results["status"] != Status.OK]
    problems = [_problem(row) for _, row in unmeasured.iterrows()]
    return Report(title, tasks, problems)


def _task(rows: pd.DataFrame, pairs: Sequence[Pair]) -> Task:
    first = rows.iloc[0]
    cells: dict[tuple[str, float | None], Cell] = {}
    for _, group in rows.groupby(["label", "target_density"], sort=False, dropna=False):
        label, target = str(group["label"].iloc[0]), float(group["target_density"].iloc[0])
        measured = group[group["status"] == Status.OK]
        layers = _layers(measured["density_layers"])
        cells[label, None if math.isnan(target) else target] = Cell(
            label=label,
            target=target,
            planned=len(group),
            accuracy=summarise(measured["test_accuracy"].tolist()),
            means={name: float(measured[name].mean()) for name in used_as("mean")},
            times=_ratios(measured, "seconds").dropna().tolist(),
            layers={str(name): float(mean) for name, mean in layers.mean().items()},
            emptied={str(name): int(seeds) for name, seeds in (layers == 0).sum().items() if seeds},
            idle=next(iter(measured["idle"].dropna()), None),
            flops=float(_ratios(measured, "flops").mean()),
        )
    densities = sorted(rows["target_density"].dropna().unique(), reverse=True)
    return Task(
        network=first["network"],
        dataset=first["dataset"],
        scope=first["scope"],
        labels=list(dict.fromkeys(rows["label"])),
        densities=densities,
        cells=cells,
        contrasts=contrasts(rows, densities, pairs),
        started=bool(rows["start"].notna().any()),
    )


def _ratios(rows: pd.DataFrame, unit: str) -> "pd.Series[Any]":
    """Return each trial's training cost over its cost without what the method adds."""
    total = rows[f"train_{unit}"]
    ratios: pd.Series[Any] = total / (total - rows[f"method_{unit}"])
    return ratios


def _layers(densities: "pd.Series[Any]") -> pd.DataFrame:
    """Return density by trial and layer. Each entry is one trial's densities as JSON."""
    return pd.DataFrame([json.loads(text) for text in densities.dropna()])


def _problem(row: "pd.Series[Any]") -> str:
    target = row["target_density"]
    density = "" if math.isnan(target) else f" at density {target:g}"
    reason = f": {row['error']}" if isinstance(row["error"], str) else ""
    where = f"{row['network']} on {row['dataset']}, scope {row['scope']}, seed {row['seed']}"
    return f"{row['status']}: {row['label']}{density}, {where} (trial {row['trial_id']}){reason}"
