"""Random sparsity and its relatives: the controls that any method must beat."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import model_validator
from torch import Tensor

from switchbench.methods.contract import Method, Progress, register
from switchbench.methods.gradual import GradualPruning
from switchbench.methods.initialisation import AtInitialisation, Batch
from switchbench.methods.masked import MaskedMethod
from switchbench.methods.options import option
from switchbench.methods.parts import distributions, scores
from switchbench.methods.parts.distributions import PerLayer
from switchbench.methods.parts.masks import Tensors, counts, keep_top, random_masks
from switchbench.methods.parts.scores import random_scores


@register("random")
class Random(MaskedMethod):
    """Control: a random mask fixed before training, by ERK or uniform in every layer."""

    class Config(Method.Config):
        distribution: PerLayer = option("erk", "how density spreads over layers")

    @property
    def layer_budgets(self) -> dict[str, int]:
        """Number of connections of each layer."""
        return distributions.layer_budgets(self.weights, self.target, self.config.distribution)

    def setup(self, batch: Batch) -> None:
        self.set_masks(self.first_masks())

    def first_masks(self) -> Tensors:
        """Return the masks with which training begins."""
        return random_masks(self.weights, self.layer_budgets, self.generator)

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor] | None:
        return self.masks


@register("random-layer-matched")
class RandomLayerMatched(GradualPruning):
    """Control: at every event prunes as many connections per layer as magnitudes would, but at random.

    Its distance to ``magnitude`` shows the worth of choosing connections within layers. Its own network's
    weights decide the layer densities, which therefore drift a little from magnitude's. Its gain over
    ``random`` shows the worth of layer densities and of a dense start.

    Defaults: magnitude's.
    """

    class Config(GradualPruning.Config):
        @model_validator(mode="after")
        def _single_connections(self) -> Self:
            if self.pattern == "neuron" or self.pattern.startswith("block"):
                raise ValueError(f"pattern {self.pattern!r}: connections are drawn: use unstructured or N:M")
            return self

    @classmethod
    def control_of(cls, config: Any) -> str:
        return "magnitude"

    def select(self, scores: Tensors, density: float) -> Tensors:
        draws = self.surviving(random_scores(self.weights, self.generator))
        if self.pattern.density:  # the same in every layer
            return super().select(draws, density)
        return keep_top(draws, counts(super().select(scores, density)))


@register("shuffled-mask")
class ShuffledMask(AtInitialisation):
    """Control: a mask chosen before training, then shuffled within each layer.

    Frankle et al. 2021, *Pruning Neural Networks at Initialization: Why Are We Missing the
    Mark?*: if accuracy stays where it was, only the layers' densities mattered. ``score`` says
    whose mask it is: SNIP's or that of the initial magnitudes.
    """

    class Config(Method.Config):
        score: Literal["snip", "magnitude"] = option("snip", "what chooses the mask before it is shuffled")

    @classmethod
    def control_of(cls, config: Any) -> str | None:
        return "snip" if config.score == "snip" else None

    def scores(self, batch: Batch) -> Tensors:
        if self.config.score == "snip":
            return scores.sensitivities(self.network, self.weights, batch)
        return scores.magnitudes(self.weights)

    def masks_for(self, batch: Batch) -> Tensors:
        masks = super().masks_for(batch)
        return random_masks(masks, counts(masks), self.generator)
