"""How sharply the loss bends at each weight: a running mean of squared gradients.

It is the diagonal of the empirical Fisher matrix, which stands for that of the Hessian (LeCun, Denker &
Solla 1989, *Optimal Brain Damage*; Theis et al. 2018, *Faster gaze prediction with dense networks and Fisher
pruning*). The gradient is that of a batch's mean loss by the weight behind its mask, so that pruned
connections have one.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from switchbench.methods.parts.masks import Tensors

STRIDE = 4
"""Steps from one look at the gradients to the next: each costs time, and the means hardly change."""
START = 1e-12
"""First value, below that of any weight that learns."""


def start(weights: Mapping[str, Tensor]) -> Tensors:
    """Return the curvature before any gradient is known."""
    return {name: torch.full_like(weight, START, requires_grad=False) for name, weight in weights.items()}


@torch.no_grad()
def update(curvature: Tensors, weights: Mapping[str, nn.Parameter], memory: float, step: int) -> None:
    """Take gradients into the means, in place, at one step in :data:`STRIDE`.

    Args:
        curvature: The running means, in the shapes of the weights.
        weights: The weights, after a backward pass. Those without a gradient keep their means.
        memory: Share of the means that is kept from one step to the next.
        step: Number of the step.
    """
    kept = memory**STRIDE
    for mean, gradient in looked_at(curvature, weights, step):
        mean.mul_(kept).addcmul_(gradient, gradient, value=1 - kept)


def looked_at(
    means: Tensors, weights: Mapping[str, nn.Parameter], step: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each running mean with the gradient that goes into it, at one step in :data:`STRIDE`."""
    if (step - 1) % STRIDE == 0:
        for name, mean in means.items():
            gradient = weights[name].grad
            if gradient is not None:
                yield mean, gradient
