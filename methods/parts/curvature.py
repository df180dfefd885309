"""How sharply the loss bends at each weight: a running mean of squared gradients.

It is the diagonal of the empirical Fisher matrix, which stands for that of the Hessian (LeCun, Denker &
Solla 1989, *Optimal Brain Damage*; Theis et al. 2018, *Faster gaze prediction with dense networks and Fisher
pruning*). The gradient is that of a batch's mean loss by the weight behind its mask, so that pruned
connections have one.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from switchbench.methods.parts.masks import Tensors

START = 1e-12
"""First value, below that of any weight that learns."""


def start(weights: Mapping[str, Tensor]) -> Tensors:
    """Return the curvature before any gradient is known."""
    return {name: torch.full_like(weight, START, requires_grad=False) for name, weight in weights.items()}


@torch.no_grad()
def update(curvature: Tensors, weights: Mapping[str, nn.Parameter], memory: float) -> None:
    """Take the present gradients into the means, in place. Weights without a gradient keep theirs.

    Args:
        curvature: The running means, in the shapes of the weights.
        weights: The weights, after a backward pass.
        memory: Share of the means that is kept.
    """
    for name, mean in curvature.items():
        gradient = weights[name].grad
        if gradient is not None:
            mean.mul_(memory).addcmul_(gradient, gradient, value=1 - memory)
