"""Random sparsity: the baseline that any method must beat."""

from typing import Literal

from torch import Tensor, nn

from switchbench.methods import budgets
from switchbench.methods.contract import Layers, Method, option, register
from switchbench.methods.masked import MaskedMethod
from switchbench.methods.masks import random_masks


@register("random")
class Random(MaskedMethod):
    """Control: a random mask fixed before training, by ERK or uniform in every layer."""

    class Config(Method.Config):
        distribution: Literal["erk", "uniform"] = option("erk", "how density spreads over layers")

    config: Config

    def attach(self, network: nn.Module, layers: Layers, batch: tuple[Tensor, Tensor]) -> None:
        super().attach(network, layers, batch)
        assert self.density is not None
        weights = {name: weight.detach() for name, weight in self.weights.items()}
        keep = budgets.per_layer(weights, self.density, self.config.distribution)
        self.set_masks(random_masks(weights, keep, self.generator))
