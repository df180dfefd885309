"""Good practice, checked by program: Blalock et al. 2020 (What is the State of Neural Network Pruning?), and
this project's rules of fair measurement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from switchbench.reports.cells import Cell, Report, Task
from switchbench.reports.controls import DENSE, MAGNITUDE, RANDOM
from switchbench.reports.memory import remembered
from switchbench.words import plural

PAIRS, POINTS, SEEDS = 3, 5, 3
"""Fewest pairs of network and data set, target densities, and seeds."""


@dataclass(frozen=True)
class Check:
    """One recommendation."""

    name: str
    met: bool
    why: str
    """What was found."""
    spec_change: str = ""
    """What to change in the spec; empty if it is met."""


@remembered
def checklist(report: Report) -> list[Check]:
    """Check a report against the recommendations.

    Args:
        report: The report: all its methods and densities count, shown or not.

    Returns:
        One entry per recommendation, in the order of :data:`CHECKS`; none if nothing was planned.
    """
    report = report.whole
    return [check(report) for check in CHECKS] if report.tasks else []


def _pairs(report: Report) -> Check:
    pairs = {(task.network, task.dataset) for task in report.tasks}
    return _check(
        f"{PAIRS} or more pairs of network and data set",
        len(pairs) >= PAIRS,
        plural(len(pairs), "pair"),
        f"networks and datasets: at least {PAIRS} pairs in all",
    )


def _points(report: Report) -> Check:
    fewest = min(len(task.densities) for task in report.tasks)
    return _check(
        f"{POINTS} or more target densities",
        fewest >= POINTS,
        plural(fewest, "density", "densities"),
        f"densities: at least {POINTS}, such as [0.2, 0.1, 0.05, 0.02, 0.01]",
    )


def _compression_and_speedup(report: Report) -> Check:
    cells = _measured(report)
    lacking = [cell.label for cell in cells if np.isnan([cell.means["density"], cell.means["macs"]]).any()]
    return _check(
        "compression and theoretical speedup, both counted from the finished network",
        not lacking and bool(cells),
        "densities and MACs of every result" if not lacking else f"missing for {_some(lacking)}",
        "run those trials anew: rows of older versions have no MACs",
    )


def _top_five(report: Report) -> Check:
    lacking = [cell.label for cell in _measured(report) if np.isnan(cell.values["test_top5"]).any()]
    return _check(
        "top-1 and top-5 accuracy",
        not lacking and bool(_measured(report)),
        "both for every result" if not lacking else f"top-5 is missing for {_some(lacking)}",
        "run those trials anew: rows of older versions have no top-5 accuracy",
    )


def _seeds(report: Report) -> Check:
    fewest = min((cell.accuracy.n for cell in _measured(report)), default=0)
    return _check(
        f"spread over {SEEDS} or more seeds",
        fewest >= SEEDS,
        f"{plural(fewest, 'seed')} at least",
        f"seeds: {SEEDS} or more",
    )


def _has(method: str, name: str) -> Callable[[Report], Check]:
    def check(report: Report) -> Check:
        without = [task.title for task in report.tasks if not _is_measured_everywhere(task, method)]
        return _check(
            name,
            not without,
            "measured in every task" if not without else f"missing on {_some(without)}",
            f"methods: add {method}" + ("" if method == DENSE else ", at all densities"),
        )

    return check


def _same_starts(report: Report) -> Check:
    apart = []
    for task in report.tasks:
        seeds = [cell.seeds for cell in task.measured]
        if seeds and any(not np.array_equal(each, seeds[0]) for each in seeds[1:]):
            apart.append(task.title)
    return _check(
        "the same seeds for all methods, so that initial weights and batches are the same",
        not apart and bool(_measured(report)),
        "one set of seeds in every task" if not apart else f"seeds differ on {_some(apart)}",
        "seeds: the same for all; run what is missing",
    )


def _nothing_missing(report: Report) -> Check:
    return _check(
        "every planned trial was measured",
        not report.unmeasured,
        "all" if not report.unmeasured else f"{plural(report.unmeasured, 'trial')} without a measurement",
        "run again with --retry-failed, or leave out methods that are skipped",
    )


CHECKS: tuple[Callable[[Report], Check], ...] = (
    _pairs,
    _points,
    _compression_and_speedup,
    _top_five,
    _seeds,
    _has(RANDOM, "random pruning as the lowest bar"),
    _has(MAGNITUDE, "magnitude pruning as the baseline"),
    _has(DENSE, "a dense control under the same budget, and differences from it"),
    _same_starts,
    _nothing_missing,
)
"""The recommendations."""


def _check(name: str, met: bool, why: str, spec_change: str) -> Check:
    return Check(name, met, why, "" if met else spec_change)


def _measured(report: Report) -> list[Cell]:
    return [cell for task in report.tasks for cell in task.measured]


def _is_measured_everywhere(task: Task, method: str) -> bool:
    """Tell whether a method is measured at every density of a task, or without a target."""
    labels = task.labels_of(method)
    own = [cell for cell in task.measured if cell.label in labels]
    return any(not cell.takes_target for cell in own) or 0 < len(task.densities) == len(
        {cell.target for cell in own}
    )


def _some(names: Sequence[str]) -> str:
    distinct = [*dict.fromkeys(names)]
    more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return ", ".join(distinct[:3]) + more
