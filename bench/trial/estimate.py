"""What trials will cost, before anything runs: steps, and FLOPs from networks without memory.

A network on PyTorch's meta device has shapes and no values, so that a step of any size is counted in
milliseconds. Where a method needs values to say what it does, its own cost is left out.
"""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import torch
from torch.nn import functional as F

from switchbench.datasets import Facts, held_out
from switchbench.methods import Method, Progress
from switchbench.spec.components import NetworkChoice
from switchbench.spec.trial import TrialConfig
from switchbench.trial.flops import FlopCounter, Kind
from switchbench.trial.loop import network_groups
from switchbench.trial.optimisers import Optimisers
from switchbench.trial.step import backward

SAMPLES = 1_000
"""Steps of a training that are looked at for what learns in them; one of each kind is counted."""


@dataclass(frozen=True)
class Estimate:
    """The cost of one or several trials."""

    trials: int
    steps: int
    flops: float
    """Of matrix products and convolutions, forward and backward; a multiply-add is two."""
    whole: bool
    """Whether what methods add is counted."""

    def hours(self, tflops: float) -> float:
        """Hours at so many 10^12 FLOPs a second."""
        return self.flops / tflops / 1e12 / 3600


def total(estimates: Iterable[Estimate]) -> Estimate:
    """The cost of all of them."""
    parts = list(estimates)
    return Estimate(
        sum(part.trials for part in parts),
        sum(part.steps for part in parts),
        sum(part.flops for part in parts),
        all(part.whole for part in parts),
    )


def estimate(config: TrialConfig) -> Estimate:
    """The cost of one trial, without its dense start. Raises MissingData where a data set of unknown size
    is not here, and InputError where the network cannot take its images."""
    facts = config.dataset.facts()
    examples = facts.train - held_out(facts.train, config.validation)
    _fits(config.network.model_dump_json(), facts)
    alike = config.model_copy(update={"seed": 0, "density": config.density and 0.1})
    flops, whole, rounds = _step(alike.model_dump_json(), facts)
    steps = rounds * config.training.length(examples)[0]
    return Estimate(1, steps, steps * flops, whole)


@cache
def _step(config_json: str, facts: Facts) -> tuple[float, bool, int]:
    """Mean FLOPs of a step, whether the method's are among them, and the method's rounds."""
    config = TrialConfig.model_validate_json(config_json)
    try:
        return _count(config, facts, config.method.registered, config.method.config)
    except Exception:  # a method may do anything with values that are not there
        try:
            return _count(config, facts, Method, Method.Config())[0], False, 1
        except Exception:  # and so may a network
            return math.nan, False, 1


@cache
def _fits(network_json: str, facts: Facts) -> None:
    NetworkChoice.model_validate_json(network_json).sketch(facts.shape, facts.classes)


def _count(
    config: TrialConfig, facts: Facts, method_class: type[Method], options: Method.Config
) -> tuple[float, bool, int]:
    training = config.training
    steps, per_epoch = training.length(facts.train)
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        network = config.network.build(facts.shape, facts.classes)
        layers = config.scope.of(network)
        images = torch.zeros((training.batch_size, *facts.shape))
        labels = torch.zeros(training.batch_size, dtype=torch.int64)
        own = network_groups(network, layers)
        method = method_class(options, config.density, torch.Generator())
        method.attach(network, layers, (images, labels))
        optimisers = Optimisers(training, own, method.parameter_groups())
        draw = random.Random(0)
        kinds: dict[Kind, list[Progress]] = {}
        for step in (draw.randint(1, steps) for _ in range(SAMPLES)):
            progress = Progress(step, steps, (step - 1) // per_epoch)
            learning = method.learning(progress)
            kinds.setdefault(None if learning is None else frozenset(learning), []).append(progress)
        flops = 0
        for kind, alike in kinds.items():
            optimisers.select(kind)
            with FlopCounter() as counter:
                backward(method, alike[0], lambda: F.cross_entropy(network(images), labels))
            flops += counter.flops * len(alike)
        return flops / SAMPLES, True, method.rounds
