"""Methods over all tasks: ranks and their tests, win rates, interquartile means, performance profiles.

A *block* is a task at a target density. Blocks of one task share their networks' starts and images, so tests
take tasks as their units, and blocks serve descriptions only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from switchbench.reports.analyses.curves import area, areas
from switchbench.reports.cells import Report, Task
from switchbench.reports.controls import MAGNITUDE
from switchbench.reports.memory import remembered
from switchbench.reports.statistics.pairwise import pairwise
from switchbench.reports.statistics.ranking import RankTests, rank_tests
from switchbench.reports.statistics.seeds import Numbers, by_seed, common
from switchbench.reports.statistics.summary import ROUNDING, Summary, summarise

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
        """By label: share of blocks and other methods in which its mean accuracy is higher; ties are half.

        Two methods are compared on the seeds that both have. Where they have none in common, they are not.
        """
        if len(self.labels) < 2 or not self.blocks:
            return {}
        differences = np.array(self._differences)
        others = ~np.isnan(differences) & ~np.eye(len(self.labels), dtype=bool)
        wins = (differences > ROUNDING) + 0.5 * (abs(differences) <= ROUNDING)
        with np.errstate(invalid="ignore"):  # a method that is compared with no other has no rate
            rates = (wins * others).sum(axis=(0, 2)) / others.sum(axis=(0, 2))
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
        """By label: number of blocks in which no mean accuracy is higher, on the seeds that pairs share."""
        if not self.blocks:
            return {}
        best = [~(each < -ROUNDING).any(axis=1) for each in self._differences]
        return dict(zip(self.labels, np.sum(best, axis=0).tolist(), strict=True))

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
                "Not measured at every density of every task, or denser than asked there, so left out of "
                "statements over tasks: " + ", ".join(self.left_out)
            )
        if self.labels and len(self._seeds) < 2:
            lines.append(
                "Intervals over all tasks need two seeds that every method has in every task. Add seeds to "
                "the spec."
            )
        if not self.relative and self.labels:
            lines.append("Differences from the dense control need the method dense in every task.")
        return lines

    @cached_property
    def _differences(self) -> list[Numbers]:
        """Mean differences between all pairs of methods, by block."""
        found = []
        for task, density in self.blocks:
            cells = [task.cells[label, density] for label in self.labels]
            found.append(pairwise(by_seed([(cell.seeds, cell.accuracies) for cell in cells])).means)
        return found

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
    tasks = [task for task in report.whole.tasks if task.densities and task.measured]
    blocks = [(task, density) for task in tasks for density in task.densities]
    labels = list(dict.fromkeys(label for task in tasks for label in task.with_targets()))
    complete = [label for label in labels if all(_measured(task, label, density) for task, density in blocks)]
    magnitude = [label for task in tasks for label in task.labels_of(MAGNITUDE) if label in complete]
    return Across(
        tasks=tasks,
        labels=complete,
        left_out=[label for label in labels if label not in complete],
        blocks=blocks if complete else [],
        baseline=magnitude[0] if magnitude else None,
        relative=bool(tasks) and all(task.control for task in tasks),
    )


def _measured(task: Task, label: str, density: float) -> bool:
    cell = task.cells.get((label, density))
    return cell is not None and cell.accuracy.n > 0 and not cell.denser


def _dense(task: Task) -> tuple[Numbers, Numbers]:
    cell = task.control
    return (cell.seeds, cell.accuracies) if cell else (np.empty(0, int), np.empty(0))


def _task_scores(task: Task, labels: Sequence[str]) -> list[float]:
    """Return each method's score: its area; of its means, if no seed was measured at all densities."""
    found = areas(task)
    logs = np.log(task.densities)
    scores = []
    for label in labels:
        means = np.array([[task.cells[label, density].accuracy.mean for density in task.densities]])
        if label in found:
            scores.append(found[label].mean)
        else:
            scores.append(float(area(logs, means)[0]) if len(logs) > 1 else float(means[0, 0]))
    return scores


def _middle_half(scores: Numbers) -> Numbers:
    """Return the interquartile mean of each row. Values across a quartile count with the share inside."""
    ends = np.linspace(0, 1, scores.shape[1] + 1)
    weights = np.clip(np.minimum(ends[1:], 0.75) - np.maximum(ends[:-1], 0.25), 0, None)
    middle: Numbers = np.sort(scores, axis=1) @ weights / weights.sum()
    return middle
