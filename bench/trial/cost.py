"""What a training cost, and how much of that its method added, measured in the same run.

A plain copy of the network takes steps beside the training now and then. What the training spends beyond
that, in seconds and in FLOPs, the method has added. What it saves is in the totals alone.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import nn

from switchbench.datasets import Batch, Split
from switchbench.measure import clock
from switchbench.spec.training import TrainingConfig
from switchbench.trial.flops import SPARSE_KERNELS, FlopCounter, StepFlops
from switchbench.trial.plain_steps import PlainStepTimer


@dataclass(frozen=True)
class Costs:
    """What a training took. The fields are columns of its row."""

    steps: int
    """Gradient steps of all rounds."""
    examples: int
    train_seconds: float
    """Time of training, everything that the method does included, evaluation left out. On a CPU it is
    processor time, on a GPU wall time (:func:`switchbench.measure.clock.seconds`)."""
    train_flops: float
    """FLOPs of matrix products and convolutions executed in training, estimated from a sample of its steps. A
    short last batch of an epoch counts as a full one."""
    method_parameters: int
    """Learnable parameters that the method added."""
    method_seconds: float
    """``train_seconds`` beyond one round of plain steps, timed on a plain copy in the same run; negative if
    the training took less, as with sparse kernels."""
    method_flops: float
    """``train_flops`` beyond one round of steps of which each counts as a plain one, or as itself if it takes
    fewer FLOPs: one on sparse kernels, or one in which not all groups learn. So it is never negative."""
    plain_flops: float
    """FLOPs of one round of plain steps, with dense kernels."""


class CostMeter:
    """Measures one training while it runs."""

    def __init__(self, network: nn.Module, config: TrainingConfig) -> None:
        """``network``: before a method attaches."""
        self.method_parameters = 0
        self.steps = 0
        self.examples = 0
        self._seconds = 0.0
        self._since: float | None = None
        """Start of the seconds that are not in :attr:`_seconds` yet."""
        self._attach_flops = 0
        self._device = next(network.parameters()).device
        self._flops = StepFlops()
        self._plain = PlainStepTimer(network, config)

    @property
    def counting(self) -> bool:
        """Whether the FLOPs of the present step are counted, for which it must not run compiled."""
        return self._flops.counting

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the seconds inside as training."""
        self._since = clock.seconds(self._device)
        yield
        self._seconds += clock.seconds(self._device) - self._since
        self._since = None

    @contextmanager
    def untimed(self) -> Iterator[None]:
        """Leave the seconds inside out, within :meth:`timed` or outside of it."""
        was_timed = self._since is not None
        if self._since is not None:
            self._seconds += clock.seconds(self._device) - self._since
        yield
        self._since = clock.seconds(self._device) if was_timed else None

    @contextmanager
    def attaching(self) -> Iterator[None]:
        """Surround the attaching of the method, which is part of the training."""
        with self.timed(), FlopCounter() as counter:
            yield
        self._attach_flops = counter.flops

    def step(
        self, learning: Collection[str] | None, examples: int, sparse_kernels: bool = False
    ) -> AbstractContextManager[None]:
        """Count one gradient step. Return what surrounds it.

        Args:
            learning: The groups that learn in it; None: all.
            examples: Size of its batch.
            sparse_kernels: Whether it uses sparse kernels.
        """
        kind = None if learning is None else frozenset(learning)
        self.steps += 1
        self.examples += examples
        return self._flops.step(SPARSE_KERNELS if sparse_kernels else kind, examples)

    def measure_plain(self, split: Split, batches: Sequence[Batch]) -> None:
        """Time a few plain steps on some of the batches, if that is due. The trial's random state is left
        alone."""
        if self._plain.due(self.steps + 1):
            self._plain.measure(split, batches)

    def costs(self, plain_steps: int) -> Costs:
        """All costs so far.

        Args:
            plain_steps: Steps of one round, which plain training would take.
        """
        one_round = Fraction(plain_steps, self.steps)
        added, plain = Fraction(self._attach_flops), Fraction(0)
        for steps, mean, batch in self._flops.kinds():
            plain_step = self._plain.flops * batch
            added += steps * (mean - one_round * min(mean, plain_step))
            plain += steps * one_round * plain_step
        return Costs(
            steps=self.steps,
            examples=self.examples,
            train_seconds=self._seconds,
            train_flops=self._attach_flops + self._flops.total,
            method_parameters=self.method_parameters,
            method_seconds=self._seconds - plain_steps * self._plain.step_seconds,
            method_flops=float(added),
            plain_flops=float(plain),
        )

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs, as plain values."""
        return {
            "steps": self.steps,
            "examples": self.examples,
            "seconds": self._seconds,
            "flops": self._flops.state_dict(),
            "plain": {"seconds": self._plain.seconds, "flops": self._plain.flops},
        }

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`."""
        self.steps, self.examples, self._seconds = stored["steps"], stored["examples"], stored["seconds"]
        self._flops.load_state_dict(stored["flops"])
        self._plain.seconds, self._plain.flops = stored["plain"]["seconds"], stored["plain"]["flops"]
