"""Optuna's samplers for a space, and how they draw its variables."""

import math
from typing import Any, assert_never

import optuna
from optuna.samplers import BaseSampler

from switchbench.errors import InputError
from switchbench.spec.ranges import Choice, Dimension
from switchbench.spec.search import SearchConfig
from switchbench.tuning.space import Space
from switchbench.tuning.values import Variable


def suggest(trial: optuna.Trial, variable: Variable, dimension: Dimension) -> Any:
    """Draw a value of one dimension."""
    name = str(variable)
    if isinstance(dimension, Choice):
        return trial.suggest_categorical(name, dimension.values)
    if dimension.whole:
        return trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)


class Grid(optuna.samplers.GridSampler):
    """A grid sampler that leaves stopping to the budget."""

    def __init__(self, values: dict[str, list[Any]], seed: int) -> None:
        super().__init__(values, seed=seed)
        self.size = math.prod(map(len, values.values()))

    def after_trial(self, *told: Any) -> None:
        pass


def make_sampler(config: SearchConfig, space: Space, seed: int) -> BaseSampler:
    """The sampler that a search asks for. Raises InputError if it cannot draw from the space."""
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
        values = {str(name): _grid(dimension, config.grid) for name, dimension in space.dimensions.items()}
        return Grid(values, seed=seed)
    if config.sampler == "tpe":
        return samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
    assert_never(config.sampler)


def _grid(dimension: Dimension, number: int) -> list[Any]:
    """All choices, or so many values of a range from end to end."""
    if isinstance(dimension, Choice):
        return [*dimension.values]
    low, high = dimension.low, dimension.high
    shares = [i / (number - 1) for i in range(number)]
    values = [low * (high / low) ** s if dimension.log else low + (high - low) * s for s in shares]
    values[-1] = high
    return [*dict.fromkeys(round(value) for value in values)] if dimension.whole else values
