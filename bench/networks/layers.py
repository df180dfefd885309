"""The layers of a network that can be sparsified."""

from torch import nn

from switchbench.methods.parts.layers import PRUNABLE, Layers


def prunable(network: nn.Module) -> Layers:
    """List the layers of a network that can be sparsified.

    Args:
        network: Any network.

    Returns:
        Every linear and convolution layer by its name in the network, in the order of ``named_modules``.

    Example:
        >>> list(prunable(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Linear(2, 2))))
        ['0', '2']
    """
    return {name: module for name, module in network.named_modules() if isinstance(module, PRUNABLE)}


def check_untied(network: nn.Module) -> None:
    """Check that no two layers share a weight. Masks, counts and exports treat each layer's weight alone.

    Raises:
        ValueError: Two linear or convolution layers have the same parameter.
    """
    owners: dict[int, str] = {}
    for name, layer in prunable(network).items():
        owner = owners.setdefault(id(layer.weight), name)
        if owner != name:
            raise ValueError(f"layers {owner!r} and {name!r} share one weight, which is not supported")
