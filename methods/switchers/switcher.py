"""The switcher family: a reader sees the weights and switches connections; both learn in turn."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from switchbench.methods.contract import Granularity, Method, ParameterGroup, Progress, Units, register
from switchbench.methods.options import defaults
from switchbench.methods.parts import curvature, distributions, mean_gradient
from switchbench.methods.parts.gates import Gate
from switchbench.methods.parts.layers import Layers, columns, per_input
from switchbench.methods.parts.masks import Tensors, exchanged, flat, keep_top, mask_gradients, split
from switchbench.methods.parts.neurons import select_units
from switchbench.methods.parts.paths import Paths
from switchbench.methods.switchers import chain
from switchbench.methods.switchers.ahead import adapted_loss, slopes
from switchbench.methods.switchers.gates import gates, openness
from switchbench.methods.switchers.options import CHAINED, SwitcherOptions
from switchbench.methods.switchers.reading import Reading, log_root
from switchbench.methods.switchers.turns import READER, READER_NORMS, Epochs, Steps, Turns, over

MEMORY = 0.99
"""Share of the running means of gradients and of their squares that is kept at each step."""


@register("switcher")
class Switcher(Method):
    """Prune by the score that a reader gives each connection, with binary gates, to an exact target density.

    That is what the defaults make of a family with orthogonal parts, each an option. The reader scores
    connections by log |w| + exponent · log V, where V is a running mean of squared gradients, and by
    features of their rows, columns and paths. The coefficients of these features come from a search over
    many trainings on other seeds (docs/science), and stay as they are during a training; with ``learn`` the
    reader is trained as well. Density falls on a schedule, as in gradual magnitude pruning. At each of its
    steps some of the connections with the lowest scores are replaced (Liu et al. 2021, arXiv 2106.10404): by
    those with the highest scores among the ones that are off, where the size of the mean gradient takes the
    place of the weight's.

    In the ``steps`` schedule every ``every``-th step belongs to a reader that learns: the weights are
    frozen while it learns through the gates' gradient; between its steps gates are constants. In the
    ``epochs`` schedule (the paper's) gates are recomputed at every step, epochs 0, 2, … train the weights
    and 1, 3, … the reader; batch norms and ungated parameters learn throughout. With ``revive: kept`` a
    connection that is switched off keeps its weight, and is switched on again with it (binary gates in
    the ``steps`` schedule: weight decay and an optimiser's memory leave it alone; else they may still
    move it).

    Defaults: the coefficients are from docs/results/science-meta, where they gained nothing over zeros; the
    window is magnitude pruning's of docs/results/science-recipe-sgd.
    """

    version = 4

    @defaults(exponent=0.3, regenerate=0.65, theta_column=-0.3, theta_into=0.15, theta_behind=-0.1)
    class Config(SwitcherOptions):
        """The family's options."""

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
        if config.reader in CHAINED and (reason := chain.broken(network, layers)):
            return f"the {config.reader} reader reads layers in a chain, but {reason}"
        return None

    @classmethod
    def never_acts(cls, config: Any, steps: int, epochs: int) -> str | None:
        if not config.learn:
            return None
        turns: Turns = Steps(config, (), target=False) if config.schedule == "steps" else Epochs(config, ())
        per_epoch = -(-steps // epochs)
        progress = (Progress(step, steps, (step - 1) // per_epoch) for step in range(1, steps + 1))
        if any(READER in turns.learning(each) for each in progress):
            return None
        return f"the reader never learned in {steps} steps of {epochs} epochs"

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        self.paths = Paths(self.network, batch[0])
        if self.config.units == "neuron" or self.config.reader == "saliency":
            self.paths.looked_at()
        self.reading = Reading.of(self.weights, self.config, self.paths, self.generator)
        self.curvature = curvature.start(self.weights) if self.reading.needs_curvature else {}
        self.mean_gradient = mean_gradient.start(self.weights) if self.config.revives == "grown" else {}
        self.readers = self.reading.readers
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
        self.slopes: list[Tensor] = []
        """The gradient of each of the readers' parameters, in a step in which they look ahead."""
        self.gates = self._make_gates()
        self.masks: dict[str, Tensor] = {}
        """The gates in the shapes of the weights, once they are constants to the end."""
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

    def standing_masks(self, progress: Progress) -> dict[str, Tensor] | None:
        if not self.in_place or not over(self.config, progress):  # only binary gates are held in place
            return None
        if not self.masks:
            gates = self.gates.items()
            self.masks = {name: gate.gate.expand_as(self.weights[name]) for name, gate in gates}
        return self.masks

    def before_step(self, progress: Progress) -> None:
        for gate in self.gates.values():
            gate.passing = self.in_place
        if self.turns.reader_learns(progress) and self.config.objective == "look-ahead":
            self.slopes = self._look_ahead(progress)
        elif self.turns.reader_learns(progress):
            self._switch(progress.fraction, noisy=True)
            self.computed_at = progress.fraction

    def after_backward(self, progress: Progress) -> None:
        if self.slopes:
            for parameter, slope in zip(self.readers.parameters(), self.slopes, strict=True):
                parameter.grad = slope
            self.slopes = []
        if not over(self.config, progress):
            curvature.update(self.curvature, self.weights, MEMORY, progress.step)
        if self.mean_gradient and not progress.past(self.config.end):
            mean_gradient.update(self.mean_gradient, self.weights, MEMORY, progress.step)
            mask_gradients(self.weights, {name: gate.gate for name, gate in self.gates.items()})

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

    def found(self) -> dict[str, float]:
        return self.reading.found()

    def finalise(self) -> None:
        super().finalise()
        if self.config.units == "neuron":
            self.paths.remove_dead(self.layers)

    def _take_turns(self) -> Turns:
        norms = tuple(group.name for group in self.parameter_groups() if group.name == READER_NORMS)
        if self.config.schedule == "steps":
            return Steps(self.config, norms, self.density is not None)
        return Epochs(self.config, norms)

    def _make_gates(self) -> dict[str, Gate]:
        """Return a gate for each layer, put in front of its weight if training ever looks through it.

        Else all gates are held in place, and a parametrization at every step would be for nothing.
        """
        c = self.config
        looked_through = c.learn and c.objective == "gradient"
        if looked_through or c.gate != "binary" or c.schedule != "steps":
            return self.parametrize(lambda weight: Gate(self._like(weight)))
        return {name: Gate(self._like(weight)) for name, weight in self.weights.items()}

    def _zero_in_place(self) -> None:
        """Set weights to zero where gates are closed, which is cheaper at every step than gates in front."""
        for name, weight in self.weights.items():
            gate = self.gates[name]
            if not self.in_place:
                if self.config.revives == "kept":
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

    @torch.no_grad()
    def _look_ahead(self, progress: Progress) -> list[Tensor]:
        """Return the gradient of the readers' parameters, by what their choices lead to."""
        c = self.config
        weights = {name: weight + self.closed_weights.get(name, 0) for name, weight in self.weights.items()}
        density = c.window.density(progress.fraction, self.density or 1.0)

        def value() -> Tensor:
            logits = self.reading.logits(weights, self.seen_gates, self.curvature)
            chosen = split(self._choose(self._eligible(flat(logits)), logits, density), logits)
            masks = {name: _over(chosen[name], weight).expand_as(weight) for name, weight in weights.items()}
            masked = {self.weights[name]: (weights[name], mask) for name, mask in masks.items()}
            loss = adapted_loss(self.network, masked, progress, c.horizon, c.stride)
            return loss + c.price * self.paths.macs(masks) if c.price else loss

        return slopes([*self.readers.parameters()], c.spread, value, self.generator)

    def _switch(self, fraction: float, noisy: bool, visible: bool = True) -> None:
        """Set the gates to the reader's choice at a training fraction.

        ``noisy``: as in training, with batch norm's batch statistics and sampled gates, which carry a
        gradient unless gradients are off. ``visible``: the reader sees these gates the next time.
        """
        c = self.config
        self.masks = {}
        self._restore_closed()
        self.readers.train(noisy)
        logits = self.reading.logits(self.weights, self.seen_gates, self.curvature)
        vector = self._eligible(flat(logits))
        on = None
        if self.density is not None:
            density = c.window.density(fraction, self.density)
            on = self._choose(vector.detach(), logits, density)
            if self.mean_gradient and not noisy:
                on = self._grown(split(on, logits), logits, c.regenerate * c.window.cosine(fraction))
        values = split(gates(c.gate, vector, on, c.temperature, noisy), logits)
        if c.sparsity == "penalty" and noisy:
            self.openness = openness(c.gate, vector, c.temperature)
        for name, weight in self.weights.items():
            self.gates[name].gate = _over(values[name], weight)
            if visible:
                self.seen_gates[name] = self.gates[name].gate.detach()

    def _eligible(self, logits: Tensor) -> Tensor:
        """Return the logits, −∞ for what has been switched off for ever."""
        if self.config.revives == "kept":
            return logits
        return logits.masked_fill(flat(self.seen_gates) == 0, -torch.inf)

    def _grown(self, masks: Tensors, logits: Tensors, share: float) -> Tensor:
        """Return masks in which what the reader wants least has given way to what would gain most.

        For a connection that is off, the logarithm of its mean gradient takes the place of its weight's.
        """
        growth = {}
        for name, logit in logits.items():
            gain = self.mean_gradient[name].abs().clamp_min(torch.finfo(logit.dtype).tiny).log()
            growth[name] = logit + gain.view_as(logit)
            if self.config.prior != "none":
                growth[name] -= log_root(self.weights[name].square()).view_as(logit)
        for name, mask in masks.items():  # what grows starts at zero, also where it was switched off just now
            self.weights[name].mul_(_over(mask, self.weights[name]))
        return flat(exchanged(masks, logits, growth, share))

    def _choose(self, vector: Tensor, like: dict[str, Tensor], density: float) -> Tensor:
        """Return 0/1 for each logit: the highest that fit into the budget of connections."""
        if self.config.units == "connection":
            return keep_top({"": vector}, distributions.budget(self.weights, density))[""]
        masks = select_units(split(vector, like), self.weights, density, self.paths)
        return torch.cat([(columns(mask).sum(1) > 0).to(mask.dtype) for mask in masks.values()])

    def _like(self, weight: Tensor) -> Tensor:
        """A tensor with the shape of a layer's gates in front of its weight."""
        if self.config.units == "connection":
            return weight
        return per_input(weight.new_ones(weight.shape[1]), weight)


def _over(value: Tensor, weight: Tensor) -> Tensor:
    """View gates, of connections or of inputs, as a tensor that broadcasts over the weight."""
    return per_input(value, weight) if value.dim() == 1 else value.view_as(weight)
