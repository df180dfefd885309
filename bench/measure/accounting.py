"""Counting: weights, densities, multiply-accumulates and bytes of a network, by layer and by scope. The only
place that counts."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from switchbench.measure.shrink import shrink
from switchbench.methods import Layers
from switchbench.networks.layers import prunable

VALUE_BYTES, INDEX_BYTES = 4, 4
"""A float32, and an index of a sparse format."""


@dataclass(frozen=True)
class LayerCount:
    """One linear or convolution layer, recounted from its weight as it is."""

    kind: str
    """Class of the module."""
    shape: tuple[int, ...]
    """Of the weight."""
    kept: int
    """Weights that are not zero."""
    positions: int
    """Output positions of one image, summed over the layer's uses."""

    @property
    def weights(self) -> int:
        """Number of weights."""
        return torch.Size(self.shape).numel()

    @property
    def density(self) -> float:
        """Share of the weights that are not zero."""
        return self.kept / self.weights

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image with the weights that are not zero. A weight takes part in one
        per output position, also with groups and strides and where the layer is used several times."""
        return self.kept * self.positions

    @property
    def macs_dense(self) -> int:
        """The same with all weights."""
        return self.weights * self.positions

    @property
    def storage(self) -> dict[str, int]:
        """Bytes of the weight: dense; as a matrix (outputs × the rest) in CSR; and as a bit per weight with
        the values that are not zero."""
        values = VALUE_BYTES * self.kept
        return {
            "dense": VALUE_BYTES * self.weights,
            "csr": values + INDEX_BYTES * (self.kept + self.shape[0] + 1),
            "bitmask": values + -(-self.weights // 8),
        }


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
    macs: int | None
    """Multiply-accumulates of one image with non-zero weights (theoretical: no kernel is implied). None
    where a layer's weight is used without calling the layer, as in attention: then nobody counts it."""
    macs_dense: int | None
    """The same with all weights."""
    macs_shrunk: int | None
    """The same of the smaller dense network that is left when dead neurons and channels are taken out: what
    the structure saves without a sparse kernel."""


def density(layers: Layers) -> float:
    """Non-zero share of the layers' effective weights."""
    kept = sum(int(_weight(layer).count_nonzero()) for layer in layers.values())
    return kept / sum(_weight(layer).numel() for layer in layers.values())


def count(network: nn.Module, scoped: Layers, image: Tensor) -> Count:
    """Count a finished network (plain weights), of which the layers ``scoped`` were in scope, on one
    example ``image`` (1, channels, height, width). Multiply-accumulates of biases and norms are not counted.
    """
    layers, shrunk = count_layers(network, image), count_layers(shrink(network, image), image)
    inside = [layers[name] for name in scoped]
    seen = all(layer.positions for layer in layers.values())
    parameters = list(network.parameters())
    total = sum(parameter.numel() for parameter in parameters)
    return Count(
        density=sum(layer.kept for layer in inside) / sum(layer.weights for layer in inside),
        density_prunable=sum(c.kept for c in layers.values()) / sum(c.weights for c in layers.values()),
        density_network=sum(int(parameter.count_nonzero()) for parameter in parameters) / total,
        density_layers={name: layer.density for name, layer in layers.items()},
        parameters=total,
        macs=sum(layer.macs for layer in layers.values()) if seen else None,
        macs_dense=sum(layer.macs_dense for layer in layers.values()) if seen else None,
        macs_shrunk=sum(layer.macs_dense for layer in shrunk.values()) if seen else None,
    )


def count_layers(network: nn.Module, image: Tensor) -> dict[str, LayerCount]:
    """Every linear and convolution layer by name, in the order of the network. On the meta device, where
    weights have no values, all count as kept."""
    layers = prunable(network)
    positions = _positions(network, layers, image)
    counts = {}
    for name, layer in layers.items():
        weight = _weight(layer)
        kept = weight.numel() if weight.is_meta else int(weight.count_nonzero())
        counts[name] = LayerCount(type(layer).__name__, tuple(weight.shape), kept, positions[name])
    return counts


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
