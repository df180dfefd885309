"""Shrink a network: remove dead units, so that a smaller dense network with the same outputs remains.

A unit is a neuron or a channel. It is dead if no layer reads it. It is also dead if no weight feeds it: then
it is a constant, and the constant moves into the biases of the layers that read it. Torch-Pruning works out
which units must be removed together (residual additions, depthwise convolutions, norms).
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from switchbench.networks.layers import prunable

SHRINKABLE = (nn.Linear, nn.Conv2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
PROBES, TOLERANCE = 16, 1e-3
"""Number of random images on which outputs are compared, and the largest relative difference by rounding."""


@dataclass
class _Units:
    """Units of several layers that can only be removed together, with the layers that write and read them."""

    group: Any
    """Torch-Pruning's group."""
    writers: list[tuple[nn.Module, Tensor, Tensor]] = field(default_factory=list)
    """Layers, indices (k,) of their outputs, and the unit (k,) of each output."""
    readers: list[tuple[nn.Module, Tensor, Tensor]] = field(default_factory=list)
    """Layers, indices (k,) of their inputs, and the unit (k,) of each input."""

    @property
    def number(self) -> int:
        """Number of units."""
        return len(self.group.items[0].idxs)


@torch.no_grad()
def shrink(network: nn.Module, image: Tensor) -> nn.Module:
    """Copy a finished network without its dead units.

    Args:
        network: A network with plain weights and exact zeros. It is not changed.
        image: An example image, (1, channels, height, width).

    Returns:
        A network in eval mode that gives the same outputs, up to rounding, on images of the same shape. If
        Torch-Pruning cannot trace the network, or if the outputs differ, it is a full copy.

    Example:
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> network[3].weight.data[:, 0] = 0  # nothing reads the first hidden neuron
        >>> shrink(network, torch.zeros(1, 1, 2, 2))[1]
        Linear(in_features=4, out_features=2, bias=True)
    """
    try:
        smaller = copy.deepcopy(network).cpu().eval()  # indices of units are there
        probes = torch.randn((PROBES, *image.shape[1:]), generator=torch.Generator().manual_seed(0))
        probes = probes.to(image.dtype)
        before = smaller(probes)
        _shrink(smaller, image.cpu())
        if _agree(before, smaller(probes)):
            return smaller.to(image.device)
    except Exception:  # networks of plug-ins may raise anything
        pass
    return copy.deepcopy(network).eval()


def _shrink(network: nn.Module, image: Tensor) -> None:
    """Remove the dead units of a network in eval mode on the CPU."""
    import torch_pruning

    with torch.enable_grad():  # Torch-Pruning traces the backward graph
        graph = torch_pruning.DependencyGraph().build_dependency(network, example_inputs=image)
    sets = [*_all_units(graph, _outputs(network, image))]
    left = -1
    while left != (left := sum(int(_weight(layer).count_nonzero()) for layer in prunable(network).values())):
        for units in sets:
            _fold(network, image, units)
            _silence(units)
    unread = [_unread(units) for units in sets]  # before pruning changes the indices
    for units, dead in zip(sets, unread, strict=True):
        if bool(dead.all()):
            dead[0] = False  # a layer needs at least one unit
        if bool(dead.any()):
            units.group.prune(dead.nonzero().flatten().tolist())


def _agree(expected: Tensor, actual: Tensor) -> bool:
    scale = float(expected.abs().max())
    return torch.allclose(expected, actual, rtol=TOLERANCE, atol=TOLERANCE * scale)


def _outputs(network: nn.Module, image: Tensor) -> list[nn.Module]:
    """Return the layer that computes the logits. Its units are the classes, which stay."""
    last: list[nn.Module] = []
    handles = [
        module.register_forward_hook(lambda module, *_: last.__setitem__(slice(None), [module]))
        for module in network.modules()
        if isinstance(module, SHRINKABLE)
    ]
    network(image)
    for handle in handles:
        handle.remove()
    return last


def _all_units(graph: Any, outputs: list[nn.Module]) -> Iterator[_Units]:
    """Yield every set of coupled units whose writers and readers are layers of known kinds."""
    for group in list(graph.get_all_groups(ignored_layers=outputs, root_module_types=SHRINKABLE)):
        units = _Units(group)
        for item in group.items:
            layer = item.dep.target.module
            index = torch.tensor(item.idxs)
            unit = torch.tensor(item.root_idxs)
            outgoing = graph.is_out_channel_pruning_fn(item.dep.handler)
            if isinstance(layer, SHRINKABLE) and (_depthwise(layer) or getattr(layer, "groups", 1) == 1):
                (units.writers if outgoing else units.readers).append((layer, index, unit))
            elif not isinstance(layer, NORMS) and [*layer.parameters()]:
                break
        else:
            yield units


def _unread(units: _Units) -> Tensor:
    """Return a mask (units,): units that no layer reads."""
    dead = torch.ones(units.number, dtype=torch.bool)
    for layer, index, unit in units.readers:
        dead[unit[_weight(layer)[:, index].transpose(0, 1).flatten(1).any(1)]] = False
    return dead


def _silence(units: _Units) -> None:
    """Zero the weights that feed unread units, so that the units before them can become unread too."""
    dead = _unread(units)
    for layer, index, unit in units.writers:
        _weight(layer)[index[dead[unit]]] = 0


def _constant(units: _Units) -> Tensor:
    """Return a mask (units,): units that no weight feeds, only biases."""
    dead = torch.ones(units.number, dtype=torch.bool)
    for layer, index, unit in units.writers:
        dead[unit[_weight(layer)[index].flatten(1).any(1)]] = False
    return dead


def _fold(network: nn.Module, image: Tensor, units: _Units) -> None:
    """Move constant units into the biases of their readers, where that is exact."""
    dead = _constant(units)
    if not bool(dead.any()):
        return
    readers = [reader for reader in units.readers if not _depthwise(reader[0])]
    with _inputs(network, [layer for layer, _, _ in readers]) as seen:
        network(image)
    for layer, index, unit in readers:
        channel = 1 if isinstance(layer, nn.Conv2d) else -1
        flat, weight = seen[layer].movedim(channel, 0).flatten(1)[index], _weight(layer)
        values = flat[:, 0]
        constant = dead[unit] & (flat == flat[:, :1]).all(1)
        if isinstance(layer, nn.Conv2d) and any(layer.padding):  # padding makes it smaller at the border
            constant = constant & (values == 0)
        chosen = index[constant]
        summed = weight[:, chosen].flatten(2).sum(2) if weight.dim() > 2 else weight[:, chosen]
        shift = summed @ values[constant]
        if layer.bias is not None:
            layer.bias.add_(shift)  # type: ignore[operator]
        elif bool(shift.any()):
            layer.bias = nn.Parameter(shift)
        weight[:, chosen] = 0


@contextmanager
def _inputs(network: nn.Module, layers: list[nn.Module]) -> Iterator[dict[nn.Module, Tensor]]:
    """Record the last input of each layer while the context is open."""
    seen: dict[nn.Module, Tensor] = {}
    handles = [
        layer.register_forward_pre_hook(lambda module, inputs: seen.__setitem__(module, inputs[0]))
        for layer in layers
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _depthwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.out_channels > 1


def _weight(layer: nn.Module) -> Tensor:
    return layer.get_parameter("weight")
