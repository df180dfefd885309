"""A smaller dense network with the same outputs: units that do nothing are taken out.

A unit (a neuron, or a channel) is dead if nothing reads it, or if nothing makes it: then it is a
constant, which moves into the biases of its readers. Which units hang together (residual additions, depthwise
convolutions, norms) is Torch-Pruning's to know.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from switchbench.networks.layers import prunable

PLAIN = (nn.Linear, nn.Conv2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
PROBES, TOLERANCE = 16, 1e-3
"""Random images on which outputs are compared, and how far rounding may take them apart."""


@dataclass
class _Units:
    """Units of several layers that can be removed only together, and who makes and reads each."""

    group: Any
    makers: list[tuple[nn.Module, Tensor, Tensor]] = field(default_factory=list)
    """Layers with their outputs (k,), and the unit (k,) that each of them belongs to."""
    readers: list[tuple[nn.Module, Tensor, Tensor]] = field(default_factory=list)
    """Layers with their inputs (k,), and the unit (k,) that each of them belongs to."""

    @property
    def number(self) -> int:
        """How many units there are."""
        return len(self.group.items[0].idxs)


@torch.no_grad()
def shrink(network: nn.Module, image: Tensor) -> nn.Module:
    """A copy of a finished network without its dead units, in eval mode; on images of the shape of
    ``image`` (1, channels, height, width) it has the same outputs but for rounding.

    A network whose structure cannot be followed, or that proves to give other outputs, comes back as it is.
    """

    try:
        smaller = _shrunk(copy.deepcopy(network).eval(), image)
        probes = torch.randn((PROBES, *image.shape[1:]), generator=torch.Generator().manual_seed(0))
        if _agree(network, smaller, probes.to(image)):
            return smaller
    except Exception:  # other people's networks may do anything
        pass
    return copy.deepcopy(network).eval()


def _shrunk(network: nn.Module, image: Tensor) -> nn.Module:
    import torch_pruning

    with torch.enable_grad():  # it follows the graph of the backward pass
        graph = torch_pruning.DependencyGraph().build_dependency(network, example_inputs=image)
    sets = [*_all_units(graph, _outputs(network, image))]
    left = -1
    while left != (left := sum(int(_weight(layer).count_nonzero()) for layer in prunable(network).values())):
        for units in sets:
            _fold(network, image, units)
            _silence(units)
    doomed = [_unread(units) for units in sets]  # before places in the layers move
    for units, dead in zip(sets, doomed, strict=True):
        if bool(dead.all()):
            dead[0] = False  # a layer needs one
        if bool(dead.any()):
            units.group.prune(dead.nonzero().flatten().tolist())
    return network


def _agree(one: nn.Module, other: nn.Module, images: Tensor) -> bool:
    training = one.training
    expected, given = one.eval()(images), other(images)
    one.train(training)
    scale = float(expected.abs().max())
    return torch.allclose(expected, given, rtol=TOLERANCE, atol=TOLERANCE * scale)


def _outputs(network: nn.Module, image: Tensor) -> list[nn.Module]:
    """The layer that makes the logits, whose units are the classes."""
    last: list[nn.Module] = []
    handles = [
        module.register_forward_hook(lambda module, *_: last.__setitem__(slice(None), [module]))
        for module in network.modules()
        if isinstance(module, PLAIN)
    ]
    network(image)
    for handle in handles:
        handle.remove()
    return last


def _all_units(graph: Any, outputs: list[nn.Module]) -> Iterator[_Units]:
    """Every set of coupled units whose makers and readers are layers of known kinds."""
    for group in list(graph.get_all_groups(ignored_layers=outputs, root_module_types=PLAIN)):
        units = _Units(group)
        for item in group.items:
            layer = item.dep.target.module
            index = torch.tensor(item.idxs)
            unit = torch.tensor(item.root_idxs)
            outgoing = graph.is_out_channel_pruning_fn(item.dep.handler)
            if isinstance(layer, PLAIN) and (_depthwise(layer) or getattr(layer, "groups", 1) == 1):
                (units.makers if outgoing else units.readers).append((layer, index, unit))
            elif not isinstance(layer, NORMS) and [*layer.parameters()]:
                break
        else:
            yield units


def _unread(units: _Units) -> Tensor:
    """Which units no reader takes in."""
    dead = torch.ones(units.number, dtype=torch.bool)
    for layer, index, unit in units.readers:
        dead[unit[_weight(layer)[:, index].transpose(0, 1).flatten(1).any(1)]] = False
    return dead


def _silence(units: _Units) -> None:
    """Zero what makes units that nobody reads, so that nobody is seen to read for them."""
    dead = _unread(units)
    for layer, index, unit in units.makers:
        _weight(layer)[index[dead[unit]]] = 0


def _unmade(units: _Units) -> Tensor:
    """Which units no maker gives anything but its bias."""
    dead = torch.ones(units.number, dtype=torch.bool)
    for layer, index, unit in units.makers:
        dead[unit[_weight(layer)[index].flatten(1).any(1)]] = False
    return dead


def _fold(network: nn.Module, image: Tensor, units: _Units) -> None:
    """Move what constant units give to their readers into these readers' biases, where that is exact."""
    dead = _unmade(units)
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
        if isinstance(layer, nn.Conv2d) and any(layer.padding):  # at the border it is less
            constant = constant & (values == 0)
        chosen = index[constant]
        given = weight[:, chosen].flatten(2).sum(2) if weight.dim() > 2 else weight[:, chosen]
        shift = given @ values[constant]
        if layer.bias is not None:
            layer.bias.add_(shift)  # type: ignore[operator]
        elif bool(shift.any()):
            layer.bias = nn.Parameter(shift)
        weight[:, chosen] = 0


@contextmanager
def _inputs(network: nn.Module, layers: list[nn.Module]) -> Iterator[dict[nn.Module, Tensor]]:
    """What the layers take in while this lasts."""
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
