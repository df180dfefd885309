"""Paths: which connections lead from a network's input to its output through masked layers."""

import copy
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from switchbench.methods.parts.layers import NORMS, PRUNABLE, Layers, columns
from switchbench.methods.parts.masks import Tensors
from switchbench.methods.parts.state import Constant

TRANSPARENT = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d,
    nn.ReLU, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Identity,
)  # fmt: skip
"""Leaf modules through which a positive signal stays positive, so that paths can be followed."""
Hook = Callable[[nn.Module, tuple[Tensor], Tensor], Any]
POOLS = (nn.MaxPool1d, nn.MaxPool2d)


class Paths(Constant):
    """Follows the paths from a network's input to its output through masked layers.

    A positive signal runs through a copy of the network in which every weight is positive where
    its mask is. A connection is alive exactly if the output changes with it. Removing dead ones
    changes no output. Paths cannot be followed, and every connection counts as alive, in networks
    with other modules than :data:`TRANSPARENT`, in networks with batch norms that have no shift, and
    where the signal of the unmasked network does not stay positive.
    """

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        """Copy the network's structure, without its weights.

        Args:
            network: The network before anything is attached to it.
            images: Any batch of inputs; only its shape and device matter.
        """
        hollow = {id(p): nn.Parameter(p.new_zeros(()).expand_as(p)) for p in network.parameters()}
        self.network = copy.deepcopy(network, hollow).eval()
        for module in [*self.network.modules()]:
            for name, child in module.named_children():
                if isinstance(child, nn.ReLU6):  # the signal would stick at its ceiling
                    setattr(module, name, nn.ReLU())
        self.images = torch.ones_like(images[:1], dtype=torch.float64)

    def alive(self, masks: Tensors, silent: Mapping[str, Tensor] | None = None) -> Tensors:
        """Return the masks without connections that lead nowhere or carry nothing.

        Args:
            masks: 0/1 masks by layer name.
            silent: Values of other parameters, by their name in the network, instead of ones.
        """
        if not self._can_be_followed:
            return masks
        flow = self._flow(masks, silent or {})
        return {name: mask * (flow[name] > 0).to(mask.dtype) for name, mask in masks.items()}

    def reach_the_output_without(self, empty: Collection[str]) -> bool | None:
        """Return whether a path leads from the input to the output around layers that have no connections.

        Args:
            empty: Names of these layers. All others have all their connections.

        Returns:
            Whether the output depends on the input; None if paths cannot be followed.
        """
        whole = self._whole()
        if not self._is_transparent or not self._carry(whole):
            return None
        return self._carry({name: mask * (name not in empty) for name, mask in whole.items()})

    @torch.enable_grad()
    def sums(self, strengths: Tensors) -> dict[str, tuple[Tensor, Tensor]] | None:
        """Sum the strengths of paths; that of a path is the product of its connections'.

        Layers out of scope count with equal strengths, and a layer's positions (pixels) with their mean.

        Args:
            strengths: Strength of each connection, not negative, by layer name.

        Returns:
            For each layer the sums over all paths from the network's input to its inputs (inputs,), and over
            those from its outputs to the network's output (outputs,); None if paths cannot be followed. Each
            is known up to a factor that it shares with the others of its layer.
        """
        if not self._can_be_followed:
            return None
        layers = {name: self.network.get_submodule(name) for name in strengths}
        inputs: dict[str, Tensor] = {}
        outputs: dict[str, Tensor] = {}

        def keeper(name: str) -> Hook:
            def keep(_: nn.Module, given: tuple[Tensor], output: Tensor) -> None:
                inputs[name], outputs[name] = given[0], output

            return keep

        scaled = {name: strength.double() / strength.sum() for name, strength in strengths.items()}
        variables = {name: strength.requires_grad_() for name, strength in scaled.items()}
        with _hooked((layers[name], keeper(name)) for name in strengths):
            total = self._run(variables, self._no_biases())
        behind = torch.autograd.grad(total, [outputs[name] for name in strengths])
        return {
            name: (_of_units(inputs[name].detach(), layers[name], 1), _of_units(gradient, layers[name], 0))
            for (name, gradient) in zip(strengths, behind, strict=True)
        }

    def macs(self, masks: Tensors) -> Tensor:
        """Return the MACs of what is left without dead units, as a share of the whole network's.

        Layers count as dense ones between the units that are left. Those out of scope are left out. A unit
        that only its bias feeds is dead too: the next layer's biases can take its constant.

        Args:
            masks: 0/1 masks by layer name.
        """
        left, whole = torch.zeros(()), 0.0
        for name, mask in self.alive(masks, self._no_biases()).items():
            outputs, inputs = mask.flatten(1).sum(1), columns(mask).sum(1)
            weight = self._positions[name] * mask[0, 0].numel()
            left = left + weight * (outputs > 0).sum() * (inputs > 0).sum()
            whole += weight * len(outputs) * len(inputs)
        return left / whole

    @cached_property
    def _positions(self) -> dict[str, int]:
        """Number of the positions of each layer's output for one image."""
        found: dict[str, int] = {}

        def counter(name: str, channels: int) -> Hook:
            def count(_: nn.Module, given: tuple[Tensor], output: Tensor) -> None:
                found[name] = found.get(name, 0) + output.numel() // channels

            return count

        whole = self._whole()
        layers = (
            (self.network.get_submodule(name), counter(name, len(mask))) for name, mask in whole.items()
        )
        with _hooked(layers):
            self._run({name: mask.double() for name, mask in whole.items()}, {})
        return found

    def _carry(self, masks: Tensors) -> bool:
        """Return whether a signal from the input alone, without biases, gets to the output."""
        flow = self._flow(masks, self._no_biases())
        return any(bool((flow[name] * mask > 0).any()) for name, mask in masks.items())

    def _no_biases(self) -> Tensors:
        """Return zeros for the parameters that make a signal of nothing."""
        named = self.network.named_parameters()
        return {name: torch.zeros_like(parameter) for name, parameter in named if name.endswith("bias")}

    def _whole(self) -> Tensors:
        """Return the masks of a network with all its connections."""
        layers = {n: m for n, m in self.network.named_modules() if isinstance(m, PRUNABLE)}
        return {name: torch.ones_like(layer.get_parameter("weight")) for name, layer in layers.items()}

    def looked_at(self) -> Self:
        """Find out now whether paths can be followed, if a GPU would keep :meth:`alive` waiting for it."""
        if self.images.device.type != "cpu":
            _ = self._can_be_followed
        return self

    @cached_property
    def _can_be_followed(self) -> bool:
        if not self._is_transparent or self.images.is_meta:
            return False
        return all(bool((flow > 0).all()) for flow in self._flow(self._whole(), {}).values())

    @cached_property
    def _is_transparent(self) -> bool:
        leaves = [module for module in self.network.modules() if not [*module.children()]]
        norms = [leaf for leaf in leaves if isinstance(leaf, NORMS)]
        # a norm without a shift makes a signal of its running mean
        return all(isinstance(leaf, TRANSPARENT) for leaf in leaves) and all(norm.affine for norm in norms)

    @torch.enable_grad()
    def _flow(self, masks: Tensors, silent: Mapping[str, Tensor]) -> Tensors:
        """Gradient of the output's sum by the masks, in double precision: signals fade over many layers."""
        scaled = {name: (mask.double() / mask[0].numel()).requires_grad_() for name, mask in masks.items()}
        total = self._run(scaled, silent)
        flow = torch.autograd.grad(total, list(scaled.values()), materialize_grads=True)
        return dict(zip(masks, flow, strict=True))

    def _run(self, weights: Tensors, others: Mapping[str, Tensor]) -> Tensor:
        """Return the sum of the outputs for an input of ones, in double precision.

        Args:
            weights: Doubles by layer name.
            others: Values of other parameters, by their name in the network, instead of ones.
        """
        pools = [module for module in self.network.modules() if isinstance(module, POOLS)]
        state: dict[str, Tensor] = {}
        for name, parameter in self.network.named_parameters():
            fan_in = parameter[0].numel() if parameter.dim() else 1
            state[name] = torch.ones_like(parameter, dtype=torch.float64) / fan_in
        for name, buffer in self.network.named_buffers():
            ones = torch.ones_like(buffer, dtype=torch.float64)
            state[name] = torch.zeros_like(ones) if name.endswith("mean") else ones
        state |= {name: value.double() for name, value in others.items()}
        state |= {f"{name}.weight": weight for name, weight in weights.items()}
        with _hooked((pool, _average) for pool in pools):
            total: Tensor = functional_call(self.network, state, (self.images,)).sum()
        return total

    def remove_dead(self, layers: Layers) -> None:
        """Set every weight that lies on no path to zero, in plain layers."""
        weights = {name: layer.get_parameter("weight") for name, layer in layers.items()}
        with torch.no_grad():
            masks = {name: (weight != 0).to(weight.dtype) for name, weight in weights.items()}
            for name, mask in self.alive(masks).items():
                weights[name].mul_(mask)


@contextmanager
def _hooked(hooks: Iterable[tuple[nn.Module, Hook]]) -> Iterator[None]:
    """Run hooks after the forward passes of modules while the context is open."""
    with ExitStack() as handles:
        for module, hook in hooks:
            handles.enter_context(module.register_forward_hook(hook))
        yield


def _of_units(values: Tensor, layer: nn.Module, dim: int) -> Tensor:
    """Return the means of a layer's inputs or outputs over all positions, as float32, one for each unit of a
    dimension of its weight. Groups of a convolution share the units of their inputs."""
    units = values.flatten(0, -2) if isinstance(layer, nn.Linear) else values.transpose(0, 1).flatten(1).t()
    size = layer.get_parameter("weight").shape[dim]
    return units.mean(0).view(-1, size).mean(0).float()


def _average(pool: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """Forward hook: pool by means, through which every position is followed, not the largest alone."""
    assert isinstance(pool, POOLS)
    average = F.avg_pool1d if isinstance(pool, nn.MaxPool1d) else F.avg_pool2d
    pooled: Tensor = average(inputs[0], pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode)
    return pooled
