"""The switcher family: a reader sees the weights and switches connections; both learn in turn."""

from collections.abc import Collection
from typing import Any, Literal

import torch
from torch import Tensor, nn

from switchbench.methods import window
from switchbench.methods.contract import Granularity, Method, ParameterGroup, Progress, Units, register
from switchbench.methods.options import option
from switchbench.methods.parts import distributions
from switchbench.methods.parts.gates import Gate
from switchbench.methods.parts.layers import Layers, columns, per_input
from switchbench.methods.parts.masks import flat, keep_top, split
from switchbench.methods.parts.neurons import select_units
from switchbench.methods.parts.paths import Paths
from switchbench.methods.parts.pruning_schedules import Window
from switchbench.methods.switchers.equivariant import TINY, EquivariantReader
from switchbench.methods.switchers.gates import GateKind, gates, openness
from switchbench.methods.switchers.row import FreeLogits, RowReader
from switchbench.methods.switchers.turns import READER, READER_NORMS, Epochs, Steps, Turns
from switchbench.methods.switchers.unet import UNetReader
from switchbench.methods.window import WindowOptions

NETWORKS = ("equivariant", "row", "unet")
"""Readers that see the weights."""
TIE_BREAK = 1e-3
"""Fixed noise that breaks ties where a reader sees the same everywhere."""


@register("switcher")
class Switcher(Method):
    """Cheap switcher: one equivariant reader, binary gates, a target density met exactly.

    That is what the defaults make of a family with orthogonal parts, each an option. In the
    ``steps`` schedule every ``every``-th step belongs to the reader: the weights are frozen while
    the reader learns through the gates' gradient; between its steps gates are constants. In the ``epochs``
    schedule (the paper's) gates are recomputed at every step, epochs 0, 2, … train the weights
    and 1, 3, … the reader; batch norms and ungated parameters learn throughout. Density falls on
    the cubic schedule, like gradual magnitude pruning. For the last part of training gates are fixed
    and only weights learn. A connection that is switched off keeps its weight, and is switched on
    again with it (binary gates in the ``steps`` schedule: weight decay and an optimiser's memory
    leave it alone; else they may still move it).

    Defaults: from ``make defaults`` (Fashion-MNIST, validation images).
    """

    version = 3

    class Config(WindowOptions):
        reader: Literal["equivariant", "row", "unet", "free"] = option(
            "equivariant", "the network that reads weights; free: none, one learnable logit per gate"
        )
        sees: Literal["weights", "shuffled", "constant"] = option(
            "weights",
            "what the reader is shown, but not the prior; shuffled and constant are controls",
            needs={"reader": NETWORKS},
        )
        prior: Literal["magnitude", "none"] = option(
            "magnitude", "what the reader's output is added to: log |w|"
        )
        normalise: bool = option(
            False,
            "show the reader each layer's weights over their root mean square",
            needs={"reader": NETWORKS},
        )
        detach: bool = option(
            True, "keep the weights' gradient out of the reader", needs={"schedule": ["epochs"]}
        )
        gate: GateKind = option("binary", "how logits become gates")
        units: Units = option("connection", "what one gate switches")
        schedule: Literal["steps", "epochs"] = option("steps", "how the networks take turns")
        every: int = option(
            25,
            "one in this many steps trains the reader",
            search=(5, 100),
            log=True,
            needs={"schedule": ["steps"]},
            ge=2,
        )
        sparsity: Literal["target", "penalty", "none"] = option(
            "target", "meet a target density, weigh open gates in the loss, or take what emerges"
        )
        strength: float = option(
            0.1,
            "weight of the mean open gate in the loss",
            search=(1e-3, 10),
            log=True,
            needs={"sparsity": ["penalty"]},
            ge=0,
        )
        begin: float = option(
            0.1, "share of training before connections are switched off", search=(0.0, 0.3), ge=0, lt=1
        )
        end: float = window.end()
        updates: int = option(
            100,
            "number of density steps between begin and end",
            needs={"sparsity": ["target"], "schedule": ["steps"]},
            ge=1,
        )
        linger: float = option(
            0.25, "share of what follows `end` in which the reader still learns", search=(0, 1), ge=0, le=1
        )
        reader_optimizer: Literal["adam", "sgd"] = option("adam", "the reader's optimiser")
        reader_lr: float = option(3e-4, "the reader's learning rate", search=(1e-5, 1e-2), log=True, gt=0)
        temperature: float = option(
            2.0,
            "width of the soft threshold of gates, in logits",
            search=(0.1, 10),
            log=True,
            needs={"gate": ["binary", "hard_concrete"]},
            gt=0,
        )
        hidden: int = option(
            16,
            "width of the reader's hidden layers",
            search=(4, 64),
            log=True,
            needs={"reader": ["equivariant", "row"]},
            ge=1,
        )
        rank: int = option(
            4,
            "rank of the row-column interaction",
            search=(1, 16),
            log=True,
            needs={"reader": ["equivariant"]},
            ge=1,
        )

        @property
        def window(self) -> Window:
            return Window(self.begin, self.end, self.updates)

    @classmethod
    def takes_target(cls, config: Any) -> bool:
        return bool(config.sparsity == "target")

    @classmethod
    def granularity(cls, config: Any) -> Granularity:
        units: Units = config.units
        return units

    @classmethod
    def skip(cls, config: Any, network: nn.Module, layers: Layers) -> str | None:
        odd = [name for name, layer in layers.items() if not isinstance(layer, nn.Linear)]
        tiny = [name for name, layer in layers.items() if min(layer.get_parameter("weight").shape) < 2]
        if tiny and config.reader == "unet":
            return f"the unet reader needs at least two rows and columns, which {tiny[0]} lacks"
        if odd and (config.reader == "unet" or config.units == "neuron"):
            what = "the unet reader reads" if config.reader == "unet" else "gates of neurons are for"
            return f"{what} fully connected layers only, not {odd[0]}"
        return None

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        self.paths = Paths(self.network, batch[0])
        self.orders = {name: self._order(weight) for name, weight in self.weights.items()}
        """For each layer, the order in which a reader sees shuffled weights."""
        self.tie_breaks = {name: self._tie_break(weight) for name, weight in self.weights.items()}
        """For each layer, fixed noise for a reader that sees constants."""
        self.readers = self._build().to(batch[0].device)
        self.turns = self._take_turns()
        self.computed_at: float | None = None
        """Training fraction at which the current differentiable gates were computed; None while gates
        are constants."""
        self.in_place = True
        """Whether weights are set to zero where gates are closed, instead of gated in front."""
        self.closed_weights: dict[str, Tensor] = {}
        """The weights behind closed gates, by layer, while they are zero in place."""
        self.openness: Tensor | None = None
        """Mean open gate of this step, for the penalty."""
        self.gates = self.parametrize(lambda weight: Gate(self._like(weight)))
        self.seen_gates = {name: gate.gate for name, gate in self.gates.items()}
        """The gates that the reader sees: the last ones in training."""

    def parameter_groups(self) -> list[ParameterGroup]:
        named: dict[str, list[nn.Parameter]] = {READER: [], READER_NORMS: []}
        for module in self.readers.modules():
            group = READER_NORMS if isinstance(module, nn.BatchNorm2d) else READER
            named[group] += list(module.parameters(recurse=False))
        settings = self.config.reader_optimizer, self.config.reader_lr
        return [ParameterGroup(name, found, *settings) for name, found in named.items() if found]

    def learning(self, progress: Progress) -> Collection[str]:
        return self.turns.learning(progress)

    def before_step(self, progress: Progress) -> None:
        for gate in self.gates.values():
            gate.passing = self.in_place
        if self.turns.reader_learns(progress):
            self._switch(progress.fraction, noisy=True)
            self.computed_at = progress.fraction

    def penalty(self, progress: Progress) -> Tensor | None:
        return None if self.openness is None else self.config.strength * self.openness

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        self.openness = None
        at = self.turns.fix_gates(progress)
        if at is not None:
            self._switch(at, noisy=False)
        elif self.computed_at is not None:
            for gate in self.gates.values():
                gate.gate = gate.gate.detach()
        if at is not None or self.config.schedule == "steps":
            self.computed_at = None
        constant = self.computed_at is None
        if constant and self.config.gate == "binary" and progress.fraction > self.config.begin:
            self._zero_in_place()

    @torch.no_grad()
    def before_evaluation(self) -> None:
        if self.computed_at is not None:
            self._switch(self.computed_at, noisy=False, visible=False)

    def finalise(self) -> None:
        super().finalise()
        if self.config.units == "neuron":
            self.paths.remove_dead(self.layers)

    def _take_turns(self) -> Turns:
        norms = tuple(group.name for group in self.parameter_groups() if group.name == READER_NORMS)
        if self.config.schedule == "steps":
            return Steps(self.config, norms, self.density is not None)
        return Epochs(self.config, norms)

    def _zero_in_place(self) -> None:
        """Set weights to zero where gates are closed, which is cheaper at every step than gates in front."""
        for name, weight in self.weights.items():
            gate = self.gates[name]
            if not self.in_place:
                self.closed_weights[name] = weight * (1 - gate.gate)
                gate.passing = True
            weight.mul_(gate.gate)
        self.in_place = True

    @torch.no_grad()
    def _restore_closed(self) -> None:
        """Restore the weights of closed connections as they were when they were closed."""
        for name, kept in self.closed_weights.items():
            self.weights[name].mul_(self.gates[name].gate).add_(kept)
        for gate in self.gates.values():
            gate.passing = False
        self.in_place, self.closed_weights = False, {}

    def _switch(self, fraction: float, noisy: bool, visible: bool = True) -> None:
        """Set the gates to the reader's choice at a training fraction.

        ``noisy``: as in training, with batch norm's batch statistics and sampled gates, which carry a
        gradient unless gradients are off. ``visible``: the reader sees these gates the next time.
        """
        c = self.config
        self._restore_closed()
        self.readers.train(noisy)
        logits = {name: self._logits(name) for name in self.weights}
        vector = flat(logits)
        on = None
        if self.density is not None:
            density = c.window.density(fraction, self.density)
            on = self._choose(vector.detach(), logits, density)
        values = split(gates(c.gate, vector, on, c.temperature, noisy), logits)
        if c.sparsity == "penalty" and noisy:
            self.openness = openness(c.gate, vector, c.temperature)
        for name, weight in self.weights.items():
            value = values[name]
            self.gates[name].gate = per_input(value, weight) if value.dim() == 1 else value.view_as(weight)
            if visible:
                self.seen_gates[name] = self.gates[name].gate.detach()

    def _choose(self, vector: Tensor, like: dict[str, Tensor], density: float) -> Tensor:
        """Return 0/1 for each logit: the highest that fit into the budget of connections."""
        if self.config.units == "connection":
            return keep_top({"": vector}, distributions.budget(self.weights, density))[""]
        masks = select_units(split(vector, like), self.weights, density, self.paths)
        return torch.cat([(columns(mask).sum(1) > 0).to(mask.dtype) for mask in masks.values()])

    def _logits(self, name: str) -> Tensor:
        """Logits of a layer's gates: (outputs × inputs), or (inputs,) for neurons."""
        c, weight = self.config, self.weights[name].flatten(1)
        if c.detach:
            weight = weight.detach()
        if c.normalise:
            weight = weight / weight.square().mean().sqrt().clamp_min(TINY)
        gate = self.seen_gates[name].expand_as(self.weights[name]).flatten(1)
        logits: Tensor = self.readers[self.indices[name]](self._see(name, weight), self._see(name, gate))
        if c.prior == "magnitude":
            return logits + self._prior(weight)
        return logits + self.tie_breaks[name] if c.sees == "constant" else logits

    def _see(self, name: str, values: Tensor) -> Tensor:
        """Return what the reader sees of a matrix."""
        if self.config.sees == "constant":
            return values.new_ones(()).expand_as(values)
        if self.config.sees == "shuffled":
            return values.flatten()[self.orders[name]].view_as(values)
        return values

    def _prior(self, weight: Tensor) -> Tensor:
        """log |w|, or log root mean square of a unit's weights; without a target, standardised, so
        that about half the gates are open."""
        squares = weight.square() if self.config.units == "connection" else weight.square().mean(0)
        prior = 0.5 * (squares + TINY).log()
        if self.config.sparsity == "target":
            return prior
        return (prior - prior.mean()) / prior.std(correction=0).clamp_min(TINY)

    def _build(self) -> nn.ModuleList:
        """The readers, one per layer or one for all; ``indices`` says which reads a layer."""
        c = self.config
        units, silent = c.units == "neuron", c.prior == "magnitude"
        shapes = {name: weight.flatten(1).shape for name, weight in self.weights.items()}
        self.indices = {name: 0 if c.reader == "equivariant" else i for i, name in enumerate(shapes)}
        if c.reader == "equivariant":
            return nn.ModuleList([EquivariantReader(c.hidden, c.rank, units, silent)])
        if c.reader == "row":
            return nn.ModuleList(
                RowReader(shape[0], shape[1], c.hidden, units, silent) for shape in shapes.values()
            )
        if c.reader == "unet":
            return nn.ModuleList(UNetReader(shape[0], shape[1], units) for shape in shapes.values())
        return nn.ModuleList(FreeLogits(self._first_logits(weight)) for weight in self.weights.values())

    def _first_logits(self, weight: Tensor) -> Tensor:
        """Of free gates: zeros on top of the prior, else noise."""
        shape = weight.flatten(1).shape if self.config.units == "connection" else weight.shape[1:2]
        if self.config.prior == "magnitude":
            return torch.zeros(shape, device=weight.device)
        return torch.randn(shape, generator=self.generator).to(weight.device)

    def _like(self, weight: Tensor) -> Tensor:
        """A tensor with the shape of a layer's gates in front of its weight."""
        if self.config.units == "connection":
            return weight
        return per_input(weight.new_ones(weight.shape[1]), weight)

    def _order(self, weight: Tensor) -> Tensor:
        """Return a fixed order of a layer's weights, for the control that sees them shuffled."""
        if self.config.sees != "shuffled":
            return torch.empty(0, dtype=torch.int64)
        return torch.randperm(weight.numel(), generator=self.generator).to(weight.device)

    def _tie_break(self, weight: Tensor) -> Tensor:
        """Return fixed noise that breaks ties, for a reader that sees constants and has no prior."""
        if self.config.sees != "constant" or self.config.prior != "none":
            return torch.empty(0)
        shape = weight.flatten(1).shape if self.config.units == "connection" else weight.shape[1:2]
        return TIE_BREAK * torch.randn(shape, generator=self.generator).to(weight.device)
