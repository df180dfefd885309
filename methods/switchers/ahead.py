"""A gradient for the reader that looks ahead.

The gradient of a gate asks which connection the loss misses now. What counts is the loss after the weights
have adapted to the switch. So the reader's parameters are shifted a little along a random direction and
against it; each shift chooses its masks; a copy of the network under each adapts for a few steps, on the same
batches; and the difference of their losses on one more batch estimates the slope along the direction (Spall
1992, *Multivariate stochastic approximation using a simultaneous perturbation gradient approximation*).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from switchbench.methods.contract import Progress
from switchbench.methods.parts.devices import move


def slopes(
    parameters: list[nn.Parameter], spread: float, value: Callable[[], Tensor], generator: torch.Generator
) -> list[Tensor]:
    """Estimate the gradient of a value by parameters from two evaluations.

    Args:
        parameters: They are shifted during an evaluation, and afterwards as before.
        spread: Size of the shift of each entry.
        value: Evaluates the present parameters.
        generator: Source of the direction's signs.

    Returns:
        For each parameter the slope along the direction, times the direction.
    """
    signs = [_signs(parameter, generator) for parameter in parameters]
    values = []
    for side in (spread, -spread):
        with _shifted(parameters, signs, side):
            values.append(value())
    slope = (values[0] - values[1]) / (2 * spread)
    return [slope * sign for sign in signs]


@torch.enable_grad()
def adapted_loss(
    network: nn.Module,
    masked: Mapping[nn.Parameter, tuple[Tensor, Tensor]],
    progress: Progress,
    horizon: int,
    stride: float,
) -> Tensor:
    """Return the loss of a copy of the network whose weights have adapted to masks.

    Args:
        network: The network; it stays as it is.
        masked: For each masked weight its values, in place of the network's, and 0/1 in the same shape.
        progress: Gives step sizes, and batches: one for each step, and one for the loss.
        horizon: Number of steps.
        stride: Length of a step, as a multiple of the step size of the training (without its momentum).

    Returns:
        The loss in nats, a scalar without a gradient.
    """
    named = dict(network.named_parameters())
    lengths = {name: progress.step_size(parameter) for name, parameter in named.items()}
    copies, gates = {}, {}
    for name, parameter in named.items():
        value, gates[name] = masked.get(parameter) or (parameter.detach(), torch.ones_like(parameter))
        copies[name] = (value * gates[name]).requires_grad_()
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}

    def loss(number: int) -> Tensor:
        images, labels = progress.fresh(number)
        return F.cross_entropy(functional_call(network, copies | buffers, (images,)), labels)

    for number in range(horizon):
        gradients = torch.autograd.grad(loss(number), [*copies.values()], materialize_grads=True)
        with torch.no_grad():
            for (name, copy), gradient in zip(copies.items(), gradients, strict=True):
                copy.sub_(gradient.mul_(lengths[name]).mul_(gates[name]), alpha=stride)
    with torch.no_grad():
        return loss(horizon)


def _signs(parameter: Tensor, generator: torch.Generator) -> Tensor:
    """Return +1 or −1 for each entry."""
    drawn = torch.randint(2, parameter.shape, generator=generator, device=generator.device)
    return move(2.0 * drawn - 1.0, parameter.device)


@contextmanager
def _shifted(parameters: list[nn.Parameter], signs: list[Tensor], size: float) -> Iterator[None]:
    """Shift parameters for the block."""
    before = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, sign in zip(parameters, signs, strict=True):
            parameter.add_(sign, alpha=size)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)
