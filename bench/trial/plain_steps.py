"""Time plain training steps on a copy of the network, while a training with a method runs."""

import copy
import statistics
from collections.abc import Sequence
from itertools import cycle

import torch
from torch import nn

from switchbench.datasets import Batch, Split
from switchbench.measure import clock
from switchbench.spec.training import TrainingConfig
from switchbench.trial.flops import FlopCounter
from switchbench.trial.optimisers import Optimisers
from switchbench.trial.step import Forward, forward_function, task_loss

WARM_UP, BURST = 2, 8
"""Plain steps in one burst: first those that warm the caches, then those that are timed."""
SHARE = 0.02
"""Timed plain steps as a share of the training steps, approximately."""


class PlainStepTimer:
    """Takes plain steps on a copy of a network: all weights learn, and no method acts.

    Forward and backward pass, loss and optimiser are those of the training. Learning rates are 0.
    """

    def __init__(self, network: nn.Module, config: TrainingConfig) -> None:
        """Copy the network.

        Args:
            network: The network before a method attaches. It is not changed.
            config: Settings of the training.
        """
        self._network = copy.deepcopy(network).train()
        self._config = config
        self._forward = forward_function(self._network, config)
        self._optimisers = Optimisers(config, {"all": list(self._network.parameters())}, [])
        self.seconds: list[float] = []
        """Seconds of one plain step, one number per burst."""
        self.flops = 0
        """FLOPs of one plain step."""

    def measure(self, split: Split, batches: Sequence[Batch]) -> None:
        """Time one burst of plain steps. The random state of the trial does not change.

        Args:
            split: Training images.
            batches: Batches of the split, at least one; used in turn.
        """
        device = split.device
        turn = cycle(batches)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            for _ in range(WARM_UP):
                self._step(split, next(turn))
            started = clock.seconds(device)
            for _ in range(BURST):
                self._step(split, next(turn))
            self.seconds.append((clock.seconds(device) - started) / BURST)
            if not self.flops:
                with FlopCounter() as counter:
                    self._step(split, batches[0], self._network)
                self.flops = counter.flops

    def due(self, step: int) -> bool:
        """Return whether another burst stays within :data:`SHARE` of ``step`` training steps."""
        return BURST * len(self.seconds) < SHARE * step

    @property
    def step_seconds(self) -> float:
        """Seconds of one plain step, the mean over bursts.

        The mean includes times when the machine is slow, as the time of the training does.
        """
        return statistics.fmean(self.seconds)

    def _step(self, split: Split, batch: Batch, forward: Forward | None = None) -> None:
        task_loss(forward or self._forward, split, batch, self._config).backward()
        self._optimisers.step(0.0)
