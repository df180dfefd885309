"""Reading weights: what a reader sees of each layer, and the logits of the gates that follow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from switchbench.methods.parts.masks import Tensors
from switchbench.methods.parts.paths import Paths
from switchbench.methods.parts.state import Constant
from switchbench.methods.switchers.chain import connections, neurons_read, scaled
from switchbench.methods.switchers.equivariant import TINY, EquivariantReader
from switchbench.methods.switchers.functional import FunctionalReader
from switchbench.methods.switchers.graph import GraphReader
from switchbench.methods.switchers.options import CHAINED, SwitcherOptions
from switchbench.methods.switchers.row import FreeLogits, RowReader
from switchbench.methods.switchers.saliency import FEATURES, SaliencyReader, alike, features
from switchbench.methods.switchers.unet import UNetReader

WHOLE = ("saliency", *CHAINED)
"""Readers that see the whole network at once: what is seen, by layer name, becomes numbers by layer name."""
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
    paths: Paths
    """Follows the network's paths."""
    orders: Mapping[str, Tensor]
    """For each layer, the order in which a reader sees shuffled weights."""
    tie_breaks: Mapping[str, Tensor]
    """For each layer, fixed noise for a reader that sees constants."""

    @classmethod
    def of(
        cls,
        weights: Mapping[str, nn.Parameter],
        config: SwitcherOptions,
        paths: Paths,
        generator: torch.Generator,
    ) -> Self:
        """Make the readers of a network.

        Args:
            weights: Raw weights by layer name.
            config: The switcher's options.
            paths: Follows the network's paths.
            generator: Source of random orders, noise and free logits. The weights of readers are drawn from
                torch's global generator.
        """
        orders = {name: _order(weight, config, generator) for name, weight in weights.items()}
        tie_breaks = {name: _tie_break(weight, config, generator) for name, weight in weights.items()}
        readers = _readers([*weights.values()], config, generator)
        shared = config.reader in ("equivariant", *WHOLE)
        reader_of = {name: 0 if shared else index for index, name in enumerate(weights)}
        return cls(config, readers, reader_of, paths, orders, tie_breaks)

    def logits(
        self, weights: Mapping[str, Tensor], gates: Mapping[str, Tensor], curvature: Tensors
    ) -> dict[str, Tensor]:
        """Return the logits of all gates.

        Args:
            weights: Raw weights by layer name.
            gates: The gates that the reader sees beside them, of shapes that expand to the weights'.
            curvature: Running means of squared gradients, if :attr:`needs_curvature`.

        Returns:
            (outputs × inputs) by layer name, or (inputs,) for neurons.
        """
        gates = {name: gates[name].expand_as(weight) for name, weight in weights.items()}
        if self.config.reader in WHOLE:
            return self._logits_of_all(weights, gates, curvature)
        return {name: self._logits(name, weight, gates[name], curvature) for name, weight in weights.items()}

    @property
    def needs_curvature(self) -> bool:
        """Whether the curvature is read."""
        return self.config.reader == "saliency" or self.config.prior == "curvature"

    def found(self) -> dict[str, float]:
        """Return θ of the saliency reader by feature, and the exponent of V that follows from it."""
        if self.config.reader != "saliency":
            return {}
        (reader,) = self.readers
        weights = reader.get_parameter("theta").detach()
        theta = {feature: float(weights[place]) for place, feature in enumerate(FEATURES)}
        prior = self.config.exponent if self.config.prior == "curvature" else 0.0
        return {**theta, "exponent": prior + theta["curvature"] / 2}  # the feature is log √V

    def _logits_of_all(
        self, weights: Mapping[str, Tensor], gates: Mapping[str, Tensor], curvature: Tensors
    ) -> dict[str, Tensor]:
        """Return the logits of a reader that sees the whole network at once."""
        if self.config.reader == "saliency":
            numbers = self._salience(weights, gates, curvature)
        else:
            numbers = self._chain(weights, gates)
        if self.config.prior == "none":
            return numbers
        matrices = {name: weight.detach().flatten(1) for name, weight in weights.items()}
        return {name: read + self._prior(name, matrices[name], curvature) for name, read in numbers.items()}

    def _salience(
        self, weights: Mapping[str, Tensor], gates: Mapping[str, Tensor], curvature: Tensors
    ) -> dict[str, Tensor]:
        """Return what the saliency reader says of each gate. Shuffled are its numbers, not the features."""
        c, (reader,) = self.config, self.readers
        silent = not c.learn and not any(getattr(c, f"theta_{feature}") for feature in FEATURES)
        if c.sees == "constant" or silent:
            seen = alike(weights)
        else:
            bends = curvature if c.learn or c.theta_curvature else None
            seen = features(weights, gates, bends, self.paths)
        numbers = {name: read.flatten(1) for name, read in reader(seen).items()}
        if c.sees == "shuffled":
            numbers = {name: self._shown(name, read) for name, read in numbers.items()}
        if c.units == "connection":
            return numbers
        on = {name: gate.flatten(1) for name, gate in gates.items()}
        return {name: (n * on[name]).sum(0) / on[name].sum(0).clamp_min(1) for name, n in numbers.items()}

    def _chain(self, weights: Mapping[str, Tensor], gates: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what a reader of a chain of layers says of each gate. Of an input it is the mean over its
        connections, those that are off as well."""
        (reader,) = self.readers
        seen = {}
        for name, neurons in neurons_read(weights).items():
            weight = weights[name].detach() if self.config.detach else weights[name]
            gate = self._shown(name, gates[name].flatten(1))
            seen[name] = connections(self._shown(name, weight.flatten(1)), gate, neurons)
        numbers = {name: read.flatten(1) for name, read in reader(seen).items()}
        if self.config.units == "connection":
            return numbers
        return {name: read.mean(0) for name, read in numbers.items()}

    def _logits(self, name: str, weight: Tensor, gate: Tensor, curvature: Tensors) -> Tensor:
        """Return the logits of a layer, from a reader that sees one layer at a time."""
        c, matrix, gates = self.config, weight.flatten(1), gate.flatten(1)
        if c.detach:
            matrix = matrix.detach()
        if c.normalise:
            matrix = scaled(matrix)
        reader = self.readers[self.reader_of[name]]
        logits: Tensor = reader(self._shown(name, matrix), self._shown(name, gates))
        if c.prior != "none":
            return logits + self._prior(name, matrix, curvature)
        return logits + self.tie_breaks[name] if c.sees == "constant" else logits

    def _shown(self, name: str, values: Tensor) -> Tensor:
        """Return what the reader sees of a matrix."""
        if self.config.sees == "constant":
            return values.new_ones(()).expand_as(values)
        if self.config.sees == "shuffled":
            return values.flatten()[self.orders[name]].view_as(values)
        return values

    def _prior(self, name: str, weight: Tensor, curvature: Tensors) -> Tensor:
        """Return log |w|, or the log root mean square of a unit's weights, and what curvature adds to it.

        Without a target it is standardised, so that about half the gates are open.
        """
        connections = self.config.units == "connection"
        squares = weight.square() if connections else weight.square().mean(0)
        prior = log_root(squares)
        if self.config.prior == "curvature":
            bends = curvature[name].flatten(1).log()
            prior = prior.add_(bends if connections else bends.mean(0), alpha=self.config.exponent)
        if self.config.sparsity == "target":
            return prior
        return (prior - prior.mean()) / prior.std(correction=0).clamp_min(TINY)


def log_root(squares: Tensor) -> Tensor:
    """Return log √s, which stays finite at zero."""
    return 0.5 * (squares + TINY).log()


def _readers(weights: list[nn.Parameter], c: SwitcherOptions, generator: torch.Generator) -> nn.ModuleList:
    neurons, silent = c.units == "neuron", c.prior != "none"
    shapes = [weight.flatten(1).shape for weight in weights]
    readers: list[nn.Module]
    if c.reader == "equivariant":
        readers = [EquivariantReader(c.hidden, c.rank, neurons, silent)]
    elif c.reader == "row":
        readers = [RowReader(rows, columns, c.hidden, neurons, silent) for rows, columns in shapes]
    elif c.reader == "unet":
        readers = [UNetReader(rows, columns, neurons) for rows, columns in shapes]
    elif c.reader == "saliency":
        readers = [SaliencyReader([getattr(c, f"theta_{feature}") for feature in FEATURES])]
    elif c.reader == "functional":
        readers = [FunctionalReader(len(weights), c.hidden, silent)]
    elif c.reader == "graph":
        readers = [GraphReader(c.hidden, silent)]
    else:
        readers = [FreeLogits(_first_logits(weight, c, generator)) for weight in weights]
    return nn.ModuleList(readers).to(weights[0].device)


def _first_logits(weight: Tensor, c: SwitcherOptions, generator: torch.Generator) -> Tensor:
    """Return the first values of free logits: zeros on top of the prior, else noise."""
    if c.prior != "none":
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
