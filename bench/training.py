"""The training loop: one for every method, and closed. Methods act through their contract."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from switchbench import accounting, seeds
from switchbench.datasets import Split, Splits
from switchbench.evaluation import evaluate
from switchbench.methods import Layers, Method, Progress
from switchbench.methods.contract import OTHERS, WEIGHTS
from switchbench.optimisers import Optimisers, TrainingConfig


class Diverged(Exception):
    """The training loss is no longer finite."""


@dataclass
class History:
    """What training took and how it went."""

    steps: int = 0
    examples: int = 0
    train_seconds: float = 0.0
    """Seconds of training, everything that the method does included, evaluation left out."""
    method_parameters: int = 0
    """Learnable parameters that the method added."""
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
) -> History:
    """Train a network with a method attached, in place; finalise the method at the end.

    ``deadline`` is a value of ``time.monotonic()``. Raises TimeoutError past it and Diverged
    when an epoch's loss is not finite.
    """
    own = _own_groups(network, layers)
    started = time.perf_counter()
    method.attach(network, layers, splits.train.batch(slice(0, config.batch_size)))
    network.zero_grad(set_to_none=True)  # what scoring at initialisation may have left
    extra = method.parameter_groups()
    optimisers = Optimisers(config, own, extra)
    steps, _ = config.length(len(splits.train))
    history = History(
        method_parameters=sum(p.numel() for group in extra for p in group.parameters),
        train_seconds=time.perf_counter() - started,
    )
    torch.manual_seed(seeds.derive(seed, "training"))
    network.train()
    for epoch, batches in enumerate(_epochs(splits.train, config, seed)):
        started = time.perf_counter()
        loss_sum = torch.zeros((), device=splits.train.labels.device)
        seen = 0
        factor = 1.0
        for index in batches:
            factor = config.lr_factor(history.steps / steps)
            history.steps += 1
            progress = Progress(history.steps, steps, epoch, optimisers.step_size)
            optimisers.select(method.learning(progress))
            method.before_step(progress)
            images, labels = splits.train.batch(index)
            loss = F.cross_entropy(network(images), labels)
            loss_sum += loss.detach() * len(labels)
            penalty = method.penalty(progress)
            (loss if penalty is None else loss + penalty).backward()
            method.after_backward(progress)
            optimisers.step(factor)
            method.after_step(progress)
            seen += len(labels)
            if time.monotonic() > deadline:
                raise TimeoutError(f"deadline passed at step {history.steps} of {steps}")
        train_loss = loss_sum.item() / seen
        history.train_seconds += time.perf_counter() - started
        history.examples += seen
        if not math.isfinite(train_loss):
            raise Diverged(f"training loss is {train_loss} in epoch {epoch}, step {history.steps} of {steps}")
        history.curves.append(
            {"epoch": epoch, "step": history.steps, "lr": factor * config.lr, "train_loss": train_loss}
            | _observe(network, layers, splits.validation)
        )
    optimisers.select(None)
    network.eval()
    started = time.perf_counter()
    method.finalise()
    history.train_seconds += time.perf_counter() - started
    return history


def _own_groups(network: nn.Module, layers: Layers) -> dict[str, list[nn.Parameter]]:
    """The network's parameters before a method attaches: weights in scope, and all others."""
    scoped = {id(layer.weight) for layer in layers.values()}
    groups: dict[str, list[nn.Parameter]] = {WEIGHTS: [], OTHERS: []}
    for parameter in network.parameters():
        groups[WEIGHTS if id(parameter) in scoped else OTHERS].append(parameter)
    return groups


def _epochs(split: Split, config: TrainingConfig, seed: int) -> Iterator[Iterator[Tensor]]:
    """For each epoch the index tensors of its batches, in an order that only the seed decides."""
    order = seeds.generator(seed, "order")
    steps, per_epoch = config.length(len(split))
    for start in range(0, steps, per_epoch):
        shuffled = torch.randperm(len(split), generator=order).to(split.labels.device)
        yield iter(shuffled.split(config.batch_size)[: steps - start])


def _observe(network: nn.Module, layers: Layers, validation: Split) -> dict[str, float]:
    """Validation metrics and density of the network as it stands; gates are computed once."""
    network.eval()
    with torch.no_grad(), parametrize.cached():
        metrics = evaluate(network, validation)
        density = accounting.density(layers)
    network.train()
    return {"val_loss": metrics.loss, "val_accuracy": metrics.accuracy, "density": density}
