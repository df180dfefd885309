"""Estimate the cost of trials before they run: gradient steps and FLOPs.

A step that takes a few milliseconds is taken on the CPU. Others are counted on PyTorch's meta device, where
tensors have shapes but no values, so that a step of any size takes milliseconds. If a method needs values, it
cannot run there, and its own cost is left out.
"""

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch.nn import functional as F

from switchbench.datasets import Facts, training_size
from switchbench.measure.threads import with_threads
from switchbench.methods import Method, Progress
from switchbench.spec.components import NetworkChoice
from switchbench.spec.trial import TrialConfig
from switchbench.trial.flops import FlopCounter, Kind
from switchbench.trial.loop import network_groups
from switchbench.trial.optimisers import ParameterGroups
from switchbench.trial.step import backward

SAMPLES = 1_000
"""Steps that are sampled to find which parameter groups learn in them; one step of each kind is counted."""

SHORT_STEP = 4e8
"""FLOPs of a plain step up to which it is taken on the CPU: milliseconds. The first operation on the meta
device takes a second, in which torch imports its compiler."""
USUAL_BATCH = 128
"""Smaller batches count as such a one: what methods compute with weights does not shrink with the batch."""


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
    _forward_flops(config.network.model_dump_json(), config.network.version, facts)
    counted = _count_of(config, facts)
    steps = counted.rounds * config.training.length(examples)[0]
    flops = counted.attaching + steps * counted.step
    return Estimate(1, steps, flops, counted.complete, config.training.kernels == "sparse")


def rounds(config: TrialConfig) -> int:
    """Return how many times a trial trains: more than once for a method such as the lottery ticket.

    Raises:
        MissingData: As :func:`estimate`.
    """
    return _count_of(config, config.dataset.facts()).rounds


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
        return steps * _counted(config, facts, Method, Method.Config()).step
    except Exception:  # as in _count
        return math.nan


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
        *task, method = trial.place
        groups.setdefault((*task, label or method), []).append(trial)
    named: dict[str, list[Estimate]] = {}  # labels hold any text, so two groups may have the same name
    for (network, dataset, scope, method), group in groups.items():
        name = f"{method} on {network}, {dataset}, {scope}"
        named.setdefault(name, []).extend(len(group) * [estimate(group[0])])
    return {name: total(parts) for name, parts in named.items()}


@dataclass(frozen=True)
class _Counted:
    """What was counted of a trial."""

    step: float
    """Mean FLOPs of a step."""
    attaching: int = 0
    """FLOPs of the method before the first step."""
    complete: bool = False
    """Whether they include the method's."""
    rounds: int = 1


def _count_of(config: TrialConfig, facts: Facts) -> "_Counted":
    """Count a trial. Density and seed change nothing, so all that differ in these alone are counted once."""
    one = config.at(config.density and 0.1, seed=0)
    return _count(one.model_dump_json(), one.trial_id, facts)


@cache
def _count(config_json: str, trial_id: str, facts: Facts) -> _Counted:
    """Count a trial with its method, or without it, or nothing (NaN). The id tells versions apart."""
    config = TrialConfig.model_validate_json(config_json)
    try:
        return _counted(config, facts, config.method.registered, config.method.config)
    except Exception:  # a method that needs values may raise anything
        try:
            return _Counted(_counted(config, facts, Method, Method.Config()).step)
        except Exception:  # a network may need values too
            return _Counted(math.nan)


@cache
def _forward_flops(network_json: str, version: str, facts: Facts) -> float:
    """Return the FLOPs of a network of a version for one image; infinity if its sketch is too large for the
    CPU. Raise InputError if the network cannot take images of this size."""
    choice = NetworkChoice.model_validate_json(network_json)
    network, image = choice.sketch(facts.shape, facts.classes)
    if image.is_meta:
        return math.inf
    with FlopCounter() as counter, torch.no_grad():
        network(image)
    return float(counter.flops)


def _counted(
    config: TrialConfig, facts: Facts, method_class: type[Method], options: Method.Config
) -> _Counted:
    """Count a trial with one method. Raise anything if it needs values that are not there."""
    steps, per_epoch = config.training.length(training_size(facts.train, config.validation))
    forward = _forward_flops(config.network.model_dump_json(), config.network.version, facts)
    plain_step = 3 * forward * max(config.training.batch_size, USUAL_BATCH)
    on = torch.device("cpu" if plain_step <= SHORT_STEP else "meta")
    # on a busy machine several threads would wait for each other
    with on, with_threads(1), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = method_class(options, config.density, torch.Generator())
        attaching, count_step = _attach(method, config, facts)
        draw = random.Random(0)
        kinds: dict[Kind, list[Progress]] = {}
        for step in (draw.randint(1, steps) for _ in range(SAMPLES)):
            progress = Progress(step, steps, (step - 1) // per_epoch)
            learning = method.learning(progress)
            kinds.setdefault(None if learning is None else frozenset(learning), []).append(progress)
        flops = 0
        for number, (kind, steps_of_kind) in enumerate(kinds.items()):
            if number:  # the step before has not ended, and what it left would be in the way
                again = method_class(options, config.density, torch.Generator())
                _, count_step = _attach(again, config, facts)
            flops += count_step(kind, steps_of_kind[0]) * len(steps_of_kind)
        return _Counted(flops / SAMPLES, attaching, True, method.rounds)


def _attach(method: Method, config: TrialConfig, facts: Facts) -> tuple[int, Callable[[Kind, Progress], int]]:
    """Attach a method to a new network.

    Returns:
        The FLOPs of that, and a function that counts those of a step in which the groups of a kind learn.
    """
    network = config.network.build(facts.shape, facts.classes)
    layers = config.scope.of(network)
    images = torch.rand((config.training.batch_size, *facts.shape))
    labels = torch.arange(config.training.batch_size) % facts.classes
    groups = network_groups(network, layers)
    with FlopCounter() as attaching:
        method.attach(network, layers, (images, labels))
    network.zero_grad(set_to_none=True)
    parameters = ParameterGroups(groups, method.parameter_groups())

    def count_step(kind: Kind, progress: Progress) -> int:
        parameters.select(kind)
        progress = replace(progress, step_size=lambda _: 0.0, fresh=lambda _: (images, labels))
        with FlopCounter() as counter:
            backward(method, progress, lambda: F.cross_entropy(network(images), labels))
        return int(counter.flops)

    return attaching.flops, count_step
