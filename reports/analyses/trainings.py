"""Trainings over their steps: validation accuracy and density, as means over seeds and seed by seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from switchbench.reports.cells import Task
from switchbench.reports.statistics.seeds import Numbers
from switchbench.row import Status

if TYPE_CHECKING:
    import pandas as pd  # the process that draws figures does not wait for its import

VALUES = ("val_accuracy", "density")
MOST_SEEDS = 5
"""Seeds of a method that are kept one by one."""


@dataclass(frozen=True)
class Training:
    """The trainings of one method at one density; accuracy in %."""

    steps: Numbers
    means: Mapping[str, Numbers]
    """For each of :data:`VALUES`, the mean over seeds at each step."""
    seeds: Mapping[str, list[Numbers]]
    """For each of :data:`VALUES`, the points (step, value) of the first seeds, one array per seed."""


def trainings(
    task: Task, trials: "pd.DataFrame", curves: "pd.DataFrame", density: float
) -> dict[str, Training]:
    """Return the trainings of a task at a density.

    Args:
        task: The task.
        trials: The ledger's table.
        curves: One row per trial and epoch, with the columns trial_id, step, val_accuracy and density.
        density: Target density; methods without a target belong to each.

    Returns:
        The trainings by label, in the order of the task's methods.
    """
    points = _points(task, trials, curves, density)
    own = {str(label): rows for label, rows in points.groupby("label")}
    return {label: _training(own[label]) for label in task.labels if label in own}


def _points(task: Task, trials: "pd.DataFrame", curves: "pd.DataFrame", density: float) -> "pd.DataFrame":
    """Return the points of the trials at a density, with label and seed; accuracy in %."""
    target = trials["target_density"]
    chosen = trials[
        (trials["network"] == task.network)
        & (trials["dataset"] == task.dataset)
        & (trials["scope"] == task.scope)
        & (trials["status"] == Status.OK)
        & (target.isna() | (target == density))
    ]
    known = curves.reindex(columns=["trial_id", "step", *VALUES])  # those of older versions may lack one
    points = known.merge(chosen[["trial_id", "label", "seed"]], on="trial_id")
    points = points.assign(val_accuracy=100 * points["val_accuracy"])
    return points.dropna(subset=["step", *VALUES]).sort_values("step")


def _training(points: "pd.DataFrame") -> Training:
    means = points.groupby("step")[[*VALUES]].mean()
    by_seed = [group for _, group in points.groupby("seed")][:MOST_SEEDS]
    return Training(
        means.index.to_numpy(dtype=float),
        {name: means[name].to_numpy(dtype=float) for name in VALUES},
        {name: [np.asarray(each[["step", name]], dtype=float) for each in by_seed] for name in VALUES},
    )
