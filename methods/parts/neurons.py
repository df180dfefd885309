"""Neurons: masks over whole units.

A unit is one input of a layer: a pixel or a neuron of the layer before. Its group is the
weights that read it: a column of a linear layer, an input channel of a convolution (of a grouped
one, the channel at that place in every group).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from switchbench.methods.parts import distributions
from switchbench.methods.parts.layers import columns, per_input
from switchbench.methods.parts.masks import Tensors, counts, ranking
from switchbench.methods.parts.paths import Paths


def root_mean_squares(weights: Mapping[str, Tensor]) -> Tensors:
    """Return the root mean square of the weights that read each unit, (inputs,), by layer."""
    return {name: columns(weight.detach()).square().mean(1).sqrt() for name, weight in weights.items()}


def select_units(
    scores: Mapping[str, Tensor], weights: Mapping[str, Tensor], density: float, paths: Paths | None = None
) -> Tensors:
    """Keep as many of the highest-scoring units as fit into the budget of connections.

    Each layer keeps its best unit, whatever the budget. With ``paths``, connections that lead nowhere
    are removed and do not count.

    Args:
        scores: A score per unit, (inputs,), by layer name. Layers are ranked together.
        weights: Weights by layer name, for their shapes.
        density: Share of the connections that may be kept.
        paths: The paths of the network that the layers are part of.

    Returns:
        0/1 masks of the weights' shapes.

    >>> scores = {"layer": torch.tensor([0.3, 0.9, 0.1, 0.5])}
    >>> select_units(scores, {"layer": torch.zeros(1, 4)}, density=0.5)
    {'layer': tensor([[0., 1., 0., 1.]])}
    """
    ranked = {name: score.clone() for name, score in scores.items()}
    for name, score in ranked.items():
        score[ranking(score, name)[0]] = torch.inf
    order = ranking(torch.cat(list(ranked.values())))
    sizes = [len(score) for score in ranked.values()]

    def keeping(number: int) -> Tensors:
        units = torch.zeros(len(order), device=order.device).index_fill_(0, order[:number], 1)
        masks = {
            name: per_input(part, weights[name]).expand_as(weights[name])
            for name, part in zip(ranked, units.split(sizes), strict=True)
        }
        return paths.alive(masks) if paths else masks

    budget = distributions.budget(weights, density)
    return keeping(largest_within(keeping, len(sizes), len(order), budget))


def largest_within(keeping: Callable[[int], Tensors], fewest: int, most: int, budget: int) -> int:
    """Return the largest number of units whose masks fit into a budget of connections.

    Args:
        keeping: Returns the masks that keep a number of units. More units never make fewer
            connections.
        fewest: Number that is returned if none fits.
        most: Number of units in all.
        budget: Largest number of connections.
    """
    low, high = fewest, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        if sum(counts(keeping(middle)).values()) <= budget:
            low = middle
        else:
            high = middle
    return low
