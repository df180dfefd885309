"""Count weights, densities, multiply-accumulates (MACs) and bytes of a network, per layer and per scope.

Nothing else in switchbench counts them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from switchbench.measure.shrink import shrink
from switchbench.methods import Layers
from switchbench.methods.parts.masks import nonzeros
from switchbench.networks.layers import prunable

VALUE_BYTES, INDEX_BYTES = 4, 4
"""Size of a float32, and of an index of a sparse format."""


@dataclass(frozen=True)
class LayerCount:
    """Counts of one linear or convolution layer, taken from its current weight."""

    kind: str
    """Class name of the module."""
    shape: tuple[int, ...]
    """Shape of the weight."""
    kept: int
    """Number of non-zero weights."""
    positions: int
    """Output positions for one image, summed over all calls of the layer; 0: it was never called, and its
    MACs are not known."""

    @property
    def weights(self) -> int:
        """Number of weights."""
        return torch.Size(self.shape).numel()

    @property
    def density(self) -> float:
        """Non-zero share of the weights."""
        return self.kept / self.weights

    @property
    def macs(self) -> int:
        """MACs for one image with the non-zero weights.

        Each weight takes part in one MAC per output position. This also holds for groups, strides, and layers
        that are called several times.
        """
        return self.kept * self.positions

    @property
    def macs_dense(self) -> int:
        """MACs for one image with all weights."""
        return self.weights * self.positions

    @property
    def storage(self) -> dict[str, int]:
        """Bytes of the weight by format.

        ``dense``: all values; ``csr``: a compressed sparse row matrix (outputs × the other dimensions);
        ``bitmask``: one bit per weight, and the non-zero values.
        """
        values = VALUE_BYTES * self.kept
        return {
            "dense": VALUE_BYTES * self.weights,
            "csr": values + INDEX_BYTES * (self.kept + self.shape[0] + 1),
            "bitmask": values + -(-self.weights // 8),
        }


@dataclass(frozen=True)
class Count:
    """Size and cost of a network. Densities are recounted from the current weights."""

    density: float
    """Non-zero share of the weights of the layers in scope."""
    density_prunable: float
    """Non-zero share of the weights of all linear and convolution layers."""
    density_network: float
    """Non-zero share of all parameters, biases and norms included."""
    density_layers: dict[str, float]
    """Non-zero share of the weight of each linear and convolution layer, by name."""
    weights: int
    """Number of weights of the layers in scope."""
    parameters: int
    """Number of all parameters."""
    macs: int | None
    """MACs for one image with the non-zero weights. Theoretical: no kernel is assumed. None if the network
    uses a layer's weight without calling the layer, as attention does: then MACs cannot be counted."""
    macs_dense: int | None
    """MACs for one image with all weights."""
    macs_shrunk: int | None
    """MACs of the smaller dense network without dead neurons and channels: what the structure saves without a
    sparse kernel."""


def density(layers: Layers) -> float:
    """Return the non-zero share of the layers' weights.

    Args:
        layers: Layers by name; at least one.

    Returns:
        A share in [0, 1], over the weights of all layers together.

    Example:
        >>> layer = nn.Linear(4, 1)
        >>> _ = layer.weight.data.copy_(torch.tensor([[0.0, 2.0, 0.0, 0.0]]))
        >>> density({"layer": layer})
        0.25
    """
    kept = sum(int(nonzeros(_weight(layer))) for layer in layers.values())
    return kept / sum(_weight(layer).numel() for layer in layers.values())


def count(network: nn.Module, scoped: Layers, image: Tensor) -> Count:
    """Count a finished network.

    MACs of biases and norms are not counted.

    Args:
        network: A network with plain weights and exact zeros.
        scoped: The layers in scope, by name.
        image: An example image, (1, channels, height, width).

    Returns:
        Densities, parameters and MACs.
    """
    layers, shrunk = count_layers(network, image), count_layers(shrink(network, image), image)
    inside = [layers[name] for name in scoped]
    weights = sum(layer.weights for layer in inside)
    seen = all(layer.positions for layer in layers.values())
    parameters = list(network.parameters())
    total = sum(parameter.numel() for parameter in parameters)
    return Count(
        density=sum(layer.kept for layer in inside) / weights,
        density_prunable=sum(c.kept for c in layers.values()) / sum(c.weights for c in layers.values()),
        density_network=sum(int(nonzeros(parameter)) for parameter in parameters) / total,
        density_layers={name: layer.density for name, layer in layers.items()},
        weights=weights,
        parameters=total,
        macs=sum(layer.macs for layer in layers.values()) if seen else None,
        macs_dense=sum(layer.macs_dense for layer in layers.values()) if seen else None,
        macs_shrunk=sum(layer.macs_dense for layer in shrunk.values()) if seen else None,
    )


def count_layers(network: nn.Module, image: Tensor) -> dict[str, LayerCount]:
    """Count every linear and convolution layer.

    Args:
        network: A network. On the meta device, where weights have no values, all weights count as kept.
        image: An example image on the same device, (1, channels, height, width).

    Returns:
        Counts by layer name, in the order of the network.

    Example:
        >>> counts = count_layers(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), torch.zeros(1, 3, 2, 2))
        >>> counts["1"].weights, counts["1"].macs_dense, counts["1"].storage["bitmask"]
        (60, 60, 248)
    """
    layers = prunable(network)
    positions = _positions(network, layers, image)
    counts = {}
    for name, layer in layers.items():
        weight = _weight(layer)
        kept = weight.numel() if weight.is_meta else int(nonzeros(weight))
        counts[name] = LayerCount(type(layer).__name__, tuple(weight.shape), kept, positions[name])
    return counts


@torch.no_grad()
def _positions(network: nn.Module, layers: Layers, image: Tensor) -> dict[str, int]:
    """Return the output positions of each layer for one image, summed over its calls; 0 if not called."""
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
