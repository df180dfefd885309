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
