"""The training loop: one for every method, and closed. Methods act through their contract."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from switchbench.datasets import Batch, Split, Splits
from switchbench.datasets.augment import NO_AUGMENTATION
from switchbench.measure import accounting
from switchbench.measure.evaluation import evaluate
from switchbench.methods import Layers, Method, Progress
from switchbench.methods.contract import OTHERS, WEIGHTS
from switchbench.spec.training import TrainingConfig
from switchbench.trial import seeds
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.cost import FlopCounter, StepFlops, Yardstick
from switchbench.trial.forward import compiled, task_loss
from switchbench.trial.optimisers import Optimisers


class Diverged(Exception):
    """The training loss is no longer finite."""


class Pruned(Exception):
    """Who watches a training has seen enough of it, after so many ``steps``."""

    def __init__(self, steps: int) -> None:
        super().__init__(f"after {steps} steps")
        self.steps = steps


Watch = Callable[[dict[str, float]], None]
"""Sees every point of a training's curves, in turn; raises :class:`Pruned` to end it."""


@dataclass
class History:
    """What training took and how it went."""

    steps: int = 0
    """Gradient steps of all rounds."""
    examples: int = 0
    train_seconds: float = 0.0
    """Seconds of training, everything that the method does included, evaluation left out."""
    train_flops: float = 0.0
    """FLOPs of matrix products and convolutions executed in training, estimated from a sample."""
    method_parameters: int = 0
    """Learnable parameters that the method added."""
    method_seconds: float = 0.0
    """``train_seconds`` beyond one round of plain steps, timed on a plain copy in the same run."""
    method_flops: float = 0.0
    """``train_flops`` beyond one round of plain steps."""
    curves: list[dict[str, float]] = field(default_factory=list)
    """One row per epoch."""


def train(
    network: nn.Module,
    layers: Layers,
    method: Method,
    splits: Splits,
    config: TrainingConfig,
    seed: int,
    deadline: float = math.inf,
    checkpoint: Checkpoint | None = None,
    watch: Watch | None = None,
) -> History:
    """Train a network with a method attached, in place; finalise the method at the end.

    ``deadline`` is a value of ``time.monotonic()``. Where a ``checkpoint`` holds one, training
    goes on from there, to the same bits. ``watch`` sees every point of the curves. Raises TimeoutError
    past the deadline, Diverged when an epoch's loss is not finite, and what ``watch`` raises.
    """
    return _Training(network, layers, method, splits, config, seed, deadline, watch).run(checkpoint)


class _Training:
    """One run of the loop, and what a checkpoint of it holds."""

    def __init__(
        self,
        network: nn.Module,
        layers: Layers,
        method: Method,
        splits: Splits,
        config: TrainingConfig,
        seed: int,
        deadline: float,
        watch: Watch | None,
    ) -> None:
        self.network, self.layers, self.method = network, layers, method
        self.splits, self.config, self.seed = splits, config, seed
        self.deadline, self.watch = deadline, watch
        self.steps, _ = config.length(len(splits.train))
        self.round = 0
        self.step = 0
        """Steps of the round's schedule that are over."""
        self.history = History()
        self.flops = StepFlops()
        self.yardstick = Yardstick(network, config)
        own = network_groups(network, layers)
        calibration = splits.train.batch(slice(0, config.batch_size))
        with self._timed(), FlopCounter() as attaching:
            method.attach(network, layers, calibration)
        self.attach_flops = attaching.flops
        network.zero_grad(set_to_none=True)  # what scoring at initialisation may have left
        self.compiled = compiled(network, config)
        extra = method.parameter_groups()
        self.history.method_parameters = sum(p.numel() for group in extra for p in group.parameters)
        self.groups = own, extra
        self.optimisers = Optimisers(config, *self.groups)
        torch.manual_seed(seeds.derive(seed, "training"))

    def run(self, checkpoint: Checkpoint | None) -> History:
        if checkpoint and (stored := checkpoint.load(self.splits.train.device)):
            self._restore(stored)
        self.network.train()
        while True:
            self._round(checkpoint)
            if self.round + 1 == self.method.rounds:
                break
            with self._timed():
                self.step = self.method.rewind()
                self.optimisers.select(None)
                self.optimisers = Optimisers(self.config, *self.groups)
            self.round += 1
        self.optimisers.select(None)
        self.network.eval()
        with self._timed():
            self.method.finalise()
        return self._account()

    def _round(self, checkpoint: Checkpoint | None) -> None:
        for epoch, batches in _epochs(self.splits.train, self.config, self.seed, self.step):
            if self.yardstick.due(self.history.steps + 1):
                self.yardstick.measure(self.splits.train, batches)
            with self._timed():
                train_loss, lr = self._epoch(epoch, batches)
            if not math.isfinite(train_loss):
                where = f"in epoch {epoch}, step {self.step} of {self.steps}"
                raise Diverged(f"training loss is {train_loss} {where}")
            point: dict[str, float] = {"round": self.round, "epoch": epoch, "step": self.history.steps}
            point |= {"lr": lr, "train_loss": train_loss}
            self.history.curves.append(point | self._observe())
            if checkpoint and checkpoint.due():
                checkpoint.save(self._state())
            if self.watch:
                self.watch(self.history.curves[-1])

    def _epoch(self, epoch: int, batches: Sequence[Batch]) -> tuple[float, float]:
        """Train on the batches; return the mean task loss and the last learning rate."""
        loss_sum = torch.zeros((), device=self.splits.train.device)
        seen, factor = 0, 1.0
        for batch in batches:
            factor = self.config.lr_factor(self.step / self.steps)
            self.step += 1
            progress = Progress(self.step, self.steps, epoch, self.optimisers.step_size)
            learning = self.method.learning(progress)
            self.optimisers.select(learning)
            with self.flops.step(None if learning is None else frozenset(learning)):
                try:
                    loss_sum += self._step(progress, batch, factor) * batch.size
                except Exception as error:  # what weights that are not numbers lead to is divergence
                    if self._finite():
                        raise
                    raise Diverged(f"weights are not finite at step {self.step} of {self.steps}") from error
            seen += batch.size
            self.history.steps += 1
            if time.monotonic() > self.deadline:
                raise TimeoutError(f"deadline passed at step {self.step} of {self.steps}")
        self.history.examples += seen
        return loss_sum.item() / seen, factor * self.config.lr

    def _step(self, progress: Progress, batch: Batch, factor: float) -> Tensor:
        """One gradient step; returns the batch's task loss."""
        method = self.method
        method.before_step(progress)
        with parametrize.cached():  # a layer that is used twice has one weight
            network = self.network if self.flops.counting else self.compiled
            loss = task_loss(network, self.splits.train, batch, self.config)
        penalty = method.penalty(progress)
        (loss if penalty is None else loss + penalty).backward()
        method.after_backward(progress)
        self.optimisers.step(factor)
        method.after_step(progress)
        return loss.detach()

    def _finite(self) -> bool:
        return all(bool(parameter.isfinite().all()) for parameter in self.network.parameters())

    def _observe(self) -> dict[str, float]:
        """Validation metrics and density of the network as it stands; gates are computed once."""
        self.network.eval()
        with torch.no_grad(), parametrize.cached():
            self.method.before_evaluation()
            metrics = evaluate(self.network, self.splits.validation)
            density = accounting.density(self.layers)
        self.network.train()
        return {"val_loss": metrics.loss, "val_accuracy": metrics.accuracy, "density": density}

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Count the seconds inside as training."""
        started = time.perf_counter()
        yield
        self.history.train_seconds += time.perf_counter() - started

    def _account(self) -> History:
        history = self.history
        history.train_flops = self.attach_flops + self.flops.total
        history.method_flops = history.train_flops - self.steps * self.yardstick.flops
        history.method_seconds = history.train_seconds - self.steps * self.yardstick.step_seconds
        return history

    def _state(self) -> dict[str, Any]:
        """All that a checkpoint needs, as tensors and plain values."""
        cuda = torch.cuda.get_rng_state() if self.splits.train.device.type == "cuda" else None
        return {
            "round": self.round,
            "step": self.step,
            "history": asdict(self.history),
            "network": self.network.state_dict(),
            "method": self.method.state_dict(),
            "optimisers": self.optimisers.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": cuda,
            "flops": self.flops.state_dict(),
            "plain": {"seconds": self.yardstick.seconds, "flops": self.yardstick.flops},
        }

    def _restore(self, stored: dict[str, Any]) -> None:
        self.round, self.step = stored["round"], stored["step"]
        self.history = History(**stored["history"])
        self.network.load_state_dict(stored["network"])
        self.method.load_state_dict(stored["method"])
        self.optimisers.load_state_dict(stored["optimisers"])
        self.flops.load_state_dict(stored["flops"])
        self.yardstick.seconds, self.yardstick.flops = stored["plain"]["seconds"], stored["plain"]["flops"]
        torch.set_rng_state(stored["random"].cpu())
        if stored["random_cuda"] is not None:
            torch.cuda.set_rng_state(stored["random_cuda"].cpu())


def network_groups(network: nn.Module, layers: Layers) -> dict[str, list[nn.Parameter]]:
    """The network's parameters before a method attaches: weights in scope, and all others."""
    scoped = {id(layer.weight) for layer in layers.values()}
    groups: dict[str, list[nn.Parameter]] = {WEIGHTS: [], OTHERS: []}
    for parameter in network.parameters():
        if parameter.requires_grad:  # what a network has frozen stays frozen, whoever takes turns
            groups[WEIGHTS if id(parameter) in scoped else OTHERS].append(parameter)
    return groups


def _epochs(
    split: Split, config: TrainingConfig, seed: int, after: int
) -> Iterator[tuple[int, Sequence[Batch]]]:
    """Number and batches of each epoch that is left after ``after`` steps, in an order and with
    augmentations that only the seed decides."""
    augment = config.augment or NO_AUGMENTATION  # a trial has one; who trains by hand may not
    order, vary = seeds.generator(seed, "order"), seeds.generator(seed, "augmentation")
    steps, per_epoch = config.length(len(split))
    for epoch, start in enumerate(range(0, steps, per_epoch)):
        shuffled = torch.randperm(len(split), generator=order).to(split.device).split(config.batch_size)
        drawn = augment.draw(len(split), vary, split.device)
        draws = drawn.split(config.batch_size) if drawn else [None] * len(shuffled)
        batches = [Batch(index, draw) for index, draw in zip(shuffled, draws, strict=True)]
        if left := batches[: steps - start][max(0, after - start) :]:
            yield epoch, left
