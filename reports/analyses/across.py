"""Methods over all tasks: ranks and their tests, win rates, interquartile means, performance profiles.

A *block* is a task at a target density. Blocks of one task share their networks' starts and images, so tests
take tasks as their units, and blocks serve descriptions only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from switchbench.reports.analyses.curves import areas
from switchbench.reports.cells import Numbers, Report, Task
from switchbench.reports.controls import DENSE, MAGNITUDE
from switchbench.reports.memory import remembered
from switchbench.reports.statistics.contrasts import common
from switchbench.reports.statistics.ranking import RankTests, rank_tests
from switchbench.reports.statistics.summary import Summary, summarise

FEWEST_TASKS = 2
"""Ranks over fewer tasks are no ranks over tasks."""
ENOUGH_TASKS = 6
"""With fewer, no Wilcoxon test can be significant at 5 %: its smallest p-value is 2 / 2**tasks."""


@dataclass(frozen=True)
class Across:
    """Methods that were measured in every block, and what can be said of them over all blocks."""

    tasks: list[Task]
    labels: list[str]
    """The methods, in the order of the plan."""
    left_out: list[str]
    """Methods with a target that were not measured in every block."""
    blocks: list[tuple[Task, float]]
    baseline: str | None
    """Label that others are compared with: magnitude pruning, if it is there."""
    relative: bool
    """Whether scores are differences from the dense control; if not, they are accuracies."""

    @cached_property
    def scores(self) -> dict[str, Numbers]:
        """By label: a score (a share) per seed (rows) and block (columns), for seeds that all blocks have."""
        common = self._seeds
        found = {}
        for label in self.labels:
            columns = []
            for task, density in self.blocks:
                cell = task.cells[label, density]
                values = cell.accuracies[np.searchsorted(cell.seeds, common)]
                columns.append(values - self._control(task, common) if self.relative else values)
            found[label] = np.stack(columns, axis=1) if columns else np.empty((len(common), 0))
        return found

    @cached_property
    def interquartile_means(self) -> dict[str, Summary]:
        """By label: mean score of the middle half of the blocks, computed per seed (Agarwal et al. 2021)."""
        return {
            label: summarise(_middle_half(scores)) for label, scores in self.scores.items() if len(scores)
        }

    @cached_property
    def win_rates(self) -> dict[str, float]:
        """By label: share of blocks and other methods in which its mean accuracy is higher; ties are half."""
        if len(self.labels) < 2 or not self.blocks:
            return {}
        means = self._block_means()
        below = np.stack(
            [(means < row).sum(axis=0) + 0.5 * ((means == row).sum(axis=0) - 1) for row in means]
        )
        rates = below.mean(axis=1) / (len(self.labels) - 1)
        return dict(zip(self.labels, rates.tolist(), strict=True))

    @cached_property
    def improvements(self) -> dict[str, Summary]:
        """By label: probability of being better than the baseline with the same seed; ties are half.

        The share of blocks is computed per seed, so that the interval counts seeds, not blocks.
        """
        if self.baseline not in self.labels:
            return {}
        base = self.scores[self.baseline]
        return {
            label: summarise(((scores > base) + 0.5 * (scores == base)).mean(axis=1))
            for label, scores in self.scores.items()
            if label != self.baseline and scores.size
        }

    @cached_property
    def best_blocks(self) -> dict[str, int]:
        """By label: number of blocks in which its mean accuracy is the highest; ties count for all."""
        if not self.labels or not self.blocks:
            return {}
        means = self._block_means()
        best = (means == means.max(axis=0)).sum(axis=1)
        return dict(zip(self.labels, best.tolist(), strict=True))

    @cached_property
    def task_scores(self) -> Numbers:
        """Score of each method (columns) on each task (rows): area under accuracy against log density."""
        return np.array([_task_scores(task, self.labels) for task in self.tasks])

    @cached_property
    def tests(self) -> RankTests | None:
        """Ranks over tasks and their tests; None with fewer than two tasks or two methods."""
        if len(self.tasks) < FEWEST_TASKS or len(self.labels) < 2:
            return None
        return rank_tests(self.task_scores)

    def profile(self, points: int = 200) -> tuple[Numbers, dict[str, Numbers]]:
        """Return performance profiles: the share of runs (seeds and blocks) that score at least τ.

        Args:
            points: Number of values of τ.

        Returns:
            The values of τ, rising, and the shares by label; both empty without scores.
        """
        known = {label: np.sort(scores.ravel()) for label, scores in self.scores.items() if scores.size}
        if not known:
            return np.empty(0), {}
        low, high = min(each[0] for each in known.values()), max(each[-1] for each in known.values())
        taus = np.linspace(low, high, points)
        return taus, {label: 1 - np.searchsorted(each, taus) / len(each) for label, each in known.items()}

    @cached_property
    def missing(self) -> list[str]:
        """What the data do not allow to say, and what would allow it."""
        lines = []
        if len(self.tasks) < FEWEST_TASKS:
            lines.append(
                "Ranks over tasks, Friedman's test and critical differences need at least two tasks; this "
                "comparison has one. Add networks or data sets to the spec."
            )
        elif len(self.tasks) < ENOUGH_TASKS:
            lines.append(
                f"Wilcoxon tests between methods cannot be significant with {len(self.tasks)} tasks: the "
                f"smallest p-value is {2.0 ** (1 - len(self.tasks)):g} before correction. Six or more tasks "
                "are needed."
            )
        if self.left_out:
            lines.append(
                "Not measured at every density of every task, so left out of statements over tasks: "
                + ", ".join(self.left_out)
            )
        if self.labels and len(self._seeds) < 2:
            lines.append(
                "Intervals over all tasks need two seeds that every method has in every task. Add seeds to "
                "the spec."
            )
        if not self.relative and self.labels:
            lines.append("Differences from the dense control need the method dense in every task.")
        return lines

    def _block_means(self) -> Numbers:
        return np.array(
            [
                [task.cells[label, density].accuracy.mean for task, density in self.blocks]
                for label in self.labels
            ]
        )

    @cached_property
    def _seeds(self) -> Numbers:
        seeds: Numbers | None = None
        for task, density in self.blocks:
            each = [task.cells[label, density].seeds for label in self.labels]
            each += [_dense(task)[0]] if self.relative else []
            for one in each:
                seeds = one if seeds is None else seeds[common(seeds, one)[0]]
        return np.empty(0, int) if seeds is None else seeds

    @staticmethod
    def _control(task: Task, seeds: Numbers) -> Numbers:
        own, accuracies = _dense(task)
        found: Numbers = accuracies[np.searchsorted(own, seeds)]
        return found


@remembered
def across(report: Report) -> Across:
    """Gather the methods that were measured in every block of a report.

    Args:
        report: The report. Tasks without target densities or measurements take no part.

    Returns:
        The analysis; its parts are computed when they are read.
    """
    tasks = [
        task
        for task in report.tasks
        if task.densities and any(cell.accuracy.n for cell in task.cells.values())
    ]
    blocks = [(task, density) for task in tasks for density in task.densities]
    labels = list(dict.fromkeys(label for task in tasks for label in task.with_targets()))
    complete = [label for label in labels if all(_measured(task, label, density) for task, density in blocks)]
    magnitude = next((label for task in tasks if (label := task.label_of(MAGNITUDE))), None)
    return Across(
        tasks=tasks,
        labels=complete,
        left_out=[label for label in labels if label not in complete],
        blocks=blocks if complete else [],
        baseline=magnitude if magnitude in complete else None,
        relative=bool(tasks) and all(len(_dense(task)[0]) for task in tasks),
    )


def _measured(task: Task, label: str, density: float) -> bool:
    cell = task.cells.get((label, density))
    return cell is not None and cell.accuracy.n > 0


def _dense(task: Task) -> tuple[Numbers, Numbers]:
    label = task.label_of(DENSE)
    cell = task.cells.get((label, None)) if label else None
    return (np.empty(0, int), np.empty(0)) if cell is None else (cell.seeds, cell.accuracies)


def _task_scores(task: Task, labels: Sequence[str]) -> list[float]:
    """Return each method's score: its area; with one density, or no seed at all densities, its mean."""
    found = areas(task)
    return [
        found[label].mean
        if label in found
        else float(np.mean([task.cells[label, density].accuracy.mean for density in task.densities]))
        for label in labels
    ]


def _middle_half(scores: Numbers) -> Numbers:
    """Return the mean of each row's middle half; of fewer than four values, the mean of all."""
    ordered = np.sort(scores, axis=1)
    cut = ordered.shape[1] // 4
    middle: Numbers = ordered[:, cut : ordered.shape[1] - cut].mean(axis=1)
    return middle
