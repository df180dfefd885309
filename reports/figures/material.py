"""What figures show beyond the cells of a report, as arrays: what the process that draws is sent."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from switchbench.reports.analyses.trainings import Training, trainings
from switchbench.reports.cells import Report
from switchbench.reports.sources import Arrays, Sources, TaskKey


@dataclass(frozen=True)
class Material:
    """What is shown beyond the cells; all by task, and all of it may be missing."""

    trainings: Mapping[TaskKey, Mapping[str, Training]] = field(default_factory=dict)
    """For each label, its trainings at the lowest density."""
    masks: Mapping[TaskKey, Arrays] = field(default_factory=dict)
    """As in :class:`Sources`."""
    weights: Mapping[TaskKey, Mapping[str, Arrays]] = field(default_factory=dict)
    """As in :class:`Sources`."""


NOTHING = Material()


def material(report: Report, sources: Sources) -> Material:
    """Return what the figures of a report need of its sources."""
    trials, curves = sources.trials, sources.curves
    if trials is None or curves is None:
        return Material(masks=sources.masks, weights=sources.weights)
    found = {
        task.key: trainings(task, trials, curves, min(task.densities, default=math.nan))
        for task in report.tasks
    }
    return Material(found, sources.masks, sources.weights)
