"""Neurons: masks over whole units, with the connections that then lead nowhere removed as well.

A unit is one input of a layer: a pixel or a neuron of the layer before. Its group is the
weights that read it: a column of a linear layer, an input channel of a convolution (of a grouped
one, the channel at that place in every group).
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from switchbench.methods.parts import distributions
from switchbench.methods.parts.layers import NORMS, PRUNABLE, Layers, columns, per_input

TRANSPARENT = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d,
    nn.ReLU, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Identity,
)  # fmt: skip
"""Leaf modules through which a positive signal stays positive, so that paths can be followed."""

POOLS = (nn.MaxPool1d, nn.MaxPool2d)
Masks = dict[str, Tensor]


def root_mean_squares(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Root mean square of the weights that read each unit, by layer."""
    return {name: columns(weight.detach()).square().mean(1).sqrt() for name, weight in weights.items()}


@dataclass(frozen=True)
class Paths:
    """Follows the paths from a network's input to its output through masked layers.

    A positive signal runs through a copy of the network in which every weight is positive where
    its mask is; a connection is alive exactly if the output changes with it. Removing dead ones
    changes no output. In networks with other modules than :data:`TRANSPARENT`, with batch norms that
    have no shift, or where the signal of the unmasked network does not stay positive, paths cannot
    be followed and every connection counts as alive.
    """

    network: nn.Module
    """As it is before anything is attached; a copy of its structure is kept, without its weights."""
    images: Tensor
    """Any batch of inputs; only its shape and device matter."""

    def __post_init__(self) -> None:
        hollow = {id(p): nn.Parameter(p.new_zeros(()).expand_as(p)) for p in self.network.parameters()}
        network = copy.deepcopy(self.network, hollow).eval()
        for module in [*network.modules()]:
            for name, child in module.named_children():
                if isinstance(child, nn.ReLU6):  # the signal would stick at its ceiling
                    setattr(module, name, nn.ReLU())
        object.__setattr__(self, "network", network)
        object.__setattr__(self, "images", torch.ones_like(self.images[:1], dtype=torch.float64))

    def alive(self, masks: Masks, silent: Mapping[str, Tensor] | None = None) -> Masks:
        """The masks without connections that lead nowhere or carry nothing. ``silent`` gives
        parameters, by name, that are to be followed with these values instead of ones."""
        if not self._can_be_followed:
            return masks
        flow = self._flow(masks, silent or {})
        return {name: mask * (flow[name] > 0).to(mask.dtype) for name, mask in masks.items()}

    @cached_property
    def _can_be_followed(self) -> bool:
        leaves = [module for module in self.network.modules() if not [*module.children()]]
        norms = [leaf for leaf in leaves if isinstance(leaf, NORMS)]
        if not all(isinstance(leaf, TRANSPARENT) for leaf in leaves) or not all(n.affine for n in norms):
            return False  # a norm without a shift makes a signal of its running mean
        layers = {n: m for n, m in self.network.named_modules() if isinstance(m, PRUNABLE)}
        whole = {name: torch.ones_like(layer.get_parameter("weight")) for name, layer in layers.items()}
        return all(bool((flow > 0).all()) for flow in self._flow(whole, {}).values())

    @torch.enable_grad()
    def _flow(self, masks: Masks, silent: Mapping[str, Tensor]) -> Masks:
        """Gradient of the output's sum by the masks, in double precision: signals fade over many layers."""
        pools = [module for module in self.network.modules() if isinstance(module, POOLS)]
        handles = [pool.register_forward_hook(_average) for pool in pools]
        state: dict[str, Tensor] = {}
        for name, parameter in self.network.named_parameters():
            fan_in = parameter[0].numel() if parameter.dim() else 1
            state[name] = torch.ones_like(parameter, dtype=torch.float64) / fan_in
        for name, buffer in self.network.named_buffers():
            ones = torch.ones_like(buffer, dtype=torch.float64)
            state[name] = torch.zeros_like(ones) if name.endswith("mean") else ones
        state |= {name: value.double() for name, value in silent.items()}
        scaled = {name: (mask.double() / mask[0].numel()).requires_grad_() for name, mask in masks.items()}
        state |= {f"{name}.weight": mask for name, mask in scaled.items()}
        try:
            total = functional_call(self.network, state, (self.images,)).sum()
        finally:
            for handle in handles:
                handle.remove()
        return dict(zip(masks, torch.autograd.grad(total, list(scaled.values())), strict=True))

    def drop_dead(self, layers: Layers) -> None:
        """Zero every weight on no path, in plain layers."""
        weights = {name: layer.get_parameter("weight") for name, layer in layers.items()}
        with torch.no_grad():
            masks = {name: (weight != 0).to(weight.dtype) for name, weight in weights.items()}
            for name, mask in self.alive(masks).items():
                weights[name].mul_(mask)

    def best_units(
        self, scores: Mapping[str, Tensor], weights: Mapping[str, Tensor], density: float
    ) -> Masks:
        """Masks that keep as many of the highest-scoring units as fit into the budget of
        connections, dead ones not counted. Each layer keeps its best unit, whatever the budget.

        ``scores`` has one value per unit and layer; ``weights`` gives shapes.
        """
        ranked = {name: score.clone() for name, score in scores.items()}
        for score in ranked.values():
            score[score.argmax()] = torch.inf
        order = torch.cat(list(ranked.values())).argsort(descending=True, stable=True)
        sizes = [len(score) for score in ranked.values()]

        def keeping(number: int) -> Masks:
            units = torch.zeros(len(order), device=order.device).index_fill_(0, order[:number], 1)
            return self.alive(
                {
                    name: per_input(part, weights[name]).expand_as(weights[name])
                    for name, part in zip(ranked, units.split(sizes), strict=True)
                }
            )

        return keeping(
            largest_within(keeping, len(sizes), len(order), distributions.budget(weights, density))
        )


def _average(pool: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """Forward hook: pool by means, through which every position is followed, not the largest alone."""
    assert isinstance(pool, POOLS)
    average = F.avg_pool1d if isinstance(pool, nn.MaxPool1d) else F.avg_pool2d
    pooled: Tensor = average(inputs[0], pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode)
    return pooled


def largest_within(keeping: Callable[[int], Masks], fewest: int, units: int, budget: int) -> int:
    """The largest n from ``fewest`` to ``units`` for which ``keeping(n)`` has no more than ``budget``
    connections; ``fewest`` if there is none."""
    low, high = fewest, units + 1
    while high - low > 1:  # more units never make fewer connections
        middle = (low + high) // 2
        if sum(int(mask.sum()) for mask in keeping(middle).values()) <= budget:
            low = middle
        else:
            high = middle
    return low
