"""The best methods of many comparisons, by task and target density."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from switchbench.reports.analyses.best import Best, best_by_density
from switchbench.reports.cells import TASK, Task
from switchbench.reports.grouping import build
from switchbench.reports.meanings import WithoutInert
from switchbench.reports.names import consistent
from switchbench.reports.statistics.summary import Summary
from switchbench.reports.tables.sections import Section, folder_name
from switchbench.reports.tables.table import Entry, Number, Table

CAPTION = (
    "The most accurate method of each comparison at each target density: mean test accuracy in % ± "
    "half-width of the 95 % confidence interval (Student's t) over n seeds, and the methods that are not "
    "significantly different from it there. Bold: the highest mean of all comparisons. Comparisons "
    "differ in training, which bounds what any method can reach: compare methods within one "
    "comparison. Methods of one seed are left out."
)
COMPARISONS_CAPTION = "The comparisons, with what each trial was trained for."
FEWEST_SEEDS = 2
"""The best of fewer seeds is the luckiest: it is no leader."""
NAMED = 4
"""Most methods that a row names as not significantly different."""


@dataclass(frozen=True)
class Comparison:
    """One comparison of a leaderboard."""

    name: str
    results: pd.DataFrame
    """The ledger's table."""
    page: str = ""
    """Relative address of its page; empty: it has none."""


def leaderboard(comparisons: Sequence[Comparison], without_inert: WithoutInert = dict) -> list[Section]:
    """Return the leaderboard.

    Args:
        comparisons: The comparisons. Tasks of the same network, data set and scope are put together; if one
            name stands for two networks or data sets, the second gets the name of its comparison.
        without_inert: Returns parts of a config without the settings that change nothing.

    Returns:
        A section of all comparisons, and one for each task, with a row per density and comparison.
    """
    by_task: dict[tuple[str, str, str], list[tuple[Comparison, Task]]] = {}
    names = consistent(
        [(each.name, each.results) for each in comparisons],
        ("network", "dataset"),
        with_recipe=False,  # comparisons of different training stand beside each other
        without_inert=without_inert,
    )
    for comparison, results in zip(comparisons, names.tables, strict=True):
        for task in build(results, comparison.name).tasks:
            by_task.setdefault(task.key, []).append((comparison, task))
    found = {key: _leaders(shared) for key, shared in by_task.items()}
    sections = [
        Section(by_task[key][0][1].title, folder_name(key), [_table(leaders)])
        for key, leaders in found.items()
    ]
    leading = {leader.comparison for leaders in found.values() for leader in leaders}
    said = [*(f"{line}: kept apart" for line in names.apart), *(f"{line}: one task" for line in names.same)]
    notes = [*said, *(_without_leader(each) for each in comparisons if each.name not in leading)]
    return [
        Section("Comparisons", "comparisons", [_comparisons(comparisons, notes)]),
        *(section for section in sections if section.tables[0].rows),
    ]


def _without_leader(comparison: Comparison) -> str:
    return (
        f"{comparison.name}: in no table below, as no density of a task has two methods that can be compared "
        f"there, with {FEWEST_SEEDS} or more seeds each"
    )


@dataclass(frozen=True)
class _Leader:
    """The best method of a comparison at a target density of a task."""

    density: float
    best: Best
    accuracy: Summary
    comparison: str


def _leaders(shared: Sequence[tuple[Comparison, Task]]) -> list[_Leader]:
    """Return the best of each comparison of a task, by density from high to low, the most accurate first."""
    leaders = []
    for comparison, task in shared:
        for density in task.densities:
            best = best_by_density(task, density)  # of methods of several seeds, if there are any
            if best and (accuracy := task.cells[best.label, density].accuracy).n >= FEWEST_SEEDS:
                leaders.append(_Leader(density, best, accuracy, comparison.name))
    return sorted(leaders, key=lambda leader: (-leader.density, -leader.accuracy.mean))


def _table(leaders: Sequence[_Leader]) -> Table:
    header = ["density", "method", "accuracy", "n", "not significantly different", "comparison"]
    rows: list[list[Entry]] = []
    highest = {leader.density: leader.accuracy.mean for leader in reversed(leaders)}
    for leader in leaders:
        accuracy, tied = leader.accuracy, sorted(leader.best.not_worse)
        best = accuracy.mean == highest[leader.density]
        more = f" and {len(tied) - NAMED} more" if len(tied) > NAMED else ""
        rows.append(
            [
                Number(leader.density, significant=6),
                leader.best.label,
                Number(100 * accuracy.mean, 100 * accuracy.interval, best=best),
                Number(accuracy.n, digits=0),
                ", ".join(tied[:NAMED]) + more,
                leader.comparison,
            ]
        )
    return Table("leaders", CAPTION, header, rows, keys=2)


def _comparisons(comparisons: Sequence[Comparison], notes: Sequence[str]) -> Table:
    header = ["comparison", "tasks", "methods", "densities", "seeds", "trials", "training"]
    rows: list[list[Entry]] = [
        [
            comparison.name,
            Number(len(comparison.results[TASK].drop_duplicates()), digits=0),
            *(
                Number(comparison.results[column].nunique(), digits=0)
                for column in ("label", "target_density", "seed", "trial_id")
            ),
            _training(comparison.results),
        ]
        for comparison in comparisons
    ]
    return Table("comparisons", COMPARISONS_CAPTION, header, rows, notes)


def _training(results: pd.DataFrame) -> str:
    """Return the training of the first trial that has a config, in a few words."""
    config = next((text for text in results["config"] if isinstance(text, str)), None)
    training = json.loads(config).get("training", {}) if config else {}
    length = f"{training['epochs']} epochs" if training.get("epochs") else ""
    length = f"{training['steps']} steps" if training.get("steps") else length
    parts = [
        length,
        str(training.get("optimizer", "")),
        f"lr {training['lr']:g}" if training.get("lr") else "",
    ]
    return ", ".join(part for part in parts if part)
