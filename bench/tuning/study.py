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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from switchbench.errors import InputError
from switchbench.spec.ranges import Choice, Dimension
from switchbench.spec.search import SearchConfig
from switchbench.trial.loop import Pruned, Watch
from switchbench.tuning.space import Space, Values

optuna.logging.set_verbosity(optuna.logging.ERROR)

LEASE_SECONDS, BEAT_SECONDS = 60, 10
"""A driver that shares a database gives a sign of life every few seconds; a point whose driver has given none
for a minute is taken up by another."""
WITHDRAWN = "withdrawn"
"""Mark of points that were never run: another driver took the last place, or their values do not match."""
CONSTRAINT = "density"
"""By how much a point is denser than it may be; at most 0 if it is not."""
ATTRIBUTES = ("origin", "density", "val_accuracy", "steps", "error")


@dataclass(frozen=True)
class Place:
    """Where studies are kept; plain values, sent to workers."""

    journal: Path
    url: str | None
    """Of a database that takes the journal's place, which several drivers may share."""

    def open(self) -> BaseStorage:
        """The storage. Raises InputError if a database does not answer."""
        if self.url is None:
            return JournalStorage(JournalFileBackend(str(self.journal)))
        try:
            return RDBStorage(self.url, engine_kwargs={"pool_pre_ping": True})
        except Exception as error:  # every database has its own
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"--storage {_without_password(self.url)}: {reason}") from error

    def mend(self) -> None:
        """Cut off what a killed driver has left half written at the end of the journal."""
        if self.url is None and self.journal.exists():
            content = self.journal.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                with self.journal.open("r+b") as stream:
                    stream.truncate(whole)


@dataclass(frozen=True)
class Found:
    """What became of a point: means over its seeds, or why there are none."""

    state: str
    """``complete``, ``pruned`` or ``failed``."""
    values: Sequence[float] = ()
    """One per objective."""
    infeasible: float = 0.0
    attributes: dict[str, Any] = field(default_factory=dict)
    """What else is stored with the point."""


class Study:
    """One method's study."""

    def __init__(self, place: Place, name: str, config: SearchConfig, space: Space, identity: str) -> None:
        """Open the study, or begin it. Raises InputError if it holds a search of something else."""
        self.place, self.name, self.config, self.space = place, name, config, space
        self.driver = uuid.uuid4().hex
        self._study = optuna.create_study(
            storage=place.open(), study_name=name, directions=config.directions, load_if_exists=True
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
            if place.url:  # drivers that start together must not draw the same points
                seed += int(self.driver[:7], 16)
            self._study.sampler = _sampler(config, space, seed)
        self._asked: dict[int, optuna.Trial] = {}
        self._beating = threading.Event()
        if place.url:
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
        if not isinstance(sampler, _Grid):
            return False
        started = {trial.system_attrs.get("grid_id") for trial in self._study.get_trials(deepcopy=False)}
        return len(started - {None}) >= sampler.size

    def enqueue(self, values: Values, origin: str) -> None:
        """Run these values first, once; dimensions that are not named are drawn. ``origin`` is stored with
        them. A grid, which draws nothing, takes whole points only."""
        inside = {
            name: value
            for name, value in values.items()
            if name in self.space.dimensions and value in self.space.dimensions[name]
        }
        if isinstance(self._study.sampler, _Grid) and not self.space.whole(inside):
            return
        self._study.enqueue_trial(inside, user_attrs={"origin": origin}, skip_if_exists=True)

    def ask(self) -> tuple[int, Values]:
        """A new point: its number and values."""
        return self._draw(self._study.ask())

    def adopt(self) -> tuple[int, Values] | None:
        """A point that a driver has left behind, or None: with a journal there is no other driver, and in a
        database its last sign of life tells."""
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if frozen.number in self._asked:
                continue
            if self.place.url and time.time() - self._last_sign(frozen) < LEASE_SECONDS:
                continue
            trial = optuna.Trial(self._study, frozen._trial_id)
            if frozen.user_attrs.get(WITHDRAWN):  # and then its driver was killed
                self._finish(trial, TrialState.FAIL)
                continue
            drawn = self._draw(trial)
            if self.place.url and self._stored(trial.number).user_attrs["driver"] != self.driver:
                # another was faster
                del self._asked[trial.number]
                continue
            return drawn
        return None

    @property
    def elsewhere(self) -> bool:
        """Whether another driver is at a point."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return any(trial.number not in self._asked for trial in running)

    def withdraw(self, number: int, error: str) -> None:
        """Take a point back that was not run."""
        trial = self._asked.pop(number)
        trial.set_user_attr(WITHDRAWN, True)
        trial.set_user_attr("error", error)
        self._finish(trial, TrialState.FAIL)

    def tell(self, number: int, found: Found) -> None:
        """What became of a point."""
        trial = self._asked.pop(number)
        if self._stored(number).state.is_finished():  # a driver that was thought dead has told it meanwhile
            return
        for key, value in found.attributes.items():
            trial.set_user_attr(key, value)
        state = {"pruned": TrialState.PRUNED, "failed": TrialState.FAIL}.get(found.state)
        if state is None and not all(map(math.isfinite, found.values)):
            state = TrialState.FAIL
        if state is None:
            trial.set_constraint(CONSTRAINT, found.infeasible)
            self._finish(trial, TrialState.COMPLETE, found.values)
        else:
            self._finish(trial, state)

    def best(self, top: int | None) -> list[FrozenTrial]:
        """The best of the points that are sparse enough, best first. With several objectives the Pareto set,
        or ``top`` of it, evenly from one end to the other."""
        complete = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        feasible = [trial for trial in complete if _excess(trial) <= 0]
        sign = [-1 if way == StudyDirection.MAXIMIZE else 1 for way in self._study.directions]
        costs = {t.number: [s * v for s, v in zip(sign, t.values, strict=True)] for t in feasible}
        if len(sign) == 1:
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

    def records(self) -> list[dict[str, Any]]:
        """Every point as plain values, for tables and pictures."""
        return [
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "values": json.dumps(trial.values),
                "params": json.dumps(trial.params),
                "distributions": json.dumps(
                    {name: distribution_to_json(kind) for name, kind in trial.distributions.items()}
                ),
                "infeasible": trial.constraints.get(CONSTRAINT),
                **{key: trial.user_attrs.get(key) for key in ATTRIBUTES},
                "seconds": trial.duration.total_seconds() if trial.duration else None,
            }
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
        if self.place.url:
            trial.set_user_attr("driver", self.driver)
            trial.set_user_attr("seen", time.time())
        return trial.number, self.space.draw(lambda name, dimension: _suggest(trial, name, dimension))

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


def watchers(
    place: Place, name: str, number: int, config: SearchConfig, epochs: int
) -> Callable[[int], Watch]:
    """For a worker, by the number of a seed: what shows a point's validation results to the study's pruner,
    epoch by epoch (of all its seeds in turn), and raises Pruned when that has seen enough."""
    study = optuna.load_study(
        study_name=name,
        storage=place.open(),
        sampler=optuna.samplers.RandomSampler(),
        pruner=_pruner(config, epochs * len(config.seeds)),
    )
    (frozen,) = [trial for trial in study.get_trials(deepcopy=False) if trial.number == number]
    trial = optuna.Trial(study, frozen._trial_id)

    def watch(seed: int, point: dict[str, float]) -> None:
        trial.report(point[config.objectives[0]], int(epochs * (seed + point["round"]) + point["epoch"]))
        if trial.should_prune():
            raise Pruned(int(point["step"]))

    return lambda seed: partial(watch, seed)


class _Grid(optuna.samplers.GridSampler):
    """Never stops a study: that is the budget's to do."""

    def __init__(self, values: dict[str, list[Any]], seed: int) -> None:
        super().__init__(values, seed=seed)
        self.size = math.prod(map(len, values.values()))

    def after_trial(self, *told: Any) -> None:
        pass


def _sampler(config: SearchConfig, space: Space, seed: int) -> BaseSampler:
    samplers = optuna.samplers
    if config.sampler == "random":
        return samplers.RandomSampler(seed)
    if config.sampler == "nsga2":
        population = max(4, min(50, (config.points or 100) // 3))
        return samplers.NSGAIISampler(seed=seed, population_size=population)
    if config.sampler == "gp":
        return samplers.GPSampler(seed=seed, warn_independent_sampling=False)
    if config.sampler == "cmaes":
        if any(isinstance(dimension, Choice) for dimension in space.dimensions.values()):
            raise InputError("search.sampler: cmaes: is for ranges, not for choices")
        return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    if config.sampler == "grid":
        values = {name: _grid(dimension, config.grid) for name, dimension in space.dimensions.items()}
        return _Grid(values, seed=seed)
    return samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def _grid(dimension: Dimension, number: int) -> list[Any]:
    """All choices, or so many values of a range from end to end."""
    if isinstance(dimension, Choice):
        return [*dimension.values]
    low, high = dimension.low, dimension.high
    shares = [i / (number - 1) for i in range(number)]
    values = [low * (high / low) ** s if dimension.log else low + (high - low) * s for s in shares]
    values[-1] = high
    return [*dict.fromkeys(round(value) for value in values)] if dimension.whole else values


def _pruner(config: SearchConfig, epochs: int) -> optuna.pruners.BasePruner:
    pruners = optuna.pruners
    if config.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 5)
    if config.pruner == "asha":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    if config.pruner == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    return pruners.NopPruner()


def _suggest(trial: optuna.Trial, name: str, dimension: Dimension) -> Any:
    if isinstance(dimension, Choice):
        return trial.suggest_categorical(name, dimension.values)
    if dimension.whole:
        return trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)


def _excess(trial: FrozenTrial) -> float:
    return float(trial.constraints.get(CONSTRAINT, 0.0))


def _dominates(one: list[float], other: list[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://…{at}{tail}" if at else url
