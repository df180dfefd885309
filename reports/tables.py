"""From rows of trials to cells of tables: one cell per task, method and target density."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from switchbench.reports.statistics import Summary, summarise

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
    slowdowns: list[float]
    """Seconds of training over the dense control's of the same seed, for each seed with both."""

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


MEANS = (
    "density density_prunable density_network test_top5 test_loss val_accuracy macs macs_dense steps "
    "train_seconds parameters method_parameters"
).split()


def build(results: pd.DataFrame, title: str) -> Report:
    """Group the ledger's table into tasks and cells, in the order of the plan."""
    tasks = [_task(rows) for _, rows in results.groupby(TASK, sort=False)]
    unmeasured = results[results["status"] != "ok"]
    problems = [_problem(row) for _, row in unmeasured.iterrows()]
    return Report(title, tasks, problems)


def _task(rows: pd.DataFrame) -> Task:
    first = rows.iloc[0]
    measured = rows[rows["status"] == "ok"]
    dense = measured[measured["method"] == "dense"].groupby("seed")["train_seconds"].first()
    cells: dict[tuple[str, float | None], Cell] = {}
    for _, group in rows.groupby(["label", "target_density"], sort=False, dropna=False):
        label, target = str(group["label"].iloc[0]), float(group["target_density"].iloc[0])
        ok = group[group["status"] == "ok"]
        cells[label, None if math.isnan(target) else target] = Cell(
            label=label,
            target=target,
            planned=len(group),
            accuracy=summarise(ok["test_accuracy"].tolist()),
            means={name: float(ok[name].mean()) for name in MEANS},
            slowdowns=(ok.set_index("seed")["train_seconds"] / dense).dropna().tolist(),
        )
    return Task(
        network=first["network"],
        dataset=first["dataset"],
        scope=first["scope"],
        labels=list(dict.fromkeys(rows["label"])),
        densities=sorted(rows["target_density"].dropna().unique(), reverse=True),
        cells=cells,
    )


def _problem(row: "pd.Series[Any]") -> str:
    target = row["target_density"]
    density = "" if math.isnan(target) else f" at density {target:g}"
    reason = f": {row['error']}" if isinstance(row["error"], str) else ""
    where = f"{row['network']} on {row['dataset']}, seed {row['seed']}"
    return f"{row['status']}: {row['label']}{density}, {where} (trial {row['trial_id']}){reason}"
