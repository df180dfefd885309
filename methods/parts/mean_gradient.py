"""Running means of gradients: where the loss falls whichever batch is looked at.

Those of connections that are off tell what they would gain. Dettmers & Zettlemoyer 2019, *Sparse Networks
from Scratch: Faster Training without Losing Performance*, grow by such means (momentum).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from switchbench.methods.parts import curvature
from switchbench.methods.parts.masks import Tensors


def start(weights: Mapping[str, Tensor]) -> Tensors:
    """Return the means before any gradient is known: zeros."""
    return {name: torch.zeros_like(weight, requires_grad=False) for name, weight in weights.items()}


@torch.no_grad()
def update(means: Tensors, weights: Mapping[str, nn.Parameter], memory: float, step: int) -> None:
    """Take gradients into the means, in place, at one step in :data:`~curvature.STRIDE`.

    Args:
        means: The running means, in the shapes of the weights.
        weights: The weights, after a backward pass. Those without a gradient keep their means.
        memory: Share of the means that is kept from one step to the next.
        step: Number of the step.
    """
    for mean, gradient in curvature.looked_at(means, weights, step):
        mean.lerp_(gradient, 1 - memory**curvature.STRIDE)
