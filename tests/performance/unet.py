"""`switcher-paper` and `switcher-neurons` read each weight matrix with a U-Net in every training step. The network
is 784-300-100-10, a batch has 128 images. In even epochs gradients flow through the readers to the weights, in
odd epochs to the readers' own parameters; half of the steps here are of either kind. All times are processor
times on one thread.

The floor is the time that a step would take if all its FLOPs ran at the speed of a large matrix product. A step
stays above it for two reasons. First, the convolutions of the finest level have 8 channels or one, and the
processor computes 16 numbers at once: these convolutions reach half of that speed or less, those with 32
channels and more reach 80 to 100 % of it. Second, almost half of the time goes to batch norm, ReLU, pooling
and concatenation. They compute almost nothing, but they read and write maps of 8 × 784 × 300 numbers (7.5 MB),
which no cache of a core holds. So even the convolutions alone, without all the rest, cost more plain steps than
the aim allows for the whole step.
"""

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from performance.measurement import Measurement
from switchbench import datasets
from switchbench.datasets import Batch, Splits
from switchbench.methods import METHODS, Progress
from switchbench.spec.trial import TrialConfig
from switchbench.trial import seeds
from switchbench.trial.flops import FlopCounter
from switchbench.trial.loop import network_groups
from switchbench.trial.optimisers import Optimisers
from switchbench.trial.step import take_step, task_loss

TITLE = "Readers of the paper's switchers"
NAMES = ("switcher-paper", "switcher-neurons")
BATCH = 128
EACH = 2
"""Steps of each kind per measurement."""
PLAIN = 20
"""Plain steps that are timed beside each step."""
SIDE = 1024
"""Rows and columns of the matrix product."""
CONVOLUTIONS = {torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default}


def measure(pairs: int) -> Iterator[Measurement]:
    """Time each switcher beside plain steps and a matrix product."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # as in a trial
    splits = datasets.split(datasets.load("fashion-mnist"), 0.1, seeds.generator(0, "split"))
    for name in NAMES:
        yield from _measure(name, splits, pairs)
    torch.set_flush_denormal(False)


def _measure(name: str, splits: Splits, pairs: int) -> Iterator[Measurement]:
    steps = Steps(name, splits)
    steps.take()  # what happens only once: kernels are compiled, memory is fetched
    taken = [steps.take() for _ in range(pairs)]
    flops, plain_flops = steps.flops()

    def row(what: str, values: list[float], unit: str = "×", limit: str = "") -> Measurement:
        return Measurement(f"{name}: {what}", values, unit, limit)

    yield row("step / plain step", [each.step / each.plain for each in taken], limit="≤ 40")
    yield row("its convolutions / plain step", [each.convolutions / each.plain for each in taken])
    yield row("floor / plain step", [flops / each.peak / each.plain for each in taken])
    yield row("FLOPs / FLOPs of a plain step", [flops / plain_flops])
    yield row("share of time in convolutions", [100 * each.convolutions / each.step for each in taken], "%")
    yield row("speed", [flops / each.step / 1e9 for each in taken], "GFLOP/s")
    yield row("speed of its convolutions", [flops / each.convolutions / 1e9 for each in taken], "GFLOP/s")
    yield row("speed of a plain step", [plain_flops / each.plain / 1e9 for each in taken], "GFLOP/s")
    yield row("speed of a matrix product", [each.peak / 1e9 for each in taken], "GFLOP/s")


@dataclass(frozen=True)
class Times:
    """Processor seconds of a step, the mean of both kinds, and of what ran beside it."""

    step: float
    convolutions: float
    """Seconds of the step in convolutions, forward and backward."""
    plain: float
    peak: float
    """FLOPs per second of a large matrix product."""


class Steps:
    """Training steps of a network with a switcher, and plain steps of a copy."""

    def __init__(self, name: str, splits: Splits) -> None:
        """Attach the switcher to a new network."""
        torch.manual_seed(0)
        training = {"steps": 1, "batch_size": BATCH, "lr": 1e-3}
        trial = TrialConfig.of(
            network="lenet-300-100", dataset="fashion-mnist", method=name, training=training
        )
        self._train, self._config = splits.train, trial.training
        self._network = trial.network.build(splits.input_shape, splits.classes).train()
        layers = trial.scope.of(self._network)
        groups = network_groups(self._network, layers)
        self._plain_network = copy.deepcopy(self._network)
        self._plain = Optimisers(self._config, network_groups(self._plain_network, {}), [])
        self._method = METHODS[name](METHODS[name].Config(), None, seeds.generator(0, "method"))
        self._method.attach(self._network, layers, self._train.batch(slice(0, BATCH)))
        self._optimisers = Optimisers(self._config, groups, self._method.parameter_groups())
        order = torch.randperm(len(self._train), generator=seeds.generator(0, "batches"))
        self._batches = cycle(Batch(rows) for rows in order.split(BATCH)[:PLAIN])

    def take(self) -> Times:
        """Time steps of both kinds, plain steps and matrix products, in turn."""
        clock, factor = ConvolutionClock(), torch.ones(SIDE, SIDE)
        steps: list[float] = []
        plain: list[float] = []
        products: list[float] = []
        for kind in EACH * ("weights", "readers"):
            steps.append(_seconds(partial(self._step, kind)))
            with clock:
                self._step(kind)
            plain.append(_seconds(self._plain_steps) / PLAIN)
            products.append(_seconds(partial(torch.mm, factor, factor)))
        mean = statistics.fmean
        return Times(mean(steps), clock.seconds / len(steps), mean(plain), 2 * SIDE**3 / min(products))

    def flops(self) -> tuple[float, float]:
        """Count the FLOPs of a step, the mean of both kinds, and of a plain step."""
        with FlopCounter() as counter:
            for kind in ("weights", "readers"):
                self._step(kind)
        with FlopCounter() as plain:
            self._plain_steps()
        return counter.flops / 2, plain.flops / PLAIN

    def _step(self, learns: str) -> None:
        progress = Progress(1, 4, ("weights", "readers").index(learns), self._optimisers.step_size)
        self._optimisers.select(self._method.learning(progress))
        take_step(self._method, progress, partial(self._loss, self._network), self._optimisers, 1.0)

    def _plain_steps(self) -> None:
        for _ in range(PLAIN):
            self._loss(self._plain_network).backward()
            self._plain.step(1.0)

    def _loss(self, network: nn.Module) -> Tensor:
        return task_loss(network, self._train, next(self._batches), self._config)


class ConvolutionClock(TorchDispatchMode):
    """Adds up the processor time of convolutions inside."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        started = time.process_time()
        out = func(*args, **(kwargs or {}))
        if func in CONVOLUTIONS:
            self.seconds += time.process_time() - started
        return out


def _seconds(action: Callable[[], object]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started
