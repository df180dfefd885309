"""The layers of a network that can be sparsified."""

from typing import Any

import torch
from torch import Tensor, nn

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


def check_weights(network: nn.Module) -> None:
    """Check that each layer has a weight of its own. Masks, counts, exports and sparse kernels treat each
    weight alone.

    Raises:
        ValueError: Two linear or convolution layers have the same parameter or parameters in the same memory,
            or one computes its weight, as with weight norm.
    """
    owners: dict[tuple[Any, ...], str] = {}
    for name, layer in prunable(network).items():
        if "weight" not in layer._parameters:
            raise ValueError(f"layer {name!r} computes its weight (weight norm?), which is not supported")
        weight = layer.get_parameter("weight")
        memory = weight.untyped_storage()._cdata, weight.storage_offset()  # known on the meta device too
        owner = owners.setdefault(memory, name)
        if owner != name:
            raise ValueError(f"layers {owner!r} and {name!r} share one weight, which is not supported")


def unused(network: nn.Module, image: Tensor) -> set[str]:
    """Return the names of the layers whose weights take no part in the network's output.

    Args:
        network: The network, in eval mode.
        image: An example image on its device.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> network[1].head = nn.Linear(2, 2)
    >>> unused(network, torch.zeros(1, 1, 2, 2))
    {'1.head'}
    """
    with torch.enable_grad():
        output = network(image)
    pending, seen, used = [output.grad_fn], set(), set()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        used.add(id(getattr(node, "variable", None)))
        pending += [following for following, _ in node.next_functions]
    return {
        name
        for name, layer in prunable(network).items()
        if layer.weight.requires_grad and id(layer.weight) not in used
    }
