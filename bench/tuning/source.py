"""Where a search's points come from: the study of the method that has most of its budget left."""

import math
import sys
from statistics import fmean
from typing import Any

from switchbench.cluster.points import Point
from switchbench.errors import InputError
from switchbench.observe.terminal import PointDisplay
from switchbench.reports.search import in_words
from switchbench.row import PointState, Row, Status
from switchbench.tuning.plan import SearchPlan
from switchbench.tuning.pruning import PointPruner
from switchbench.tuning.study import Outcome, Study
from switchbench.tuning.values import Values

INVALID = 1_000
"""Give up after this many consecutive invalid points."""


class StudySource:
    """Asks the studies in turn while their budgets last, and tells them what came of each point."""

    def __init__(self, planned: SearchPlan, studies: dict[str, Study], display: PointDisplay) -> None:
        self.planned, self.studies, self.display = planned, studies, display
        self.consecutive_invalid = 0
        """Points in a row whose values did not go together."""
        self.withdrawn = 0
        """All points whose values did not go together."""
        self.usual_steps = {label: planned.steps_of_point(label) for label in studies}
        """Steps of a point, as far as they are known."""
        self.waiting: Point | None = None
        """A point that has been asked for and not yet been taken."""

    def ask(self) -> Point | None:
        """The next point of the method that has most of its budget left; None if all is spent."""
        if self.waiting:
            point, self.waiting = self.waiting, None
            return point
        for label, study in self.studies.items():
            if (reclaimed := study.reclaim()) and (taken := self._point(label, *reclaimed)):
                return taken
        while left := {label: share for label in self.studies if (share := self._share_left(label)) > 0}:
            label = max(left, key=lambda label: left[label])
            study = self.studies[label]
            number, values = study.ask()
            before = sum(trial.number < number for trial in study.trials())
            if self.planned.config.points and before >= self.planned.config.points:
                study.withdraw(number, "another driver took the last place")
            elif drawn := self._point(label, number, values):
                return drawn
        return None

    def tell(self, point: Point, rows: list[Row]) -> None:
        """Tell the study what came of a point, by the rows of its trials."""
        outcome, study = self._outcome(point, rows), self.studies[point.study]
        study.tell(point.number, outcome)
        names = self.planned.config.objectives
        best = study.best(1) if len(names) == 1 else []
        result = in_words(names, outcome.values) or outcome.attributes.get("error", "")
        result += " (denser than asked for)" if outcome.infeasibility > 0 else ""
        shown = in_words(names, best[0].values) if best else ""
        self.display.told(point.study, point.number, result, shown)

    def _point(self, label: str, number: int, values: Values) -> Point | None:
        """The point, or None if its values do not go together: it is withdrawn and costs nothing."""
        planned, study = self.planned, self.studies[label]
        try:
            trials = planned.trials(label, number, values)
        except InputError as error:
            study.withdraw(number, str(error))
            self.consecutive_invalid, self.withdrawn = self.consecutive_invalid + 1, self.withdrawn + 1
            if self.consecutive_invalid > INVALID:
                raise InputError(f"search.space: hardly any values go together: {error}") from error
            return None
        self.consecutive_invalid = 0
        pruner = PointPruner(study.storage, study.name, number, planned.config, planned.epochs)
        return Point(label, number, trials, pruner if planned.config.pruner != "none" else None)

    def _share_left(self, label: str) -> float:
        """Share of a method's budget that is neither spent nor in use; 0 where it takes no more points."""
        study, planned = self.studies[label], self.planned
        if study.exhausted:
            return 0
        trials = study.trials()
        steps = [int(trial.user_attrs["steps"]) for trial in trials if "steps" in trial.user_attrs]
        usual = max([self.usual_steps[label], *steps])
        spent = sum(steps) + usual * (len(trials) - len(steps))
        if spent + usual > planned.most_steps or len(trials) >= (planned.config.points or sys.maxsize):
            return 0
        return 1 - spent / planned.most_steps

    def _outcome(self, point: Point, rows: list[Row]) -> Outcome:
        planned = self.planned
        config = planned.config
        usual = self.usual_steps[point.study] // len(config.seeds)
        attributes: dict[str, Any] = {
            "trials": [trial.trial_id for trial in point.trials],
            "steps": sum(usual if row.steps is None else row.steps for row in rows),
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
        lacking = [name for name in config.objectives if math.isnan(means[name])]
        if lacking:
            error = f"{', '.join(lacking)}: has no value"
            return Outcome(PointState.FAILED, attributes=attributes | {"error": error})
        values = [means[name] for name in config.objectives]
        infeasibility = planned.infeasibility(means["density"], point.study)
        return Outcome(PointState.COMPLETE, values, infeasibility, attributes)
