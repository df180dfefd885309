"""From rows of trials to cells of tables: one cell per task, method and target density."""

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


@dataclass(frozen=True)
class Cell:
    """All seeds of one method at one target density on one task."""

    label: str
    target: float
    """Target density; NaN where the method takes none."""
    planned: int
    """Number of seeds planned."""
    accuracy: Summary
    """Test accuracy, as a share."""
    means: dict[str, float]
    """Means over the measured seeds of the ledger's other numeric columns."""
    times: list[float]
    """For each measured seed, seconds of training over those of as many plain steps of one round,
    timed beside it in the same run."""
    flops: float
    """FLOPs of training over those of plain training, mean."""
    layers: dict[str, float]
    """Mean density of each linear and convolution layer."""

    @property
    def takes_target(self) -> bool:
        """Whether the method was given a density."""
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
    """Methods against their controls, and what else was asked for."""
    started: bool
    """Whether methods began from a trained dense network."""

    @property
    def title(self) -> str:
        """The task in words."""
        return f"{self.network} on {self.dataset}, scope {self.scope}"


@dataclass(frozen=True)
class Report:
    """Everything that the renderers show."""

    title: str
    tasks: list[Task]
    problems: list[str]
    """Every planned trial without a measurement, one line each."""


def build(results: pd.DataFrame, title: str, pairs: Sequence[Pair] = ()) -> Report:
    """Group the ledger's table into tasks and cells, in the order of the plan. ``pairs``: labels to
    contrast beside methods and their controls."""
    tasks = [_task(rows, pairs) for _, rows in results.groupby(TASK, sort=False)]
    unmeasured = results[results["status"] != Status.OK]
    problems = [_problem(row) for _, row in unmeasured.iterrows()]
    return Report(title, tasks, problems)


def _task(rows: pd.DataFrame, pairs: Sequence[Pair]) -> Task:
    first = rows.iloc[0]
    cells: dict[tuple[str, float | None], Cell] = {}
    for _, group in rows.groupby(["label", "target_density"], sort=False, dropna=False):
        label, target = str(group["label"].iloc[0]), float(group["target_density"].iloc[0])
        ok = group[group["status"] == Status.OK]
        cells[label, None if math.isnan(target) else target] = Cell(
            label=label,
            target=target,
            planned=len(group),
            accuracy=summarise(ok["test_accuracy"].tolist()),
            means={name: float(ok[name].mean()) for name in used_as("mean")},
            times=(ok["train_seconds"] / (ok["train_seconds"] - ok["method_seconds"])).dropna().tolist(),
            layers=_layers(ok["density_layers"]),
            flops=float((ok["train_flops"] / (ok["train_flops"] - ok["method_flops"])).mean()),
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


def _layers(recounted: "pd.Series[Any]") -> dict[str, float]:
    """Means over trials of what each has as JSON: densities by layer."""
    table = pd.DataFrame([json.loads(text) for text in recounted.dropna()])
    return {str(name): float(mean) for name, mean in table.mean().items()}


def _problem(row: "pd.Series[Any]") -> str:
    target = row["target_density"]
    density = "" if math.isnan(target) else f" at density {target:g}"
    reason = f": {row['error']}" if isinstance(row["error"], str) else ""
    where = f"{row['network']} on {row['dataset']}, scope {row['scope']}, seed {row['seed']}"
    return f"{row['status']}: {row['label']}{density}, {where} (trial {row['trial_id']}){reason}"
