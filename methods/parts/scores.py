"""Scores: how much a connection is worth. Pure functions by layer name; the highest are kept."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

Weights = Mapping[str, Tensor]


@torch.no_grad()
def magnitudes(weights: Weights) -> dict[str, Tensor]:
    """|w|."""
    return {name: weight.detach().abs() for name, weight in weights.items()}


@torch.no_grad()
def saliencies(weights: Weights, gradients: Weights) -> dict[str, Tensor]:
    """|w · g|: to first order, what the loss changes by when the connection goes (Mozer &
    Smolensky 1989, *Skeletonization*)."""
    return {name: (weight.detach() * gradients[name]).abs_() for name, weight in weights.items()}


@torch.no_grad()
def lamp(weights: Weights) -> dict[str, Tensor]:
    """w² over the sum of the squares in its layer that are not smaller (Lee et al. 2021, *Layer-
    adaptive sparsity for the magnitude-based pruning*). A layer's largest weight scores 1."""
    scores = {}
    for name, weight in weights.items():
        squares, order = weight.detach().flatten().square().sort()
        not_smaller = squares.flip(0).cumsum(0).flip(0)
        ranked = squares / not_smaller.clamp_min(torch.finfo(squares.dtype).tiny)
        scores[name] = torch.empty_like(ranked).index_copy_(0, order, ranked).view_as(weight)
    return scores


def sensitivities(
    network: nn.Module, weights: Mapping[str, nn.Parameter], batch: tuple[Tensor, Tensor]
) -> dict[str, Tensor]:
    """|w · g| for the gradient of one batch: SNIP's score (Lee, Ajanthan & Torr 2019)."""
    return saliencies(weights, dict(zip(weights, gradients(network, weights, batch), strict=True)))


def gradients(
    network: nn.Module,
    weights: Mapping[str, nn.Parameter],
    batch: tuple[Tensor, Tensor],
    temperature: float = 1,
) -> tuple[Tensor, ...]:
    """Gradient of the cross-entropy of logits / ``temperature`` with respect to each weight, in
    their order, itself differentiable."""
    images, labels = batch
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}  # norms learn nothing here
    logits: Tensor = functional_call(network, buffers, (images,))
    loss = F.cross_entropy(logits / temperature, labels)
    return torch.autograd.grad(loss, list(weights.values()), create_graph=True)
