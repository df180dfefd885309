"""What a method adds to the cost of training, measured in the same run.

A plain copy of the network takes steps beside the training now and then: the same forward and
backward pass, loss and optimiser, all weights learning and no method. What the training spends
beyond that, in seconds and in FLOPs, the method has added.
"""

import copy
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from switchbench.datasets import Batch, Split
from switchbench.spec.training import TrainingConfig
from switchbench.trial.forward import Network, compiled, task_loss
from switchbench.trial.optimisers import Optimisers

WARM_UP, BURST = 2, 8
"""Plain steps taken at a time: some to warm caches, then those that are timed."""
SHARE = 0.02
"""Timed plain steps over training steps, about."""
STRIDE = 97
"""Every so many steps one is counted; prime, to fall on all phases of periodic schedules."""

Kind = frozenset[str] | None
"""The groups that learn in a step; None: all."""


class FlopCounter(TorchDispatchMode):
    """Counts the FLOPs of matrix products and convolutions that are executed, forward and backward,
    by PyTorch's own formulas (a multiply-add is two). Lighter than torch's FlopCounterMode."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=out)
        return out


class StepFlops:
    """Estimates the FLOPs of a whole training from a sample of its steps.

    Steps of one kind (the same groups learn) are alike but for what a method does now and then,
    so that each kind is counted at its first step and then every :data:`STRIDE` steps.
    """

    def __init__(self) -> None:
        self._steps: Counter[Kind] = Counter()
        self._counted: Counter[Kind] = Counter()
        self._flops: Counter[Kind] = Counter()
        self.counting = False
        """Whether the step that is surrounded now is counted."""

    @contextmanager
    def step(self, kind: Kind) -> Iterator[None]:
        """Surround one training step."""
        number = self._steps[kind]
        self._steps[kind] += 1
        if number % STRIDE:
            yield
            return
        self.counting = True
        try:
            with FlopCounter() as counter:
                yield
        finally:
            self.counting = False
        self._counted[kind] += 1
        self._flops[kind] += counter.flops

    @property
    def total(self) -> float:
        """Estimated FLOPs of all steps so far."""
        return sum(steps * self._flops[kind] / self._counted[kind] for kind, steps in self._steps.items())

    def state_dict(self) -> list[Any]:
        """The counters as plain data."""
        return [
            [sorted(kind) if kind else None, steps, self._counted[kind], self._flops[kind]]
            for kind, steps in self._steps.items()
        ]

    def load_state_dict(self, stored: list[Any]) -> None:
        """Undo :meth:`state_dict`."""
        for names, steps, counted, flops in stored:
            kind = None if names is None else frozenset(names)
            self._steps[kind], self._counted[kind], self._flops[kind] = steps, counted, flops


class Yardstick:
    """A plain copy of a network, made before a method attaches."""

    def __init__(self, network: nn.Module, config: TrainingConfig) -> None:
        self._network = copy.deepcopy(network).train()
        self._config = config
        self._compiled = compiled(self._network, config)
        self._optimisers = Optimisers(config, {"all": list(self._network.parameters())}, [])
        self.seconds: list[float] = []
        """Seconds of a plain step in each burst so far."""
        self.flops = 0
        """FLOPs of one plain step."""

    def measure(self, split: Split, batches: Sequence[Batch]) -> None:
        """Take a burst of plain steps on batches in turn; the trial's random state is left alone."""
        device = split.device
        turn = cycle(batches)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            for _ in range(WARM_UP):
                self._step(split, next(turn))
            burst = self._cuda_burst if device.type == "cuda" else self._burst
            self.seconds.append(burst(split, turn))
            if not self.flops:
                with FlopCounter() as counter:
                    self._step(split, batches[0], self._network)
                self.flops = counter.flops

    def _burst(self, split: Split, turn: Iterator[Batch]) -> float:
        """Seconds of a step: the median, which a neighbour's moment does not move."""
        seconds = []
        for _ in range(BURST):
            started = time.perf_counter()
            self._step(split, next(turn))
            seconds.append(time.perf_counter() - started)
        return statistics.median(seconds)

    def _cuda_burst(self, split: Split, turn: Iterator[Batch]) -> float:
        """The same where steps are queued, as in training: one wait at the end, and the mean."""
        torch.cuda.synchronize(split.device)
        started = time.perf_counter()
        for _ in range(BURST):
            self._step(split, next(turn))
        torch.cuda.synchronize(split.device)
        return (time.perf_counter() - started) / BURST

    def due(self, step: int) -> bool:
        """Whether ``step`` steps of training pay for another burst."""
        return BURST * len(self.seconds) < SHARE * step

    @property
    def step_seconds(self) -> float:
        """Seconds of one plain step, the mean over bursts: times when the machine is slow count in
        it as they do in the training."""
        return statistics.fmean(self.seconds)

    def _step(self, split: Split, batch: Batch, network: Network | None = None) -> None:
        task_loss(network or self._compiled, split, batch, self._config).backward()
        self._optimisers.step(0.0)
