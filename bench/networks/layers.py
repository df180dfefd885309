"""The layers of a network that can be sparsified."""

from torch import nn

from switchbench.methods import Layers

PRUNABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def prunable(network: nn.Module) -> Layers:
    """Every linear and convolution layer by name, in the order of the network."""
    return {name: module for name, module in network.named_modules() if isinstance(module, PRUNABLE)}
