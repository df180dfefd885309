"""Random sparsity and its relatives: the controls that any method must beat."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from switchbench.methods.contract import Method, register
from switchbench.methods.magnitude import Magnitude
from switchbench.methods.masked import MaskedMethod
from switchbench.methods.options import option
from switchbench.methods.parts import distributions, scores
from switchbench.methods.parts.layers import Layers
from switchbench.methods.parts.masks import keep_top, random_masks


@register("random")
class Random(MaskedMethod):
    """Control: a random mask fixed before training, by ERK or uniform in every layer."""

    class Config(Method.Config):
        distribution: distributions.PerLayer = option("erk", "how density spreads over layers")

    config: Config

    def attach(self, network: nn.Module, layers: Layers, batch: tuple[Tensor, Tensor]) -> None:
        super().attach(network, layers, batch)
        assert self.density is not None
        weights = {name: weight.detach() for name, weight in self.weights.items()}
        keep = distributions.layer_budgets(weights, self.density, self.config.distribution)
        self.set_masks(random_masks(weights, keep, self.generator))


@register("random-layer-matched")
class RandomLayerMatched(Magnitude):
    """Control: at every event prunes as many connections per layer as magnitudes would, but at random.

    What it lacks against ``magnitude`` is what the choice of connections within layers is worth (but
    for layer densities that drift a little from magnitude's: its own network's weights decide them);
    what it gains on ``random`` is what layer densities and a dense start are worth.

    Defaults: magnitude's.
    """

    @classmethod
    def control_of(cls, config: Any) -> str:
        return "magnitude"

    def select(self, scores: dict[str, Tensor], density: float) -> dict[str, Tensor]:
        keep = {name: int(mask.sum()) for name, mask in super().select(scores, density).items()}
        alive = {name: torch.isfinite(score) for name, score in scores.items()}
        draws = {
            name: torch.rand(score.shape, generator=self.generator)
            .to(score.device)
            .masked_fill(~alive[name], -1)
            for name, score in scores.items()
        }
        return keep_top(draws, keep)


@register("shuffled-mask")
class ShuffledMask(MaskedMethod):
    """Control: a mask chosen before training, then shuffled within each layer.

    Frankle et al. 2021, *Pruning Neural Networks at Initialization: Why Are We Missing the
    Mark?*: if accuracy stays where it was, only the layers' densities mattered. ``score`` says
    whose mask it is: SNIP's or that of the initial magnitudes.
    """

    class Config(Method.Config):
        score: Literal["snip", "magnitude"] = option("snip", "what chooses the mask before it is shuffled")

    config: Config

    @classmethod
    def control_of(cls, config: Any) -> str | None:
        return "snip" if config.score == "snip" else None

    def attach(self, network: nn.Module, layers: Layers, batch: tuple[Tensor, Tensor]) -> None:
        super().attach(network, layers, batch)
        assert self.density is not None
        if self.config.score == "snip":
            worth = scores.sensitivities(network, self.weights, batch)
        else:
            worth = scores.magnitudes(self.weights)
        masks = keep_top(worth, distributions.budget(self.weights, self.density))
        self.set_masks(
            random_masks(masks, {name: int(mask.sum()) for name, mask in masks.items()}, self.generator)
        )
