"""One training step: the order of calls on a method, and the passes that plain steps and estimates share."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from switchbench.datasets import Batch, Split
from switchbench.methods import Method, Progress
from switchbench.spec.training import TrainingConfig
from switchbench.trial.optimisers import Optimisers

Network = Callable[[Tensor], Tensor]


def compiled(network: nn.Module, config: TrainingConfig) -> Network:
    """The network as training calls it: compiled, if that was asked for. It shares all parameters.

    What earlier trials of this process have compiled is forgotten: torch keeps few versions of a function,
    and a trial would be compiled or not by what ran before it.
    """
    if not config.compile:
        return network
    torch.compiler.reset()
    return torch.compile(network)


def task_loss(network: Network, split: Split, batch: Batch, config: TrainingConfig) -> Tensor:
    """Mean cross-entropy of a batch, in the precision of the training."""
    images, labels = split.batch(*batch)
    if config.precision == "float32":
        return F.cross_entropy(network(images), labels)
    with torch.autocast(split.device.type, torch.bfloat16):
        return F.cross_entropy(network(images), labels)


def take_step(
    method: Method, progress: Progress, task_loss: Callable[[], Tensor], optimisers: Optimisers, factor: float
) -> Tensor:
    """Take one gradient step. (:meth:`Method.learning` has been asked before: it selects what learns.)

    Args:
        method: An attached method.
        progress: Where training stands.
        task_loss: Runs the network on the step's batch and returns the loss, a scalar.
        optimisers: Of the network and of the method's groups.
        factor: Learning rate over its peak.

    Returns:
        The task loss, detached and without the method's penalty.
    """
    loss = backward(method, progress, task_loss)
    method.after_backward(progress)
    optimisers.step(factor)
    method.after_step(progress)
    return loss


def backward(method: Method, progress: Progress, task_loss: Callable[[], Tensor]) -> Tensor:
    """Take the first half of a step, up to its gradients; estimates stop there.

    Args:
        method: An attached method.
        progress: Where training stands.
        task_loss: Runs the network on the step's batch and returns the loss, a scalar.

    Returns:
        The task loss, detached and without the method's penalty.
    """
    method.before_step(progress)
    with parametrize.cached():  # a layer that is used twice has one weight
        loss = task_loss()
    penalty = method.penalty(progress)
    (loss if penalty is None else loss + penalty).backward()
    return loss.detach()
