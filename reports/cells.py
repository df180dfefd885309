"""Group rows of trials into cells: one cell per task, method and target density."""

import json
import math
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from switchbench.reports.controls import DENSE
from switchbench.reports.statistics.contrasts import Contrast, Pair, Paired, contrasts
from switchbench.reports.statistics.paired import MARGIN
from switchbench.reports.statistics.summary import Summary, summarise
from switchbench.row import Status, used_as

TASK = ["network", "dataset", "scope"]
"""Columns that define a task."""
PROBLEM = [*TASK, "status", "label", "target_density", "seed", "trial_id", "error"]
"""Columns that the line about an unmeasured trial shows."""
ACCURACY = "test_accuracy"
LATENCY = "latency"
"""Column that the table of results has if networks were timed: seconds per image."""
MISSED = 0.01
"""Relative distance from the target density above which the target counts as missed."""

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Cell:
    """All seeds of one method at one target density on one task."""

    label: str
    target: float
    """Target density; NaN if the method takes none."""
    planned: int
    """Number of seeds planned."""
    seeds: Numbers
    """The measured seeds, ascending."""
    values: dict[str, Numbers]
    """Test accuracy (a share) and the ledger's other numeric columns, one value per measured seed."""
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

    @property
    def missed(self) -> bool:
        """Whether the density that was reached is not the target."""
        return self.takes_target and abs(self.means["density"] / self.target - 1) > MISSED

    @property
    def denser(self) -> bool:
        """Whether the method ended denser than its target: then it is not compared at that target."""
        return self.missed and self.means["density"] > self.target

    @property
    def accuracies(self) -> Numbers:
        """Test accuracy of each measured seed, as a share."""
        return self.values[ACCURACY]

    @cached_property
    def accuracy(self) -> Summary:
        """Test accuracy over the seeds, as a share."""
        return summarise(self.accuracies)

    @cached_property
    def means(self) -> dict[str, float]:
        """Means of the numeric columns over the measured seeds; NaN if no seed has a value."""
        return {name: _mean(values) for name, values in self.values.items()}


@dataclass(frozen=True)
class Task:
    """One network on one data set in one scope."""

    network: str
    dataset: str
    scope: str
    paired: Paired
    """The accuracies by seed, of all methods and densities."""
    labels: list[str]
    """Labels of the methods that are shown, in the order of the plan."""
    densities: list[float]
    """Target densities that are shown, from high to low."""
    cells: dict[tuple[str, float | None], Cell]
    """By label and target density (None: no target)."""
    contrasts: list[Contrast]
    """Differences between methods and their controls, and between requested pairs."""
    margin: float
    """Differences smaller than this, as shares, count as equal."""
    started: bool
    """Whether methods started from a trained dense network."""
    unfiltered: "Task | None" = None
    """The task with all its methods and densities, if this one shows some of them."""
    memory: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Results of analyses."""

    @property
    def whole(self) -> "Task":
        """The task with all its methods and densities: what is shown does not change what is found."""
        return self.unfiltered or self

    @property
    def control(self) -> Cell | None:
        """The measurements of the dense control, shown or not; None if there are none."""
        label = self.whole.label_of(DENSE)
        cell = self.whole.cells.get((label, None)) if label else None
        return cell if cell and cell.accuracy.n else None

    @property
    def title(self) -> str:
        """The task as a heading."""
        return f"{self.network} on {self.dataset}, scope {self.scope}"

    @property
    def measured(self) -> list[Cell]:
        """The cells that have a measurement, by label and from the highest density to the lowest."""
        return [cell for key in self.shown() if (cell := self.cells[key]).accuracy.n]

    def label_of(self, method: str) -> str | None:
        """Return the first label of a method; None if it is not shown."""
        return next(iter(self.labels_of(method)), None)

    def labels_of(self, method: str) -> list[str]:
        """Return the labels of a method that are shown: its entries may differ in options."""
        return [label for label in self.labels if self.paired.methods[label] == method]

    def only(self, labels: Collection[str], densities: Collection[float]) -> "Task":
        """Return the task with some of its methods and densities; empty: all.

        Tests stay corrected for all differences of the task, whichever are shown.
        """
        at = [density for density in self.densities if not densities or density in densities]
        cells = {
            (label, density): cell
            for (label, density), cell in self.cells.items()
            if (not labels or label in labels) and (density is None or density in at)
        }
        kept = [label for label in self.labels if any((label, density) in cells for density in (None, *at))]
        return replace(
            self,
            labels=kept,
            densities=at,
            cells=cells,
            unfiltered=self.whole,
            contrasts=[
                contrast.only(at)
                for contrast in self.contrasts
                if {contrast.label, contrast.against} <= {*kept}
            ],
        )

    def cell(self, label: str, density: float) -> Cell | None:
        """Return a method's measurements at a target density, or its only ones if it takes no target."""
        return self.cells.get((label, density)) or self.cells.get((label, None))

    def differences(self, label: str, against: str, density: float) -> Numbers:
        """Return a method's accuracies minus another's at a density, for the seeds that both have.

        A method that takes no target is compared at all densities.
        """
        return self.paired.differences(label, against, density)

    def shown(self) -> list[tuple[str, float | None]]:
        """Return the keys of the cells, by label and from the highest density to the lowest."""
        keys = [(label, density) for label in self.labels for density in (None, *self.densities)]
        return [key for key in keys if key in self.cells]

    def with_targets(self) -> list[str]:
        """Return the labels of the methods that take a target density."""
        return [label for label in self.labels if (label, None) not in self.cells]


@dataclass(frozen=True)
class Report:
    """Everything that renderers show."""

    title: str
    tasks: list[Task]
    problems: list[str]
    """One line for each planned trial without a measurement."""
    unfiltered: "Report | None" = None
    """The report with all methods and densities, if this one shows some of them."""
    memory: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Results of analyses."""

    @property
    def whole(self) -> "Report":
        """The report with all methods and densities: what is shown does not change what is found."""
        return self.unfiltered or self

    @property
    def methods(self) -> list[str]:
        """Labels of all methods, also of those that are not shown: a method's style depends on its place."""
        return list(dict.fromkeys(label for task in self.whole.tasks for label in task.labels))

    def only(self, labels: Collection[str] = (), densities: Collection[float] = ()) -> "Report":
        """Return the report with some of its methods and densities; empty: all."""
        if not labels and not densities:
            return self
        tasks = [task.only(labels, densities) for task in self.tasks]
        return replace(self, tasks=[task for task in tasks if task.labels], unfiltered=self.whole)


def build(results: pd.DataFrame, title: str, pairs: Sequence[Pair] = (), margin: float = MARGIN) -> Report:
    """Group the ledger's table into tasks and cells, in the order of the plan.

    Args:
        results: The ledger's table, one row per planned trial.
        title: Heading of the report.
        pairs: Pairs of labels whose difference is shown beside methods and their controls.
        margin: Differences of accuracy that are smaller, as shares, count as equal.

    Returns:
        The report; ``tables`` makes its tables, ``formats`` writes them.
    """
    read = results.drop(columns=["config", "versions"], errors="ignore")  # long, and not in any table
    tasks = [_task(rows, pairs, margin) for _, rows in read.groupby(TASK, sort=False)]
    unmeasured = results.loc[~_measured(results), PROBLEM]
    problems = [_problem(row) for row in unmeasured.to_dict("records")]
    return Report(title, tasks, problems)


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
    paired = Paired(
        methods, control_of, densities, {key: (c.seeds, c.accuracies) for key, c in cells.items()}
    )
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
            layers={name: _mean(values) for name, values in by_layer.items()},
            emptied={name: zeros for name, values in by_layer.items() if (zeros := int((values == 0).sum()))},
            idle=next((reason for reason in idle[measured] if isinstance(reason, str)), None),
            flops=_mean(flops[measured]),
        )
        yield (label, None if math.isnan(target) else target), cell


def _groups(rows: pd.DataFrame) -> list[Numbers]:
    """Return the positions of the rows of each cell, in the order of the plan."""
    number = rows.groupby(["label", "target_density"], sort=False, dropna=False).ngroup().to_numpy()
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


def _numbers(column: "pd.Series[Any]") -> Numbers:
    return column.to_numpy(dtype=float, na_value=math.nan)


def _mean(values: Numbers) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    missing = np.isnan(values)
    count = len(values) - int(missing.sum())
    return float(np.where(missing, 0, values).sum() / count) if count else math.nan


def _ratios(rows: pd.DataFrame, unit: str) -> Numbers:
    """Return each trial's training cost over its cost without what the method adds."""
    total = _numbers(rows[f"train_{unit}"])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Numbers = total / (total - _numbers(rows[f"method_{unit}"]))
    return ratios


def _by_layer(stored: Iterable[Any]) -> dict[str, Numbers]:
    """Return the known densities of each layer. Each entry is one trial's densities as JSON, or missing."""
    densities: dict[str, list[float]] = {}
    for text in stored:
        for name, density in json.loads(text).items() if isinstance(text, str) else ():
            if isinstance(density, int | float) and not isinstance(density, bool):
                densities.setdefault(name, []).append(density)
    return {name: np.array(values, dtype=float) for name, values in densities.items()}


def _problem(row: dict[Hashable, Any]) -> str:
    target = row["target_density"]
    density = "" if math.isnan(target) else f" at density {target:g}"
    reason = f": {row['error']}" if isinstance(row["error"], str) else ""
    where = f"{row['network']} on {row['dataset']}, scope {row['scope']}, seed {row['seed']}"
    return f"{row['status']}: {row['label']}{density}, {where} (trial {row['trial_id']}){reason}"
