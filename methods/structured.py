"""Structured sparsity: whole neurons, channels by their batch norm, and N:M patterns."""

from itertools import pairwise
from typing import Any, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from switchbench.methods import window
from switchbench.methods.contract import Method, Progress, register
from switchbench.methods.gradual import GradualPruning
from switchbench.methods.masked import GatedMethod, MaskedMethod
from switchbench.methods.options import option
from switchbench.methods.parts import patterns
from switchbench.methods.parts.layers import NORMS, Layers, per_output
from switchbench.methods.parts.masks import Count, Tensors, first, ranking
from switchbench.methods.parts.neurons import largest_within, root_mean_squares
from switchbench.methods.parts.paths import Hook, Paths
from switchbench.methods.parts.pruning_schedules import Window
from switchbench.methods.parts.scores import magnitudes
from switchbench.methods.window import WindowOptions


@register("neuron-norm")
class NeuronNorm(GradualPruning):
    """Prune whole neurons and inputs by the norm of the weights that read them, gradually.

    Li et al. 2017, *Pruning Filters for Efficient ConvNets*, with the root mean square of a unit's
    outgoing weights for its norm, so that pixels and neurons are treated alike. Connections that then lead
    nowhere go too. The density is the closest one below the target.

    Defaults: magnitude's window, with fewer events.
    """

    revives = True  # units are ranked anew; those that are pruned have a norm of zero

    class Config(WindowOptions):
        scale: Literal["layer", "global"] = option(
            "layer", "compare norms relative to their layer's mean, or as they are"
        )
        begin: float = window.begin()
        end: float = window.end()
        updates: int = window.updates(20)
        power: float = window.power()

        @property
        def window(self) -> Window:
            return Window(self.begin, self.end, self.updates, self.power)

    @classmethod
    def pattern_of(cls, config: Any) -> patterns.Pattern:
        return patterns.Neurons()

    def scores(self) -> Tensors:
        """Return a score for every unit."""
        norms = root_mean_squares(self.weights)
        if self.config.scale == "global":
            return norms
        return {name: norm / norm.mean().clamp_min(1e-12) for name, norm in norms.items()}


@register("network-slimming")
class NetworkSlimming(MaskedMethod):
    """Prune channels whose batch-norm scale an L1 penalty has made small, then fine-tune.

    Liu et al. 2017, *Learning Efficient Convolutional Networks through Network Slimming*. A
    channel of a batch norm that reads a layer in scope, and nothing else, goes with its scale, its shift, and
    the weights that make and read it; channels go in the order of their scales, all but the best of
    each norm, until the density is the closest one below the target. Where all other weights
    exceed the target, the density found is above it.

    Defaults: the paper's strength; it was not tuned.
    """

    unit = "neuron"

    class Config(Method.Config):
        strength: float = option(
            1e-4, "weight of the L1 norm of the scales", search=(1e-6, 1e-2), log=True, ge=0
        )
        end: float = window.end(0.6)

    @classmethod
    def skip(cls, config: Any, network: nn.Module, layers: Layers) -> str | None:
        return (
            None if _norms_behind(network, layers) else "needs batch norms right behind the layers in scope"
        )

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        self.paths = Paths(self.network, batch[0]).looked_at()
        self.norms = _fed(self.network, _norms_behind(self.network, self.layers), batch[0])
        if not self.norms:
            raise ValueError("no batch norm in scope reads the output of the layer in front of it")
        self.channels: dict[str, Tensor] = {}
        """1 for each channel that is kept, by layer, once channels are pruned."""

    def penalty(self, progress: Progress) -> Tensor | None:
        return None if self.channels else self.config.strength * self._scales().abs().sum()

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        if not self.channels and progress.fraction >= self.config.end:
            self._slim()
        for name, kept in self.channels.items():
            for parameter in self._affine(name).values():
                parameter.mul_(kept)
        super().after_step(progress)

    def _slim(self) -> None:
        sizes = [len(self.weights[name]) for name in self.norms]
        ranked = list(self._scales().abs().split(sizes))
        for name, scales in zip(self.norms, ranked, strict=True):
            best = ranking(scales, name)[:1]
            scales.index_fill_(0, best, torch.inf)  # a norm keeps its best channel, or nothing gets through
        order = ranking(torch.cat(ranked))

        def channels(number: Count) -> dict[str, Tensor]:
            return dict(zip(self.norms, first(order, number).split(sizes), strict=True))

        def masks(number: Count) -> Tensors:
            kept = channels(number)
            silent: dict[str, Tensor] = {}
            found = {name: torch.ones_like(weight) for name, weight in self.weights.items()}
            for name, values in kept.items():
                found[name] = found[name] * per_output(values, found[name])
                silent |= dict.fromkeys(self._affine(name), values)
            return self.paths.alive(found, silent)

        number = largest_within(masks, len(sizes), len(order), self.budget)
        self.set_masks(masks(number))
        self.channels = channels(number)

    def _scales(self) -> Tensor:
        return torch.cat([next(iter(self._affine(name).values())) for name in self.norms])

    def _affine(self, layer: str) -> dict[str, nn.Parameter]:
        """Scale and shift of the norm behind a layer, by their names in the network."""
        prefix = self.norms[layer]
        norm = self.network.get_submodule(prefix)
        return {f"{prefix}.{name}": parameter for name, parameter in norm.named_parameters(recurse=False)}


def _norms_behind(network: nn.Module, layers: Layers) -> dict[str, str]:
    """Name of the batch norm with as many channels right behind each layer in scope, in module order."""
    leaves = [(name, module) for name, module in network.named_modules() if not [*module.children()]]
    return {
        name: behind
        for (name, layer), (behind, norm) in pairwise(leaves)
        if name in layers
        and isinstance(norm, NORMS)
        and norm.affine
        and norm.num_features == len(layer.get_parameter("weight"))
    }


@torch.no_grad()
def _fed(network: nn.Module, norms: dict[str, str], images: Tensor) -> dict[str, str]:
    """Return the norms that read nothing but the output of their layer: others read a sum, for instance."""
    outputs: dict[str, Tensor] = {}
    fed: dict[str, str] = {}

    def note(name: str) -> Hook:
        def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            outputs[name] = output

        return hook

    def compare(name: str) -> Hook:
        def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            if inputs[0] is outputs.get(name):
                fed[name] = norms[name]

        return hook

    handles = [network.get_submodule(name).register_forward_hook(note(name)) for name in norms]
    handles += [
        network.get_submodule(norm).register_forward_hook(compare(name)) for name, norm in norms.items()
    ]
    was_training = network.training
    network.eval()(images[:1])
    network.train(was_training)
    for handle in handles:
        handle.remove()
    return {name: norm for name, norm in norms.items() if name in fed}


@register("n-m")
class NM(GatedMethod):
    """N:M sparsity (2:4 by default): of every M consecutive weights of an output the N largest stay.

    Zhou et al. 2021, *Learning N:M Fine-grained Structured Sparse Neural Networks From Scratch*:
    masks are chosen anew every ``every`` steps up to ``end``, gradients go straight through
    (SR-STE), and weights that are masked decay by ``refine``. From then on the mask stands. The
    density follows from N and M; a last group of fewer than M weights keeps up to N.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images).
    """

    learns_density = True

    class Config(Method.Config):
        n: int = option(2, "weights kept of each group", ge=1)
        m: int = option(4, "weights in a group", ge=2)
        every: int = option(10, "steps between two changes of the masks", search=(1, 100), log=True, ge=1)
        end: float = option(
            0.75, "share of training after which masks no longer change", search=(0.3, 1.0), gt=0, le=1
        )
        refine: float = option(2e-4, "decay of masked weights", search=(1e-6, 1e-2), log=True, ge=0)

        @model_validator(mode="after")
        def _fewer(self) -> Self:
            if self.n >= self.m:
                raise ValueError(f"n {self.n} must be smaller than m {self.m}")
            return self

    masked: Tensors
    """1 for each weight that the mask leaves out, by layer."""

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        super().setup(batch)
        self._choose()

    @classmethod
    def never_acts(cls, config: Any, steps: int, epochs: int) -> str | None:
        if config.every / steps < config.end:
            return None
        return (
            f"the masks never changed: every {config.every} is too much for {steps} steps, end {config.end:g}"
        )

    @torch.no_grad()
    def after_backward(self, progress: Progress) -> None:
        if progress.fraction >= self.config.end:
            return
        for name, weight in self.weights.items():
            gradient = self.gates[name].gradient
            if gradient is not None and weight.grad is not None:
                pulled = weight * self.masked[name]
                torch.add(gradient, pulled, alpha=self.config.refine, out=weight.grad)

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        if progress.fraction < self.config.end and progress.every(self.config.every):
            self._choose()

    def _choose(self) -> None:
        pattern = patterns.NM(n=self.config.n, m=self.config.m)
        self.set_masks(pattern.select(magnitudes(self.weights), self.weights, pattern.density))
        self.masked = {name: 1 - mask for name, mask in self.masks.items()}
