"""Optuna's part of a search: one study per method, in a journal file or a database.

The study holds what the sampler knows. The ledger holds what was measured. Each point's result is reported to
the study once, after the rows of the point are in the ledger.
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
from switchbench.row import PointRow, PointState, never_selected, to_minimise
from switchbench.spec.search import SearchConfig
from switchbench.tuning.samplers import Grid, make_sampler, suggest
from switchbench.tuning.space import Space
from switchbench.tuning.storage import StudyStorage
from switchbench.tuning.values import Values

optuna.logging.set_verbosity(optuna.logging.ERROR)

LEASE_SECONDS, HEARTBEAT_SECONDS = 60, 10
"""A driver that shares a database stores a heartbeat every ten seconds. When another driver has seen none for
a minute, it reclaims the points. Clocks of machines differ, so times in the database are not compared."""
WITHDRAWN = "withdrawn"
"""Marks points that never ran: their values were invalid, a grid had them already, or another driver took the
last point."""
CONSTRAINT = "density"
"""Name of Optuna's only constraint: the larger of the two attributes below. Samplers need the same
constraints for all points of a study, so a stored study cannot get a second one."""
INFEASIBLE = "infeasible"
"""Attribute of a point: how far its density is from what is allowed."""
COLLAPSED = "collapsed"
"""Attribute of a point: the number of layers without a connection that make a network of the point dead, or 1
if one guesses."""

OLD_IDENTITY = {"schema": 2}
"""What held for studies whose identity does not say it."""


@dataclass(frozen=True)
class Outcome:
    """Result of a point: means over its seeds, or why there are none."""

    state: PointState
    values: Sequence[float] = ()
    """One mean per objective."""
    infeasibility: float = 0.0
    """How far the density is from what is allowed; 0 or less if the point is feasible."""
    collapsed: int = 0
    """Largest number of layers without connections that make a network of the point dead, or 1 if one does no
    better than guessing. The point is then infeasible."""
    attributes: dict[str, Any] = field(default_factory=dict)
    """Further values that are stored with the point."""


class Study:
    """The study of one method.

    In a shared database, several drivers may use it at the same time, each with its own object.
    """

    def __init__(
        self, storage: StudyStorage, name: str, config: SearchConfig, space: Space, identity: str
    ) -> None:
        """Open the study, or create it.

        Args:
            storage: Where the study is.
            name: Name of the study in the storage.
            config: Settings of the search.
            space: The space of the method.
            identity: A JSON object of everything that must stay the same for the study to continue.

        Raises:
            InputError: The stored study has another identity, or the database does not answer.
        """
        self.storage, self.name, self.config, self.space = storage, name, config, space
        self.driver_id = uuid.uuid4().hex
        self._study = optuna.create_study(
            storage=storage.open(), study_name=name, directions=config.directions, load_if_exists=True
        )
        known = self._study.user_attrs.get("identity")
        if known is None:
            self._study.set_user_attr("identity", identity)
        elif changed := ", ".join(_differences(OLD_IDENTITY | json.loads(known), json.loads(identity))):
            remedy = "another name" if storage.is_shared else "--out with another folder"
            raise InputError(
                f"{name}: the stored study belongs to another search ({changed} changed); use {remedy}"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            seed = config.sampler_seed + len(self.trials())
            if storage.is_shared:  # drivers that start at the same time must draw different points
                seed += int(self.driver_id[:7], 16)
            self._study.sampler = make_sampler(config, space, seed)
            if isinstance(self._study.sampler, Grid) and storage.is_shared:
                self._study.sampler.reseed_rng()  # for the points that are left, drawn from one order
        self._running: dict[int, optuna.Trial] = {}
        """Points that this driver runs, by number."""
        self._heartbeats: dict[int, tuple[float | None, float]] = {}
        """Heartbeats of other drivers' points by number, and since when each is the same."""
        self._closed = threading.Event()
        if storage.is_shared:
            threading.Thread(target=self._send_heartbeats, name="lease", daemon=True).start()

    def trials(self) -> list[FrozenTrial]:
        """Return every point that counts in the budget: neither withdrawn nor waiting in the queue."""
        return [
            trial
            for trial in self._study.get_trials(deepcopy=False)
            if not trial.user_attrs.get(WITHDRAWN) and trial.state != TrialState.WAITING
        ]

    @property
    def finished_points(self) -> int:
        """Number of finished points."""
        return sum(trial.state.is_finished() for trial in self.trials())

    def queue(self) -> list[FrozenTrial]:
        """Return the points that run before the sampler's."""
        return self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))

    @property
    def exhausted(self) -> bool:
        """Whether every point of a grid has been started."""
        sampler = self._study.sampler
        return isinstance(sampler, Grid) and sampler.is_started(self._study.get_trials(deepcopy=False))

    def repeats(self, number: int) -> int | None:
        """Return the earlier point that a point of a grid is a copy of; None if there is none.

        Points of a grid may differ in variables without effect alone, and the defaults may be on it. Other
        samplers may draw a point again: not to do so could leave them none.
        """
        if not isinstance(self._study.sampler, Grid):
            return None
        drawn = _drawn(self._reload(number))
        earlier = (trial for trial in self.trials() if trial.number < number)
        return next((trial.number for trial in earlier if _drawn(trial) == drawn), None)

    def enqueue(self, values: Values, origin: str) -> None:
        """Queue a point that runs before the sampler's points. A point that is already known is not queued.

        Args:
            values: Values outside the search space are ignored. Missing values are drawn later, except by a
                grid: it ignores the whole point.
            origin: Where the values come from; stored with the point.
        """
        values = self.space.restrict(values)
        if isinstance(self._study.sampler, Grid) and not self.space.is_complete(values):
            return
        self._study.enqueue_trial(values.params(), user_attrs={"origin": origin}, skip_if_exists=True)

    def ask(self) -> tuple[int, Values]:
        """Start a new point and return its number and values."""
        return self._start(self._study.ask())

    def reclaim(self) -> tuple[int, Values] | None:
        """Reclaim a running point whose driver is gone.

        A journal has only one driver, so every running point that is not its own is free. In a database, a
        driver without a heartbeat for :data:`LEASE_SECONDS` is gone.

        Returns:
            Number and values of the point; None if there is none.
        """
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if frozen.number in self._running:
                continue
            if self.storage.is_shared and self._is_alive(frozen):
                continue
            trial = optuna.Trial(self._study, frozen._trial_id)
            if frozen.user_attrs.get(WITHDRAWN):  # its driver was killed while withdrawing it
                self._finish(trial, TrialState.FAIL)
                continue
            number, values = self._start(trial)
            if self.storage.is_shared and self._reload(number).user_attrs["driver"] != self.driver_id:
                # another driver has reclaimed it at the same time
                del self._running[number]
                continue
            return number, values
        return None

    @property
    def has_other_drivers(self) -> bool:
        """Whether another driver is running a point."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return any(trial.number not in self._running for trial in running)

    def withdraw(self, number: int, error: str) -> None:
        """Withdraw a point that did not run, so that it does not count. ``error`` is stored as the reason."""
        trial = self._running.pop(number)
        trial.set_user_attr(WITHDRAWN, True)
        trial.set_user_attr("error", error)
        self._finish(trial, TrialState.FAIL)

    def tell(self, number: int, outcome: Outcome) -> None:
        """Report the outcome of a point. Ignored if another driver has already finished the point."""
        trial = self._running.pop(number)
        stored = self._reload(number)
        if stored.state.is_finished():  # another driver has reclaimed and finished it
            return
        for key, value in outcome.attributes.items():
            trial.set_user_attr(key, value)
        if outcome.state == PointState.COMPLETE and all(map(math.isfinite, outcome.values)):
            trial.set_user_attr(INFEASIBLE, outcome.infeasibility)
            trial.set_user_attr(COLLAPSED, outcome.collapsed)
            if CONSTRAINT not in stored.constraints:  # else a lost driver has set it, from the same rows
                trial.set_constraint(CONSTRAINT, max(outcome.infeasibility, outcome.collapsed))
            self._finish(trial, TrialState.COMPLETE, outcome.values)
        else:
            pruned = outcome.state == PointState.PRUNED
            self._finish(trial, TrialState.PRUNED if pruned else TrialState.FAIL)

    def best(self, top: int | None) -> list[FrozenTrial]:
        """Return the best feasible points.

        Args:
            top: Largest number of points; None: one, or with several objectives the whole Pareto set.

        Returns:
            With one objective, the best point first, and none twice that was drawn twice. With several,
            points of the Pareto set by the first objective, best first; ``top`` of them are evenly spaced
            from one end to the other.
        """
        complete = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        feasible = [trial for trial in complete if _is_feasible(trial)]
        names = self.config.objectives
        costs = {t.number: [*map(to_minimise, names, t.values)] for t in feasible}
        if len(names) == 1:
            ranked = sorted(feasible, key=lambda trial: (costs[trial.number], trial.number))
            different: dict[str, FrozenTrial] = {}
            for trial in ranked:
                different.setdefault(_drawn(trial), trial)
            return [*different.values()][: top or 1]
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
        """Return the rows of all points, for the ledger.

        Args:
            label: Label of the method.
            top: Number of best points to mark, as in :meth:`best`.
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
                infeasible=trial.user_attrs.get(INFEASIBLE, trial.constraints.get(CONSTRAINT)),
                collapsed=trial.user_attrs.get(COLLAPSED),
                density=trial.user_attrs.get("density"),
                val_accuracy=trial.user_attrs.get("val_accuracy"),
                steps=trial.user_attrs.get("steps"),
                seconds=trial.duration.total_seconds() if trial.duration else None,
                error=trial.user_attrs.get("error"),
            )
            for trial in self.trials()
        ]

    def close(self) -> None:
        """Stop the heartbeats."""
        self._closed.set()

    def _reload(self, number: int) -> FrozenTrial:
        """Return a point from the storage. Optuna's own handle may be out of date."""
        return self._study.get_trials(deepcopy=False)[number]

    def _finish(self, trial: optuna.Trial, state: TrialState, values: Sequence[float] | None = None) -> None:
        with suppress(optuna.exceptions.UpdateFinishedTrialError):  # another driver has just finished it
            self._study.tell(trial, None if values is None else [*values], state=state)

    def _start(self, trial: optuna.Trial) -> tuple[int, Values]:
        """Make this driver the one that runs a point. Return the number and the values of the point."""
        self._running[trial.number] = trial
        if self.storage.is_shared:
            trial.set_user_attr("driver", self.driver_id)
            trial.set_user_attr("seen", time.time())
        return trial.number, self.space.draw(lambda variable, dimension: suggest(trial, variable, dimension))

    def _send_heartbeats(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            for trial in [*self._running.values()]:
                try:
                    trial.set_user_attr("seen", time.time())
                except Exception:  # the point is finished by now, or the database does not answer
                    logging.getLogger(__name__).debug("cannot store a heartbeat of point %s", trial.number)

    def _is_alive(self, trial: FrozenTrial) -> bool:
        """Return whether the heartbeat of a point has changed within a minute by this machine's clock."""
        heartbeat, now = trial.user_attrs.get("seen"), time.monotonic()
        before, since = self._heartbeats.get(trial.number, (None, now))
        if before != heartbeat or trial.number not in self._heartbeats:
            since = now
        self._heartbeats[trial.number] = heartbeat, since
        return now - since < LEASE_SECONDS


def _is_feasible(trial: FrozenTrial) -> bool:
    known, constraint = trial.user_attrs, trial.constraints.get(CONSTRAINT)
    return not never_selected(constraint, known.get(COLLAPSED), known.get("density"))


def _drawn(trial: FrozenTrial) -> str:
    """Return the parameters of a point as text: the same for points that do not differ."""
    return json.dumps(trial.params, sort_keys=True)


def _dominates(one: list[float], other: list[float]) -> bool:
    """Return whether one is as good as the other in every objective and better in one. Lower is better."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the keys with different values, sorted."""
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
