"""Optuna's part of a search: one study per method, in a journal file or a database. The only code that
imports optuna, but for the pictures of a search.

The study holds what the sampler knows; the ledger holds what was measured. A point is told once, after its
rows are in the ledger.
"""

import json
import logging
import math
import threading
import time
import uuid
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial, TrialState

from switchbench.errors import InputError
from switchbench.row import PointRow, PointState, ascending
from switchbench.spec.search import SearchConfig
from switchbench.tuning.samplers import Grid, make_sampler, suggest
from switchbench.tuning.space import Space
from switchbench.tuning.storage import StudyStorage
from switchbench.tuning.values import Values

optuna.logging.set_verbosity(optuna.logging.ERROR)

LEASE_SECONDS, BEAT_SECONDS = 60, 10
"""A driver that shares a database gives a sign of life every ten seconds. If it has given none for a minute,
another driver reclaims its points."""
WITHDRAWN = "withdrawn"
"""Marks points that were never run: their values do not go together, or the last place was taken."""
CONSTRAINT = "density"
"""Name of Optuna's constraint: how much denser a point is than it may be."""


@dataclass(frozen=True)
class Outcome:
    """What came of a point: means over its seeds, or why there are none."""

    state: PointState
    values: Sequence[float] = ()
    """One per objective."""
    infeasibility: float = 0.0
    """How much denser it is than it may be; at most 0 if it is not."""
    attributes: dict[str, Any] = field(default_factory=dict)
    """What else is stored with the point."""


class Study:
    """One method's study."""

    def __init__(
        self, storage: StudyStorage, name: str, config: SearchConfig, space: Space, identity: str
    ) -> None:
        """Open the study, or begin it. Raises InputError if it holds a search of something else."""
        self.storage, self.name, self.config, self.space = storage, name, config, space
        self.driver = uuid.uuid4().hex
        self._study = optuna.create_study(
            storage=storage.open(), study_name=name, directions=config.directions, load_if_exists=True
        )
        known = self._study.user_attrs.get("identity")
        if known is None:
            self._study.set_user_attr("identity", identity)
        elif known != identity:
            changed = ", ".join(_differences(json.loads(known), json.loads(identity)))
            raise InputError(
                f"{name}: its study is of another search ({changed} changed); give --out another folder"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            seed = config.sampler_seed + len(self.trials())
            if storage.is_shared:  # drivers that start together must not draw the same points
                seed += int(self.driver[:7], 16)
            self._study.sampler = make_sampler(config, space, seed)
        self._asked: dict[int, optuna.Trial] = {}
        self._beating = threading.Event()
        if storage.is_shared:
            threading.Thread(target=self._beat, name="lease", daemon=True).start()

    def trials(self) -> list[FrozenTrial]:
        """Every point that counts."""
        return [
            trial
            for trial in self._study.get_trials(deepcopy=False)
            if not trial.user_attrs.get(WITHDRAWN) and trial.state != TrialState.WAITING
        ]

    @property
    def told(self) -> int:
        """How many points are over."""
        return sum(trial.state.is_finished() for trial in self.trials())

    @property
    def exhausted(self) -> bool:
        """Whether every point of a grid has been started."""
        sampler = self._study.sampler
        if not isinstance(sampler, Grid):
            return False
        started = {trial.system_attrs.get("grid_id") for trial in self._study.get_trials(deepcopy=False)}
        return len(started - {None}) >= sampler.size

    def enqueue(self, values: Values, origin: str) -> None:
        """Run values first, once.

        Args:
            values: Those outside the search space are left out. Variables without a value are drawn, except
                by a grid, which takes complete points only.
            origin: Stored with the point.
        """
        inside = self.space.inside(values)
        if isinstance(self._study.sampler, Grid) and not self.space.is_complete(inside):
            return
        self._study.enqueue_trial(inside.params(), user_attrs={"origin": origin}, skip_if_exists=True)

    def ask(self) -> tuple[int, Values]:
        """A new point: its number and values."""
        return self._draw(self._study.ask())

    def reclaim(self) -> tuple[int, Values] | None:
        """Reclaim a running point whose driver is gone; None if there is none. A journal has one driver, so
        that any running point is free; in a database a driver is gone that has given no sign of life for
        :data:`LEASE_SECONDS`."""
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if frozen.number in self._asked:
                continue
            if self.storage.is_shared and time.time() - self._last_sign(frozen) < LEASE_SECONDS:
                continue
            trial = optuna.Trial(self._study, frozen._trial_id)
            if frozen.user_attrs.get(WITHDRAWN):  # and then its driver was killed
                self._finish(trial, TrialState.FAIL)
                continue
            drawn = self._draw(trial)
            if self.storage.is_shared and self._stored(trial.number).user_attrs["driver"] != self.driver:
                # another was faster
                del self._asked[trial.number]
                continue
            return drawn
        return None

    @property
    def runs_elsewhere(self) -> bool:
        """Whether another driver is running a point."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return any(trial.number not in self._asked for trial in running)

    def withdraw(self, number: int, error: str) -> None:
        """Withdraw a point that was not run."""
        trial = self._asked.pop(number)
        trial.set_user_attr(WITHDRAWN, True)
        trial.set_user_attr("error", error)
        self._finish(trial, TrialState.FAIL)

    def tell(self, number: int, outcome: Outcome) -> None:
        """Tell Optuna what came of a point."""
        trial = self._asked.pop(number)
        if self._stored(number).state.is_finished():  # a driver that was thought dead has told it meanwhile
            return
        for key, value in outcome.attributes.items():
            trial.set_user_attr(key, value)
        if outcome.state == PointState.COMPLETE and all(map(math.isfinite, outcome.values)):
            trial.set_constraint(CONSTRAINT, outcome.infeasibility)
            self._finish(trial, TrialState.COMPLETE, outcome.values)
        else:
            pruned = outcome.state == PointState.PRUNED
            self._finish(trial, TrialState.PRUNED if pruned else TrialState.FAIL)

    def best(self, top: int | None) -> list[FrozenTrial]:
        """The best of the points that are sparse enough, best first. With several objectives the Pareto set,
        or ``top`` of it, evenly from one end to the other."""
        complete = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        feasible = [trial for trial in complete if _infeasibility(trial) <= 0]
        names = self.config.objectives
        costs = {t.number: [*map(ascending, names, t.values)] for t in feasible}
        if len(names) == 1:
            return sorted(feasible, key=lambda trial: (costs[trial.number], trial.number))[: top or 1]
        front = [
            trial
            for trial in feasible
            if not any(_dominates(other, costs[trial.number]) for other in costs.values())
        ]
        front = [*{tuple(costs[trial.number]): trial for trial in reversed(front)}.values()]
        front.sort(key=lambda trial: costs[trial.number])
        if top is None or top >= len(front):
            return front
        return [front[round(i * (len(front) - 1) / max(top - 1, 1))] for i in range(top)]

    def points(self, label: str, top: int | None) -> list[PointRow]:
        """Every point as it is stored.

        Args:
            label: Of the method.
            top: How many of the best are marked; None as in :meth:`best`.
        """
        best = {trial.number for trial in self.best(top)}
        return [
            PointRow(
                label=label,
                number=trial.number,
                state=PointState(trial.state.name.lower()),
                origin=trial.user_attrs.get("origin"),
                best=trial.number in best,
                objectives=json.dumps(self.config.objectives),
                values=json.dumps(trial.values),
                params=json.dumps(trial.params),
                distributions=json.dumps(
                    {name: distribution_to_json(kind) for name, kind in trial.distributions.items()}
                ),
                infeasible=trial.constraints.get(CONSTRAINT),
                density=trial.user_attrs.get("density"),
                val_accuracy=trial.user_attrs.get("val_accuracy"),
                steps=trial.user_attrs.get("steps"),
                seconds=trial.duration.total_seconds() if trial.duration else None,
                error=trial.user_attrs.get("error"),
            )
            for trial in self.trials()
        ]

    def close(self) -> None:
        """End the signs of life."""
        self._beating.set()

    def _stored(self, number: int) -> FrozenTrial:
        """A point as it stands in the storage; Optuna's own handle keeps what this process last saw."""
        return self._study.get_trials(deepcopy=False)[number]

    def _finish(self, trial: optuna.Trial, state: TrialState, values: Sequence[float] | None = None) -> None:
        with suppress(optuna.exceptions.UpdateFinishedTrialError):  # by another driver, just now
            self._study.tell(trial, None if values is None else [*values], state=state)

    def _draw(self, trial: optuna.Trial) -> tuple[int, Values]:
        self._asked[trial.number] = trial
        if self.storage.is_shared:
            trial.set_user_attr("driver", self.driver)
            trial.set_user_attr("seen", time.time())
        return trial.number, self.space.draw(lambda variable, dimension: suggest(trial, variable, dimension))

    def _beat(self) -> None:
        while not self._beating.wait(BEAT_SECONDS):
            for trial in [*self._asked.values()]:
                try:
                    trial.set_user_attr("seen", time.time())
                except Exception:  # told just now, or no answer: the next beat will show
                    logging.getLogger(__name__).debug("no sign of life of point %s", trial.number)

    @staticmethod
    def _last_sign(trial: FrozenTrial) -> float:
        started = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        return float(trial.user_attrs.get("seen", started))


def _infeasibility(trial: FrozenTrial) -> float:
    return float(trial.constraints.get(CONSTRAINT, 0.0))


def _dominates(one: list[float], other: list[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
