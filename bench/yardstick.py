"""What a method adds to the cost of training, measured in the same run.

A plain copy of the network takes steps beside the training now and then: the same forward and
backward pass, loss and optimiser, all weights learning and no method. What the training spends
beyond that, in seconds and in FLOPs, the method has added.
"""

import copy
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from switchbench.datasets import Split
from switchbench.optimisers import Optimisers, TrainingConfig

WARM_UP, BURST = 4, 12
"""Plain steps taken at a time: some to warm caches, then those that are timed."""
SHARE = 0.01
"""Plain steps over training steps, about."""
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

    @contextmanager
    def step(self, kind: Kind) -> Iterator[None]:
        """Surround one training step."""
        number = self._steps[kind]
        self._steps[kind] += 1
        if number % STRIDE:
            yield
            return
        with FlopCounter() as counter:
            yield
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
        self._optimisers = Optimisers(config, {"all": list(self._network.parameters())}, [])
        self.seconds: list[float] = []
        """Seconds of every plain step timed so far."""
        self.flops = 0
        """FLOPs of one plain step."""

    def measure(self, split: Split, index: Tensor) -> None:
        """Take a burst of plain steps on a batch; the trial's random state is left alone."""
        device = split.labels.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            for _ in range(WARM_UP):
                self._step(split, index)
            self.seconds += (
                self._cuda_burst(split, index) if device.type == "cuda" else self._burst(split, index)
            )
            if not self.flops:
                with FlopCounter() as counter:
                    self._step(split, index)
                self.flops = counter.flops

    def _burst(self, split: Split, index: Tensor) -> list[float]:
        """Seconds of each of some steps."""
        seconds = []
        for _ in range(BURST):
            started = time.perf_counter()
            self._step(split, index)
            seconds.append(time.perf_counter() - started)
        return seconds

    def _cuda_burst(self, split: Split, index: Tensor) -> list[float]:
        """The same where steps are queued, as in training: one wait at the end, and the mean for each."""
        torch.cuda.synchronize(split.labels.device)
        started = time.perf_counter()
        for _ in range(BURST):
            self._step(split, index)
        torch.cuda.synchronize(split.labels.device)
        return [(time.perf_counter() - started) / BURST] * BURST

    def due(self, step: int) -> bool:
        """Whether ``step`` steps of training pay for another burst."""
        return len(self.seconds) < SHARE * step

    @property
    def step_seconds(self) -> float:
        """Seconds of one plain step, the median."""
        return statistics.median(self.seconds)

    def _step(self, split: Split, index: Tensor) -> None:
        images, labels = split.batch(index)
        F.cross_entropy(self._network(images), labels).backward()
        self._optimisers.step(0.0)
