"""LAMP: magnitudes made comparable between layers."""

from switchbench.methods.contract import register
from switchbench.methods.gradual import GradualPruning
from switchbench.methods.parts import scores
from switchbench.methods.parts.masks import Tensors


@register("lamp")
class LAMP(GradualPruning):
    """Gradual pruning by layer-adaptive magnitudes, which choose each layer's density by themselves.

    Lee et al. 2021, *Layer-adaptive sparsity for the magnitude-based pruning*.

    Defaults: the window of docs/results/science-recipe-sgd, rounded.
    """

    def scores(self) -> Tensors:
        return scores.lamp(self.weights)
