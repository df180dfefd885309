"""The source of a search's points: the study of the method with the largest share of its budget left."""

import json
import math
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from operator import methodcaller
from statistics import fmean
from typing import Any

import torch
from optuna.trial import FrozenTrial

from switchbench.cluster.points import Point
from switchbench.errors import InputError
from switchbench.methods.parts.paths import Paths
from switchbench.observe.observer import notify
from switchbench.observe.terminal import PointDisplay
from switchbench.reports.search.tables import in_words
from switchbench.row import PointState, Row, Status
from switchbench.spec.trial import TrialConfig
from switchbench.trial.estimate import rounds
from switchbench.tuning.plan import SearchPlan
from switchbench.tuning.pruning import PointPruner
from switchbench.tuning.study import Outcome, Study
from switchbench.tuning.values import Values

MAX_INVALID = 1_000
"""Largest number of consecutive invalid points; then the search stops with an error."""


class StudySource:
    """Takes points from the studies while their budgets last, and reports the results to the studies."""

    def __init__(self, planned: SearchPlan, studies: dict[str, Study], display: PointDisplay) -> None:
        """Estimate the steps of a point.

        Args:
            planned: The search.
            studies: The study of each method, by label.
            display: Shows the result of each point.
        """
        self.planned, self.studies, self.display = planned, studies, display
        self.consecutive_invalid = 0
        """Invalid points since the last valid one."""
        self.withdrawn = 0
        """Number of all invalid points."""
        self.expected_steps = {label: planned.steps_of_point(label) for label in studies}
        """Gradient steps of a point, by label, estimated before it runs."""
        minutes = planned.config.minutes
        self.deadline = time.monotonic() + 60 * minutes if minutes else math.inf
        """After it no new point starts."""
        self.pending: Point | None = None
        """A point that :meth:`ask` returns next. Its caller has asked for it before and put it back."""

    def ask(self) -> Point | None:
        """Return the next point; None if no budget is left.

        Points of drivers that are gone come first. Otherwise it is a new point of the method with the largest
        share of its budget left.

        Raises:
            InputError: Too many points in a row are invalid.
        """
        if self.pending:
            point, self.pending = self.pending, None
            return point
        for label, study in self.studies.items():
            if (reclaimed := study.reclaim()) and (reclaimed_point := self._point(label, *reclaimed)):
                return reclaimed_point
        if time.monotonic() > self.deadline:
            return None
        while shares := {label: share for label in self.studies if (share := self._share_left(label)) > 0}:
            label = max(shares, key=lambda label: shares[label])
            study = self.studies[label]
            number, values = study.ask()
            if not self._share_after(label, [trial for trial in study.trials() if trial.number < number]):
                study.withdraw(number, "another driver took what was left of the budget")
            elif new_point := self._point(label, number, values):
                return new_point
        return None

    def queue_fills_budget(self, label: str) -> bool:
        """Return whether points wait in a method's queue that leave no budget for others."""
        study = self.studies[label]
        queue = study.queue()
        return bool(queue) and not self._share_after(label, [*study.trials(), *queue])

    def tell(self, point: Point, rows: list[Row]) -> None:
        """Report the result of a point to its study and to the display.

        Args:
            point: A point from :meth:`ask`.
            rows: The rows of its trials, at least one. After a row without a measurement, none follow.
        """
        outcome, study = self._outcome(point, rows), self.studies[point.study]
        study.tell(point.number, outcome)
        names = self.planned.config.objectives
        best = study.best(1) if len(names) == 1 else []
        result = in_words(names, outcome.values) or outcome.attributes.get("error", "")
        result += " (off the target density)" if outcome.infeasibility > 0 else ""
        result += " (the network is dead or guesses)" if outcome.collapsed else ""
        best_result = in_words(names, best[0].values) if best else ""
        told = methodcaller("point_finished", point.study, point.number, result, best_result)
        notify([self.display], told)

    def _point(self, label: str, number: int, values: Values) -> Point | None:
        """Return the point. If it is a copy or invalid, withdraw it at no cost and return None."""
        planned, study = self.planned, self.studies[label]
        if (same := study.repeats(number)) is not None:
            study.withdraw(number, f"the same as point {same}")
            return None
        try:
            trials = planned.trials(label, number, values)
        except InputError as error:
            study.withdraw(number, str(error))
            self.consecutive_invalid, self.withdrawn = self.consecutive_invalid + 1, self.withdrawn + 1
            if self.consecutive_invalid > MAX_INVALID:
                count = f"more than {MAX_INVALID:,} points in a row are invalid"
                raise InputError(f"search.space: {count}; the last: {error}") from error
            return None
        self.consecutive_invalid = 0
        pruner = None
        if planned.config.pruner != "none":
            lengths = planned.epochs, rounds(trials[0])
            allowed = planned.densities(label)
            pruner = PointPruner(study.storage, study.name, number, planned.config, *lengths, allowed)
        return Point(label, number, trials, pruner)

    def _share_left(self, label: str) -> float:
        """Return the share of a method's budget that is neither spent nor in use; 0 if no point fits."""
        study = self.studies[label]
        return 0 if study.exhausted else self._share_after(label, study.trials())

    def _share_after(self, label: str, trials: Sequence[FrozenTrial]) -> float:
        """Return the share of a method's budget that is left after these points; 0 if no point fits."""
        planned = self.planned
        steps = [int(trial.user_attrs["steps"]) for trial in trials if "steps" in trial.user_attrs]
        expected = max([self.expected_steps[label], *steps])
        spent = sum(steps) + expected * (len(trials) - len(steps))
        if spent + expected > planned.budget_steps or len(trials) >= (planned.config.points or sys.maxsize):
            return 0
        return 1 - spent / planned.budget_steps

    def _outcome(self, point: Point, rows: list[Row]) -> Outcome:
        """Return the means over the seeds, or why there are none."""
        planned = self.planned
        config = planned.config
        expected = self.expected_steps[point.study] // len(config.seeds)
        attributes: dict[str, Any] = {
            "trials": [trial.trial_id for trial in point.trials],
            "steps": sum(expected if row.steps is None else row.steps for row in rows),
        }
        last = rows[-1]
        if last.status != Status.VALIDATED:
            state = PointState.PRUNED if last.status == Status.PRUNED else PointState.FAILED
            return Outcome(state, attributes=attributes | {"error": f"{last.status}: {last.error}"})
        means = {
            name: fmean(math.nan if row[name] is None else row[name] for row in rows)
            for name in {*config.objectives, "density", "val_accuracy"}
        }
        attributes |= {"density": means["density"], "val_accuracy": means["val_accuracy"]}
        missing = [name for name in config.objectives if math.isnan(means[name])]
        if missing:
            error = f"no value of {', '.join(missing)}"
            return Outcome(PointState.FAILED, attributes=attributes | {"error": error})
        values = [means[name] for name in config.objectives]
        infeasibility = planned.infeasibility(means["density"], point.study)
        collapsed = max(_cutting_layers(point.trials[0], row) or int(row.guesses) for row in rows)
        return Outcome(PointState.COMPLETE, values, infeasibility, collapsed, attributes)


def _cutting_layers(trial: TrialConfig, row: Row) -> int:
    """Return the number of layers without connections if they make the network dead, else 0.

    A network is dead if no path leads around these layers from its input to its output, which is then a
    constant. The row says which layers are empty, and the trial's network how they are connected: an empty
    branch of a residual network is bypassed, an empty layer of a chain is not. A layer that is not empty is
    taken as whole, so a network that is dead for a finer reason is not found. If the paths of a network
    cannot be followed, every empty layer in scope counts.

    Args:
        trial: Any trial of the point.
        row: The row of a trial of the point.
    """
    densities = json.loads(row.density_layers or "{}")
    empty = {name for name, density in densities.items() if density == 0}
    if not empty:
        return 0
    facts = trial.dataset.facts()
    with torch.random.fork_rng(devices=[]):
        network = trial.network.build(facts.shape, facts.classes)
    alive = None
    with suppress(Exception):  # a network of a plug-in may raise anything when its weights are replaced
        alive = Paths(network, torch.zeros(1, *facts.shape)).reach_the_output_without(empty)
    if alive is None:
        return len(empty & trial.scope.of(network).keys())
    return 0 if alive else len(empty)
