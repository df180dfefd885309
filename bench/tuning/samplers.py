"""Optuna's samplers for a space, and how Optuna draws a variable."""

import math
from collections.abc import Iterable
from typing import Any, assert_never

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from switchbench.errors import InputError
from switchbench.spec.ranges import Choice, Dimension
from switchbench.spec.search import SearchConfig
from switchbench.tuning.space import Space
from switchbench.tuning.values import Variable


def suggest(trial: optuna.Trial, variable: Variable, dimension: Dimension) -> Any:
    """Draw a value of one variable.

    Args:
        trial: Optuna's trial, which stores the value.
        variable: Names the value.
        dimension: The range or the choices of the variable.
    """
    name = str(variable)
    if isinstance(dimension, Choice):
        return trial.suggest_categorical(name, dimension.values)
    if dimension.whole:
        return trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)


class Grid(optuna.samplers.GridSampler):
    """A grid sampler that never stops the study. The budget decides when a search ends."""

    def __init__(self, values: dict[str, list[Any]], seed: int) -> None:
        """Shuffle the grid.

        Args:
            values: All values of each variable, by name.
            seed: Seed of the order, in which stored points are numbered: the same for all who draw from one
                study.
        """
        super().__init__(values, seed=seed)
        self._values = values

    def is_started(self, trials: Iterable[FrozenTrial]) -> bool:
        """Return whether every point of the grid has been started. Points of another grid do not count."""
        started = {
            trial.system_attrs["grid_id"]
            for trial in trials
            if trial.system_attrs.get("search_space") == self._values
        }
        return len(started) >= math.prod(map(len, self._values.values()))

    def after_trial(self, *arguments: Any) -> None:
        """Do nothing. Optuna's own grid sampler stops the study here."""


def make_sampler(config: SearchConfig, space: Space, seed: int) -> BaseSampler:
    """Build the sampler that a search names.

    Args:
        config: Names the sampler.
        space: The space of one method.
        seed: Seed of the sampler's random draws. The order of a grid has the seed of the search alone.

    Raises:
        InputError: The sampler cannot draw from the space.
    """
    samplers = optuna.samplers
    if config.sampler == "random":
        return samplers.RandomSampler(seed)
    if config.sampler == "nsga2":
        population = max(4, min(50, (config.points or 100) // 3))
        return samplers.NSGAIISampler(seed=seed, population_size=population)
    if config.sampler == "gp":
        return samplers.GPSampler(seed=seed, warn_independent_sampling=False)
    if config.sampler == "cmaes":
        choices = [str(name) for name, dimension in space.dimensions.items() if isinstance(dimension, Choice)]
        if choices:
            raise InputError(f"search.sampler: 'cmaes' takes only ranges, no choices: {', '.join(choices)}")
        return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    if config.sampler == "grid":
        values = {str(name): _grid(dimension, config.grid) for name, dimension in space.dimensions.items()}
        return Grid(values, seed=config.sampler_seed)
    if config.sampler == "tpe":
        return samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
    assert_never(config.sampler)


def _grid(dimension: Dimension, number: int) -> list[Any]:
    """Return all choices, or ``number`` evenly spaced values of a range, both ends included.

    Values of a logarithmic range are evenly spaced on that scale.
    """
    if isinstance(dimension, Choice):
        return [*dimension.values]
    low, high = dimension.low, dimension.high
    shares = [i / (number - 1) for i in range(number)]
    values = [low * (high / low) ** s if dimension.log else low + (high - low) * s for s in shares]
    values[-1] = high
    return [*dict.fromkeys(round(value) for value in values)] if dimension.whole else values
