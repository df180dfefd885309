"""Timing plain training steps on a copy of the network, beside the training that they are compared with."""

import copy
import statistics
import time
from collections.abc import Iterator, Sequence
from itertools import cycle

import torch
from torch import nn

from switchbench.datasets import Batch, Split
from switchbench.spec.training import TrainingConfig
from switchbench.trial.flops import FlopCounter
from switchbench.trial.optimisers import Optimisers
from switchbench.trial.step import Network, compiled, task_loss

WARM_UP, BURST = 2, 8
"""Plain steps taken at a time: first some that warm caches, then those that are timed."""
SHARE = 0.02
"""Timed plain steps over training steps, about."""


class PlainStepTimer:
    """Takes plain steps on a copy of a network that is made before a method attaches: the same forward and
    backward pass, loss and optimiser; all weights learn, and no method acts."""

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
