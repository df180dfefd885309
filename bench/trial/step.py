"""One training step: the order of the calls to a method.

Plain steps share the forward pass, and estimates share the forward and backward pass.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from switchbench.datasets import Batch, Split
from switchbench.methods import Method, Progress
from switchbench.spec.training import TrainingConfig
from switchbench.trial.optimisers import Optimisers
from switchbench.trial.sparse_kernels import SparseKernels

Forward = Callable[[Tensor], Tensor]
"""A network as a function from images to logits."""


def forward_function(network: nn.Module, config: TrainingConfig) -> Forward:
    """Return the function that training calls: the network, compiled if ``config.compile`` is set.

    A compiled network shares all parameters with the network. Compiling first clears the compile cache: torch
    keeps only a few compiled versions of a function, so earlier trials of this process could otherwise decide
    whether this network is compiled.
    """
    if not config.compile:
        return network
    torch.compiler.reset()
    return torch.compile(network, mode=None if config.compile is True else config.compile)


def task_loss(network: Forward, split: Split, batch: Batch, config: TrainingConfig) -> Tensor:
    """Return the mean cross-entropy of a batch, computed in the precision of the training.

    Args:
        network: Maps images to logits.
        split: Where the batch is taken from.
        batch: Indices and augmentation of its images.
        config: Names the precision.

    Returns:
        The loss in nats, a scalar with a gradient.
    """
    images, labels = split.batch(*batch)
    if config.precision == "float32":
        return F.cross_entropy(network(images), labels)
    with torch.autocast(split.device.type, torch.bfloat16):
        return F.cross_entropy(network(images), labels)


def take_step(
    method: Method, progress: Progress, task_loss: Callable[[], Tensor], optimisers: Optimisers, factor: float
) -> Tensor:
    """Take one gradient step.

    The caller has already selected the groups that learn, by :meth:`Method.learning`.

    Args:
        method: An attached method.
        progress: The step and the epoch.
        task_loss: Runs the network on the step's batch and returns the loss, a scalar.
        optimisers: Optimisers of the network and of the method's parameter groups.
        factor: Learning rate as a factor of its peak.

    Returns:
        The task loss, detached and without the method's penalty.
    """
    loss = backward(method, progress, task_loss)
    method.after_backward(progress)
    optimisers.step(factor)
    method.after_step(progress)
    return loss


def take_sparse_step(
    sparse: SparseKernels, task_loss: Callable[[], Tensor], optimisers: Optimisers, factor: float
) -> Tensor:
    """Take one gradient step in which the method only holds its masks, with sparse kernels in use.

    Args:
        sparse: The kernels, which hold the masks.
        task_loss: As in :func:`take_step`.
        optimisers: As in :func:`take_step`.
        factor: As in :func:`take_step`.

    Returns:
        The task loss, detached.
    """
    loss = task_loss()
    loss.backward()
    sparse.after_backward()
    optimisers.step(factor)
    sparse.after_step()
    return loss.detach()


def backward(method: Method, progress: Progress, task_loss: Callable[[], Tensor]) -> Tensor:
    """Compute the gradients of a step, and change no weight.

    Args:
        method: An attached method.
        progress: The step and the epoch.
        task_loss: Runs the network on the step's batch and returns the loss, a scalar.

    Returns:
        The task loss, detached and without the method's penalty.
    """
    method.before_step(progress)
    with parametrize.cached():  # compute the weight of a layer once, even if it is called twice
        loss = task_loss()
    penalty = method.penalty(progress)
    (loss if penalty is None else loss + penalty).backward()
    return loss.detach()
