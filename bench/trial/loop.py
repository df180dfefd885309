"""The training loop, the same for every method. A method acts only through its contract."""

import copy
import logging
import math
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from switchbench.datasets import Batch, Split, Splits
from switchbench.datasets.augment import NO_AUGMENTATION
from switchbench.measure import counting
from switchbench.measure.evaluation import evaluate
from switchbench.methods import Layers, Method, Progress
from switchbench.methods.contract import OTHERS, WEIGHTS
from switchbench.methods.parts.devices import move
from switchbench.networks.layers import check_weights
from switchbench.spec.training import TrainingConfig
from switchbench.trial import seeds
from switchbench.trial.control import UNCONTROLLED, Control, Stopped
from switchbench.trial.cost import CostMeter, Costs
from switchbench.trial.learning_rate import lr_factor
from switchbench.trial.optimisers import Optimisers
from switchbench.trial.outcomes import Diverged
from switchbench.trial.sparse_kernels import SparseKernels, standing_masks_hold
from switchbench.trial.step import forward_function, take_sparse_step, take_step, task_loss


@dataclass(frozen=True)
class History:
    """Costs and curves of a finished training."""

    costs: Costs
    curves: list[dict[str, float]]
    """One point per epoch."""
    found: dict[str, float]
    """Numbers that the method has learned, by name."""


class Training:
    """One training of a network with a method. Checkpoints hold its state."""

    def __init__(
        self,
        network: nn.Module,
        layers: Layers,
        method: Method,
        splits: Splits,
        config: TrainingConfig,
        seed: int,
        control: Control = UNCONTROLLED,
    ) -> None:
        """Attach the method and build the optimisers.

        Args:
            network: The network. It is trained in place.
            layers: The layers in scope, by name.
            method: A method that is not attached yet.
            splits: Training and validation images. Test images are not read.
            config: Settings of the training.
            seed: Decides the order of the batches and the augmentation.
            control: Deadline, checkpoint and callback.

        Raises:
            ValueError: A layer has no weight of its own.
        """
        check_weights(network)
        self.network, self.layers, self.method = network, layers, method
        self.splits, self.config, self.seed, self.control = splits, config, seed, control
        self.steps, per_epoch = config.length(len(splits.train))
        self.epochs = -(-self.steps // per_epoch)
        self.round = 0
        self.step = 0
        """Completed steps of the schedule of this round."""
        self.curves: list[dict[str, float]] = []
        self.epoch_loss = torch.zeros((), device=splits.train.device)
        """Sum of the task loss over the examples of this epoch, without :attr:`losses`."""
        self.losses: list[tuple[Tensor, int]] = []
        """Mean task loss and size of the latest batches: summed up later, which takes less time in one go."""
        self.epoch_examples = 0
        self.meter = CostMeter(network, config)
        groups = network_groups(network, layers)
        calibration = splits.train.batch(slice(0, config.batch_size))
        with self.meter.attaching():
            method.attach(network, layers, calibration)
        network.zero_grad(set_to_none=True)  # scoring at initialisation may leave gradients
        self.forward = forward_function(network, config)
        method_groups = method.parameter_groups()
        self.meter.method_parameters = sum(p.numel() for group in method_groups for p in group.parameters)
        self.groups = groups, method_groups
        self._make_optimisers()
        torch.manual_seed(seeds.derive(seed, "training"))

    def run(self) -> History:
        """Train to the end and finalise the method.

        If the control's checkpoint holds a state, training continues from it. The result has identical bits.

        Returns:
            Costs of all rounds and one point of the curves per epoch.

        Raises:
            TimeoutError: The deadline has passed.
            Diverged: The loss of an epoch or the weights are not finite.
            Pruned: The control's callback has stopped the training.
            Stopped: The control has stopped the training; its state is in the checkpoint.
        """
        checkpoint = self.control.checkpoint
        if checkpoint and (stored := checkpoint.load(self.splits.train.device)):
            self._restore_if_sound(stored, checkpoint.path)
        self.network.train()
        while True:
            self._train_round()
            if self.round + 1 == self.method.rounds:
                break
            with self.meter.timed():
                self.step = self.method.rewind()
                self.optimisers.select(None)
                self._make_optimisers()
            self.round += 1
        self.optimisers.select(None)
        self.network.eval()
        found = {name: float(value) for name, value in self.method.found().items()}
        with self.meter.timed():
            self.method.finalise()
        return History(self.meter.costs(self.steps), self.curves, found)

    def _make_optimisers(self) -> None:
        self.optimisers = Optimisers(self.config, *self.groups)
        self.sparse: SparseKernels | None = None
        if self.config.kernels == "sparse" and standing_masks_hold(type(self.method)):
            self.sparse = SparseKernels(self.layers, self.method.weights, self.optimisers)

    def _train_round(self) -> None:
        for epoch, batches in _epochs(self.splits.train, self.config, self.seed, self.step):
            self.meter.measure_plain(self.splits.train, batches)
            with self.meter.timed():
                train_loss, lr = self._train_epoch(epoch, batches)
            if not math.isfinite(train_loss):
                where = f"in epoch {epoch}, step {self.step} of {self.steps}"
                raise Diverged(f"training loss is {train_loss} {where}")
            point: dict[str, float] = {"round": self.round, "epoch": epoch, "step": self.meter.steps}
            point |= {"lr": lr, "train_loss": train_loss}
            self.curves.append(point | self._validate())
            if self.control.watch:
                self.control.watch(self.curves[-1])
            self._save_if_due()

    def _train_epoch(self, epoch: int, batches: Sequence[Batch]) -> tuple[float, float]:
        """Train on the batches. Return the mean task loss and the last learning rate."""
        factor = 1.0
        for left, batch in zip(reversed(range(len(batches))), batches, strict=True):
            factor = lr_factor(self.config, self.step / self.steps)
            self.step += 1
            progress = Progress(self.step, self.steps, epoch, self.optimisers.step_size, self._fresh)
            learning = self.method.learning(progress)
            self.optimisers.select(learning)
            sparse = self._use_sparse_kernels(progress, learning)
            with self.meter.step(learning, batch.size, sparse is not None):
                try:
                    self.losses.append((self._step(progress, batch, factor, sparse), batch.size))
                except Exception as error:  # weights that are not finite can cause any error
                    self._use_dense_kernels()
                    if self._weights_are_finite():
                        raise
                    raise Diverged(f"weights are not finite at step {self.step} of {self.steps}") from error
            self.epoch_examples += batch.size
            if time.monotonic() > self.control.deadline:
                raise TimeoutError(f"deadline passed at step {self.step} of {self.steps}")
            if left:  # after the last batch, the epoch is validated first
                self._save_if_due()
        self._use_dense_kernels()
        self._sum_losses()
        loss = self.epoch_loss.item() / self.epoch_examples
        self.epoch_loss.zero_()
        self.epoch_examples = 0
        return loss, factor * self.config.lr

    def _sum_losses(self) -> None:
        for loss, examples in self.losses:
            self.epoch_loss += loss * examples
        self.losses.clear()

    def _save_if_due(self) -> None:
        """Save a checkpoint if it is time for one or the training is stopped; then raise Stopped."""
        stop, checkpoint = self.control.stop(), self.control.checkpoint
        if checkpoint and (stop or checkpoint.due()):
            with self.meter.untimed():
                checkpoint.save(self._state())
        if stop:
            raise Stopped

    def _use_sparse_kernels(
        self, progress: Progress, learning: Collection[str] | None
    ) -> SparseKernels | None:
        """Return the sparse kernels if they are in use in this step."""
        if self.sparse and self.sparse.hold(self.method.standing_masks(progress), learning):
            return self.sparse
        return None

    def _use_dense_kernels(self) -> None:
        if self.sparse:
            self.sparse.release()

    def _step(self, progress: Progress, batch: Batch, factor: float, sparse: SparseKernels | None) -> Tensor:
        """Take one gradient step. Return the task loss of the batch."""
        forward = self.network if self.meter.counting else self.forward
        train = self.splits.train

        def loss() -> Tensor:
            return task_loss(forward, train, batch, self.config)

        if sparse:
            return take_sparse_step(sparse, loss, self.optimisers, factor)
        return take_step(self.method, progress, loss, self.optimisers, factor)

    def _fresh(self, index: int) -> tuple[Tensor, Tensor]:
        """Return a batch as :attr:`Progress.fresh` does."""
        train = self.splits.train
        draw = seeds.generator(self.seed, f"fresh/{self.round}/{self.step}/{index}")
        chosen = torch.randint(len(train), (self.config.batch_size,), generator=draw)
        return train.batch(move(chosen, train.device))

    def _weights_are_finite(self) -> bool:
        return all(bool(parameter.isfinite().all()) for parameter in self.network.parameters())

    def _validate(self) -> dict[str, float]:
        """Return validation metrics and density of the current network. Gates are computed once."""
        self.network.eval()
        with torch.no_grad(), parametrize.cached():
            self.method.before_evaluation()
            metrics = evaluate(self.network, self.splits.validation)
            density = counting.density(self.layers)
        self.network.train()
        return {"val_loss": metrics.loss, "val_accuracy": metrics.accuracy, "density": density}

    def _state(self) -> dict[str, Any]:
        """Return everything that a checkpoint needs, as tensors and plain values."""
        self._use_dense_kernels()
        self._sum_losses()
        cuda = torch.cuda.get_rng_state() if self.splits.train.device.type == "cuda" else None
        return {
            "round": self.round,
            "step": self.step,
            "curves": self.curves,
            "epoch": (self.epoch_loss, self.epoch_examples),
            "meter": self.meter.state_dict(),
            "network": self.network.state_dict(),
            "method": self.method.state_dict(),
            "optimisers": self.optimisers.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": cuda,
        }

    def _restore_if_sound(self, stored: dict[str, Any], path: object) -> None:
        """Continue from a stored state; start from the beginning if it is not one of this training."""
        fresh, attributes = copy.deepcopy(self._state()), {*vars(self.method)}
        try:
            self._restore(stored)
        except Exception as error:  # a state of another shape may raise any type
            problem = "checkpoint %s is not of this trial (%s); the trial starts from the beginning"
            logging.getLogger(__name__).warning(problem, path, " ".join(str(error).split())[:200])
            for name in vars(self.method).keys() - attributes:
                delattr(self.method, name)  # the class's default holds again
            self._restore(fresh)

    def _restore(self, stored: dict[str, Any]) -> None:
        self.round, self.step, self.curves = stored["round"], stored["step"], stored["curves"]
        loss, self.epoch_examples = stored["epoch"]
        self.epoch_loss.copy_(loss)
        self.meter.load_state_dict(stored["meter"])
        self.network.load_state_dict(stored["network"])
        self.method.load_state_dict(stored["method"])
        self.optimisers.load_state_dict(stored["optimisers"])
        torch.set_rng_state(stored["random"].cpu())
        if stored["random_cuda"] is not None:
            torch.cuda.set_rng_state(stored["random_cuda"].cpu())


def network_groups(network: nn.Module, layers: Layers) -> dict[str, list[nn.Parameter]]:
    """Return the trainable parameters of a network in two groups: weights in scope, and all others.

    Args:
        network: The network before a method attaches.
        layers: The layers in scope, by name.

    Returns:
        The groups :data:`WEIGHTS` and :data:`OTHERS`.
    """
    scoped = {id(layer.weight) for layer in layers.values()}
    groups: dict[str, list[nn.Parameter]] = {WEIGHTS: [], OTHERS: []}
    for parameter in network.parameters():
        if parameter.requires_grad:  # frozen parameters are in no group, so they stay frozen
            groups[WEIGHTS if id(parameter) in scoped else OTHERS].append(parameter)
    return groups


def _epochs(
    split: Split, config: TrainingConfig, seed: int, done: int
) -> Iterator[tuple[int, Sequence[Batch]]]:
    """Yield the number and the batches of each epoch that remains after ``done`` steps.

    Only the seed decides the order and the augmentation.
    """
    augment = config.augment or NO_AUGMENTATION  # a trial's config has one; a config made by hand may not
    order, variation = seeds.generator(seed, "order"), seeds.generator(seed, "augmentation")
    steps, per_epoch = config.length(len(split))
    for epoch, start in enumerate(range(0, steps, per_epoch)):
        shuffled = torch.randperm(len(split), generator=order).to(split.device).split(config.batch_size)
        drawn = augment.draw(len(split), variation, split.device)
        draws = drawn.split(config.batch_size) if drawn else [None] * len(shuffled)
        batches = [Batch(index, draw) for index, draw in zip(shuffled, draws, strict=True)]
        if remaining := batches[: steps - start][max(0, done - start) :]:
            yield epoch, remaining
