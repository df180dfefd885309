"""Estimate the cost of trials before they run: gradient steps and FLOPs.

A network on PyTorch's meta device has shapes but no values, so a step of any size is counted in milliseconds.
If a method needs values, it cannot run there, and its own cost is left out.
"""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import torch
from torch.nn import functional as F

from switchbench.datasets import Facts, training_size
from switchbench.methods import Method, Progress
from switchbench.spec.components import NetworkChoice
from switchbench.spec.trial import TrialConfig
from switchbench.trial.flops import FlopCounter, Kind
from switchbench.trial.loop import network_groups
from switchbench.trial.optimisers import Optimisers
from switchbench.trial.step import backward

SAMPLES = 1_000
"""Steps that are sampled to find which parameter groups learn in them; one step of each kind is counted."""


@dataclass(frozen=True)
class Estimate:
    """The estimated cost of one or several trials."""

    trials: int
    steps: int
    """Gradient steps."""
    flops: float
    """FLOPs of matrix products and convolutions, forward and backward; a multiply-add counts as two."""
    complete: bool
    """Whether ``flops`` includes the cost that methods add."""
    sparse: bool = False
    """Whether trials use sparse kernels. ``flops`` are those of dense kernels: how many layers become sparse
    enough, and when, is known only in training."""

    def hours(self, tflops: float) -> float:
        """Return hours at a speed of ``tflops`` × 10^12 FLOPs per second.

        Example:
            >>> Estimate(trials=1, steps=10, flops=7.2e15, complete=True).hours(tflops=1)
            2.0
        """
        return self.flops / tflops / 1e12 / 3600


def total(estimates: Iterable[Estimate]) -> Estimate:
    """Sum estimates. The sum is complete if all of them are.

    Example:
        >>> total([Estimate(1, 10, 5.0, True), Estimate(2, 20, 7.0, False)])
        Estimate(trials=3, steps=30, flops=12.0, complete=False, sparse=False)
    """
    parts = list(estimates)
    return Estimate(
        sum(part.trials for part in parts),
        sum(part.steps for part in parts),
        sum(part.flops for part in parts),
        all(part.complete for part in parts),
        any(part.sparse for part in parts),
    )


def estimate(config: TrialConfig) -> Estimate:
    """Estimate the cost of one trial. The training of its dense start is a trial of its own.

    Args:
        config: The trial.

    Returns:
        Steps of all rounds, and their FLOPs with dense kernels. FLOPs are NaN if not even a plain step can be
        counted.

    Raises:
        MissingData: The size of the data set is not known, and its files are not on this machine.
        InputError: The network cannot take such images.
    """
    facts = config.dataset.facts()
    examples = training_size(facts.train, config.validation)
    _check_image_size(config.network.model_dump_json(), facts)
    representative = config.at(config.density and 0.1, seed=0)
    flops, complete, rounds = _count_step(representative.model_dump_json(), facts)
    steps = rounds * config.training.length(examples)[0]
    return Estimate(1, steps, steps * flops, complete, config.training.kernels == "sparse")


def plain_flops(config: TrialConfig) -> float:
    """Estimate the FLOPs of one round of plain training, without what the method adds.

    Args:
        config: The trial.

    Returns:
        FLOPs, or NaN if the network needs values.

    Raises:
        MissingData: As :func:`estimate`.
    """
    facts = config.dataset.facts()
    steps = config.training.length(training_size(facts.train, config.validation))[0]
    try:
        return steps * _mean_step(config, facts, Method, Method.Config())[0]
    except Exception:  # as in _count_step
        return math.nan


def group_of(trial: TrialConfig) -> tuple[str, str, str, str]:
    """Return method, network, data set and scope: trials that share them cost the same."""
    return trial.method.label, trial.network.label, trial.dataset.label, str(trial.scope)


def estimates(trials: Iterable[TrialConfig], label: str | None = None) -> dict[str, Estimate]:
    """Estimate the cost of the trials of a comparison, by method, network, data set and scope.

    Args:
        trials: Trials. Those of a group differ in density and seed alone, so they cost the same.
        label: Name of the method; default: its label.

    Returns:
        The estimate of each group by its name.

    Raises:
        MissingData: As :func:`estimate`.
        InputError: As :func:`estimate`.
    """
    groups: dict[tuple[str, ...], list[TrialConfig]] = {}
    for trial in trials:
        method, *task = group_of(trial)
        groups.setdefault((label or method, *task), []).append(trial)
    named: dict[str, list[Estimate]] = {}  # labels hold any text, so two groups may have the same name
    for (method, network, dataset, scope), group in groups.items():
        name = f"{method} on {network}, {dataset}, {scope}"
        named.setdefault(name, []).extend(len(group) * [estimate(group[0])])
    return {name: total(parts) for name, parts in named.items()}


@cache
def _count_step(config_json: str, facts: Facts) -> tuple[float, bool, int]:
    """Return the mean FLOPs of a step, whether they include the method's, and the number of rounds."""
    config = TrialConfig.model_validate_json(config_json)
    try:
        return _mean_step(config, facts, config.method.registered, config.method.config)
    except Exception:  # a method that needs values may raise anything
        try:
            return _mean_step(config, facts, Method, Method.Config())[0], False, 1
        except Exception:  # a network may need values too
            return math.nan, False, 1


@cache
def _check_image_size(network_json: str, facts: Facts) -> None:
    """Raise InputError if the network cannot take images of this size."""
    NetworkChoice.model_validate_json(network_json).sketch(facts.shape, facts.classes)


def _mean_step(
    config: TrialConfig, facts: Facts, method_class: type[Method], options: Method.Config
) -> tuple[float, bool, int]:
    """Return what :func:`_count_step` returns, for one method. Raise anything if it needs values."""
    training = config.training
    steps, per_epoch = training.length(facts.train)
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        network = config.network.build(facts.shape, facts.classes)
        layers = config.scope.of(network)
        images = torch.zeros((training.batch_size, *facts.shape))
        labels = torch.zeros(training.batch_size, dtype=torch.int64)
        groups = network_groups(network, layers)
        method = method_class(options, config.density, torch.Generator())
        method.attach(network, layers, (images, labels))
        optimisers = Optimisers(training, groups, method.parameter_groups())
        draw = random.Random(0)
        kinds: dict[Kind, list[Progress]] = {}
        for step in (draw.randint(1, steps) for _ in range(SAMPLES)):
            progress = Progress(step, steps, (step - 1) // per_epoch)
            learning = method.learning(progress)
            kinds.setdefault(None if learning is None else frozenset(learning), []).append(progress)
        flops = 0
        for kind, steps_of_kind in kinds.items():
            optimisers.select(kind)
            with FlopCounter() as counter:
                backward(method, steps_of_kind[0], lambda: F.cross_entropy(network(images), labels))
            flops += counter.flops * len(steps_of_kind)
        return flops / SAMPLES, True, method.rounds
