"""A report's model: cells of trials, tasks of cells, and the report of tasks."""

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from switchbench.reports.controls import DENSE
from switchbench.reports.statistics.contrasts import Contrast, Paired
from switchbench.reports.statistics.seeds import Numbers
from switchbench.reports.statistics.summary import Summary, summarise
from switchbench.row import MATCHED, tolerance

TASK = ["network", "dataset", "scope"]
"""Columns that define a task."""
ACCURACY = "test_accuracy"
LATENCY = "latency"
"""Column that the table of results has if networks were timed: seconds per image."""


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
    guessing: int = 0
    """Number of measured seeds in which the network classifies no better than guessing."""

    @property
    def takes_target(self) -> bool:
        """Whether the method was given a target density."""
        return not math.isnan(self.target)

    @property
    def missed(self) -> bool:
        """Whether the density that was reached is not the target."""
        return self.takes_target and abs(self.means["density"] / self.target - 1) > self._nearest

    @property
    def denser(self) -> bool:
        """Whether the method ended denser than its target: then it is not compared at that target."""
        matched = not math.isnan(self.means.get("calibration", math.nan))
        return self.takes_target and self.means["density"] / self.target - 1 > (
            max(MATCHED, self._nearest) if matched else self._nearest
        )

    @property
    def _nearest(self) -> float:
        """Relative distance within which the target is met."""
        return tolerance(self.target, self.means.get("weights", math.nan))

    @property
    def compared(self) -> tuple[Numbers, Numbers]:
        """Seeds and accuracies that are compared with those of other methods: none where it is denser."""
        return (self.seeds[:0], self.accuracies[:0]) if self.denser else (self.seeds, self.accuracies)

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
        return {name: mean(values) for name, values in self.values.items()}


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
    def key(self) -> tuple[str, str, str]:
        """Network, data set and scope."""
        return self.network, self.dataset, self.scope

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
    """Lines on the planned trials without a measurement, and on targets that a method does not reach."""
    unmeasured: int = 0
    """Number of these trials and targets."""
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


def mean(values: Numbers) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    missing = np.isnan(values)
    count = len(values) - int(missing.sum())
    return float(np.where(missing, 0, values).sum() / count) if count else math.nan
