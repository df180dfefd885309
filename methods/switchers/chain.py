"""A chain of layers, each of which reads the outputs of the one before, as readers of whole networks see it.

Neurons are the units that such a reader follows from layer to layer: the outputs of each layer, and the
inputs of the first. Two neurons may have several connections: the positions of a convolution's kernel, or
the pixels of a channel that a linear layer reads.
"""

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from switchbench.methods.parts.layers import PRUNABLE, Layers
from switchbench.methods.switchers.equivariant import TINY

CHANNELS = 2
"""What a reader sees of a connection: its weight over the layer's root mean square, and its present gate."""


def broken(network: nn.Module, layers: Layers) -> str | None:
    """Return where layers are no chain, or None if they are one.

    Sizes decide, in the order of the network's modules: a layer has as many inputs as the one before has
    outputs; a linear layer behind a convolution has a multiple, the pixels of each channel. So branches that
    change no width are not found. No layer between two of the chain may be out of scope.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(36, 5), nn.Linear(6, 2))
    >>> broken(network, {"0": network[0], "2": network[2]})
    >>> broken(network, {"2": network[2], "3": network[3]})
    '3 has 6 inputs, and 2 before it 5 outputs'
    """
    order = [name for name, module in network.named_modules() if isinstance(module, PRUNABLE)]
    for name, layer in layers.items():
        if getattr(layer, "groups", 1) > 1:
            return f"{name} is a convolution with groups"
    for (before, feeding), (name, layer) in itertools.pairwise(layers.items()):
        between = order[order.index(before) + 1]
        if between != name:
            return f"{between} between {before} and {name} is out of scope"
        outputs, inputs = len(feeding.get_parameter("weight")), layer.get_parameter("weight").shape[1]
        of_pixels = isinstance(layer, nn.Linear) and not isinstance(feeding, nn.Linear)
        if inputs % outputs if of_pixels else inputs != outputs:
            return f"{name} has {inputs} inputs, and {before} before it {outputs} outputs"
    return None


def neurons_read(weights: Mapping[str, Tensor]) -> dict[str, int]:
    """Return how many neurons each layer of a chain reads.

    >>> neurons_read({"conv": torch.ones(4, 1, 3, 3), "linear": torch.ones(5, 36)})
    {'conv': 1, 'linear': 4}
    """
    first, *others = weights.values()
    outputs = [len(weight) for weight in (first, *others)]
    return dict(zip(weights, [first.shape[1], *outputs[:-1]], strict=True))


def scaled(weight: Tensor) -> Tensor:
    """Return a layer's weights over their root mean square."""
    return weight / weight.square().mean().sqrt().clamp_min(TINY)


def connections(weight: Tensor, gate: Tensor, neurons: int) -> Tensor:
    """Return what a reader sees of a layer: (outputs, neurons, connections of the two, CHANNELS).

    Args:
        weight: (outputs × columns); the connections of a neuron are next to each other.
        gate: The present gates, in the weight's shape.
        neurons: Number of neurons that the layer reads.
    """
    return torch.stack([scaled(weight), gate], dim=-1).view(len(weight), neurons, -1, CHANNELS)


def incoming(entries: Tensor) -> Tensor:
    """Return the means of numbers (outputs, neurons, connections, n) over those that enter each output."""
    return entries.mean((1, 2))


def outgoing(entries: Tensor) -> Tensor:
    """Return the means of numbers (outputs, neurons, connections, n) over those that leave each neuron."""
    return entries.mean((0, 2))
