"""Reading weights: what a reader sees of each layer, and the logits of the gates that follow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from switchbench.methods.parts.state import Constant
from switchbench.methods.switchers.equivariant import TINY, EquivariantReader
from switchbench.methods.switchers.options import SwitcherOptions
from switchbench.methods.switchers.row import FreeLogits, RowReader
from switchbench.methods.switchers.unet import UNetReader

TIE_BREAK = 1e-3
"""Size of the fixed noise that breaks ties where a reader sees the same everywhere."""


@dataclass(frozen=True)
class Reading(Constant):
    """The readers of a network, and what they see of its layers."""

    config: SwitcherOptions
    readers: nn.ModuleList
    """One for each layer, or one for all."""
    reader_of: Mapping[str, int]
    """Index of each layer's reader."""
    orders: Mapping[str, Tensor]
    """For each layer, the order in which a reader sees shuffled weights."""
    tie_breaks: Mapping[str, Tensor]
    """For each layer, fixed noise for a reader that sees constants."""

    @classmethod
    def of(
        cls, weights: Mapping[str, nn.Parameter], config: SwitcherOptions, generator: torch.Generator
    ) -> Self:
        """Make the readers of a network.

        Args:
            weights: Raw weights by layer name.
            config: The switcher's options.
            generator: Source of random orders, noise and free logits. The weights of readers are drawn from
                torch's global generator.
        """
        orders = {name: _order(weight, config, generator) for name, weight in weights.items()}
        tie_breaks = {name: _tie_break(weight, config, generator) for name, weight in weights.items()}
        readers = _readers([*weights.values()], config, generator)
        shared = config.reader == "equivariant"
        reader_of = {name: 0 if shared else index for index, name in enumerate(weights)}
        return cls(config, readers, reader_of, orders, tie_breaks)

    def logits(self, name: str, weight: Tensor, gate: Tensor) -> Tensor:
        """Return the logits of a layer's gates.

        Args:
            name: The layer.
            weight: Its raw weight.
            gate: The gates that the reader sees beside it, of a shape that expands to the weight's.

        Returns:
            (outputs × inputs), or (inputs,) for neurons.
        """
        c, matrix = self.config, weight.flatten(1)
        gates = gate.expand_as(weight).flatten(1)
        if c.detach:
            matrix = matrix.detach()
        if c.normalise:
            matrix = matrix / matrix.square().mean().sqrt().clamp_min(TINY)
        reader = self.readers[self.reader_of[name]]
        logits: Tensor = reader(self._shown(name, matrix), self._shown(name, gates))
        if c.prior == "magnitude":
            return logits + self._prior(matrix)
        return logits + self.tie_breaks[name] if c.sees == "constant" else logits

    def _shown(self, name: str, values: Tensor) -> Tensor:
        """Return what the reader sees of a matrix."""
        if self.config.sees == "constant":
            return values.new_ones(()).expand_as(values)
        if self.config.sees == "shuffled":
            return values.flatten()[self.orders[name]].view_as(values)
        return values

    def _prior(self, weight: Tensor) -> Tensor:
        """Return log |w|, or the log root mean square of a unit's weights.

        Without a target it is standardised, so that about half the gates are open.
        """
        squares = weight.square() if self.config.units == "connection" else weight.square().mean(0)
        prior = 0.5 * (squares + TINY).log()
        if self.config.sparsity == "target":
            return prior
        return (prior - prior.mean()) / prior.std(correction=0).clamp_min(TINY)


def _readers(weights: list[nn.Parameter], c: SwitcherOptions, generator: torch.Generator) -> nn.ModuleList:
    neurons, silent = c.units == "neuron", c.prior == "magnitude"
    shapes = [weight.flatten(1).shape for weight in weights]
    readers: list[nn.Module]
    if c.reader == "equivariant":
        readers = [EquivariantReader(c.hidden, c.rank, neurons, silent)]
    elif c.reader == "row":
        readers = [RowReader(rows, columns, c.hidden, neurons, silent) for rows, columns in shapes]
    elif c.reader == "unet":
        readers = [UNetReader(rows, columns, neurons) for rows, columns in shapes]
    else:
        readers = [FreeLogits(_first_logits(weight, c, generator)) for weight in weights]
    return nn.ModuleList(readers).to(weights[0].device)


def _first_logits(weight: Tensor, c: SwitcherOptions, generator: torch.Generator) -> Tensor:
    """Return the first values of free logits: zeros on top of the prior, else noise."""
    if c.prior == "magnitude":
        return torch.zeros(_gates(weight, c), device=weight.device)
    return torch.randn(_gates(weight, c), generator=generator).to(weight.device)


def _order(weight: Tensor, c: SwitcherOptions, generator: torch.Generator) -> Tensor:
    """Return a fixed order of a layer's weights, for the control that sees them shuffled."""
    if c.sees != "shuffled":
        return torch.empty(0, dtype=torch.int64)
    return torch.randperm(weight.numel(), generator=generator).to(weight.device)


def _tie_break(weight: Tensor, c: SwitcherOptions, generator: torch.Generator) -> Tensor:
    """Return fixed noise that breaks ties, for a reader that sees constants and has no prior."""
    if c.sees != "constant" or c.prior != "none":
        return torch.empty(0)
    return TIE_BREAK * torch.randn(_gates(weight, c), generator=generator).to(weight.device)


def _gates(weight: Tensor, c: SwitcherOptions) -> torch.Size:
    """Return the shape of a layer's logits."""
    return weight.flatten(1).shape if c.units == "connection" else weight.shape[1:2]
