"""Scores: how much a connection is worth. The highest are kept.

Scores, weights and gradients are dicts by layer name; scores have the shapes of the weights.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from switchbench.methods.parts.devices import move

Weights = Mapping[str, Tensor]


@torch.no_grad()
def magnitudes(weights: Weights) -> dict[str, Tensor]:
    """Score a connection by |w|.

    >>> magnitudes({"layer": torch.tensor([[-2.0, 1.0]])})
    {'layer': tensor([[2., 1.]])}
    """
    return {name: weight.detach().abs() for name, weight in weights.items()}


@torch.no_grad()
def saliencies(weights: Weights, gradients: Weights) -> dict[str, Tensor]:
    """Score a connection by |w · g|: the change of the loss without it, to first order.

    Mozer & Smolensky 1989, *Skeletonization*.

    >>> saliencies({"layer": torch.tensor([[-2.0, 1.0]])}, {"layer": torch.tensor([[0.5, 3.0]])})
    {'layer': tensor([[1., 3.]])}
    """
    return {name: (weight.detach() * gradients[name]).abs_() for name, weight in weights.items()}


@torch.no_grad()
def lamp(weights: Weights) -> dict[str, Tensor]:
    """Score a connection by w² over the sum of the squares in its layer that are not smaller.

    Lee et al. 2021, *Layer-adaptive sparsity for the magnitude-based pruning*. A layer's largest
    weight scores 1.

    >>> lamp({"layer": torch.tensor([1.0, -2.0])})
    {'layer': tensor([0.2000, 1.0000])}
    """
    scores = {}
    for name, weight in weights.items():
        squares, order = _ascending(weight.detach().flatten().square())
        not_smaller = squares.flip(0).cumsum(0).flip(0)
        ranked = squares / not_smaller.clamp_min(torch.finfo(squares.dtype).tiny)
        scores[name] = torch.empty_like(ranked).index_copy_(0, order, ranked).view_as(weight)
    return scores


def _ascending(squares: Tensor) -> tuple[Tensor, Tensor]:
    """Sort non-negative values (n,) from low to high, equal ones in their order; return positions too."""
    if squares.device.type != "cpu" or squares.dtype != torch.float32:
        return squares.sort(stable=True)
    # numpy sorts integers many times faster than torch sorts floats. The bits of non-negative floats have the
    # order of the floats; positions in the lower half tell equal ones apart.
    keys = squares.numpy().view(np.int32).astype(np.int64) << 32
    keys |= np.arange(len(keys))
    keys.sort()
    values = (keys >> 32).astype(np.int32).view(np.float32)
    return torch.from_numpy(values), torch.from_numpy(keys & 0xFFFFFFFF)


def random_scores(weights: Weights, generator: torch.Generator) -> dict[str, Tensor]:
    """Score connections at random, uniformly in [0, 1), on the generator."""
    return {
        name: move(torch.rand(weight.shape, generator=generator, device=generator.device), weight.device)
        for name, weight in weights.items()
    }


def sensitivities(
    network: nn.Module, weights: Mapping[str, nn.Parameter], batch: tuple[Tensor, Tensor]
) -> dict[str, Tensor]:
    """Score a connection by |w · g| for the gradient of one batch, as SNIP does.

    Lee, Ajanthan & Torr 2019, *SNIP: Single-shot Network Pruning based on Connection Sensitivity*.

    Args:
        network: The network, which is left as it is.
        weights: Its weights to score.
        batch: Images and labels (class indices).
    """
    return saliencies(weights, dict(zip(weights, gradients(network, weights, batch), strict=True)))


def gradients(
    network: nn.Module,
    weights: Mapping[str, nn.Parameter],
    batch: tuple[Tensor, Tensor],
    temperature: float = 1,
) -> tuple[Tensor, ...]:
    """Return the gradient of the cross-entropy with respect to each weight, itself differentiable.

    Args:
        network: The network. Statistics of its batch norms are left as they are.
        weights: Its weights, in whose order the gradients come.
        batch: Images and labels (class indices).
        temperature: What logits are divided by before the cross-entropy.
    """
    images, labels = batch
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}  # norms learn nothing here
    logits: Tensor = functional_call(network, buffers, (images,))
    loss = F.cross_entropy(logits / temperature, labels)
    return torch.autograd.grad(loss, list(weights.values()), create_graph=True)
