"""Counting: density and multiply-accumulates of a network, by scope. The only place that counts."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from switchbench.methods import Layers
from switchbench.scope import prunable


@dataclass(frozen=True)
class Count:
    """What a network holds and costs. Densities are recounted from the weights as they are."""

    density: float
    """Non-zero share of the weights of the layers in scope."""
    density_prunable: float
    """Non-zero share of the weights of all linear and convolution layers."""
    density_network: float
    """Non-zero share of all parameters, biases and norms included."""
    density_layers: dict[str, float]
    """Non-zero share of the weight of each linear and convolution layer, by name."""
    parameters: int
    """Number of all parameters."""
    macs: int
    """Multiply-accumulates of one image with non-zero weights (theoretical: no kernel is implied)."""
    macs_dense: int
    """The same with all weights."""


def density(layers: Layers) -> float:
    """Non-zero share of the layers' effective weights."""
    kept = sum(int(_weight(layer).count_nonzero()) for layer in layers.values())
    return kept / sum(_weight(layer).numel() for layer in layers.values())


def count(network: nn.Module, scoped: Layers, image: Tensor) -> Count:
    """Count a finished network (plain weights), of which the layers ``scoped`` were in scope, on one
    example ``image`` (1, channels, height, width).

    A weight of a linear or convolution layer takes part in one multiply-accumulate per output
    position, so MACs = (non-zero weights) × (output positions observed), also for groups,
    strides and layers that are used several times. Biases and norms are not counted.
    """
    layers = prunable(network)
    positions = _positions(network, layers, image)
    kept = {name: int(_weight(layer).count_nonzero()) for name, layer in layers.items()}
    size = {name: _weight(layer).numel() for name, layer in layers.items()}
    parameters = list(network.parameters())
    total = sum(parameter.numel() for parameter in parameters)
    return Count(
        density=sum(kept[name] for name in scoped) / sum(size[name] for name in scoped),
        density_prunable=sum(kept.values()) / sum(size.values()),
        density_network=sum(int(parameter.count_nonzero()) for parameter in parameters) / total,
        density_layers={name: kept[name] / size[name] for name in layers},
        parameters=total,
        macs=sum(kept[name] * positions[name] for name in layers),
        macs_dense=sum(size[name] * positions[name] for name in layers),
    )


def macs_of_layers(network: nn.Module, image: Tensor) -> dict[str, int]:
    """Multiply-accumulates of each linear and convolution layer with all its weights, for one example
    ``image``; works on the meta device as well."""
    layers = prunable(network)
    positions = _positions(network, layers, image)
    return {name: _weight(layer).numel() * positions[name] for name, layer in layers.items()}


@torch.no_grad()
def _positions(network: nn.Module, layers: Layers, image: Tensor) -> dict[str, int]:
    """Output positions of each layer for one image, summed over its uses."""
    seen = dict.fromkeys(layers, 0)

    def watch(name: str, outputs: int) -> torch.utils.hooks.RemovableHandle:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen[name] += output.numel() // outputs

        return layers[name].register_forward_hook(hook)

    handles = [watch(name, _weight(layer).shape[0]) for name, layer in layers.items()]
    training = network.training
    try:
        network.eval()(image)
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return seen


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return layer.weight
