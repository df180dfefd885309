"""LAMP: magnitudes made comparable between layers."""

from torch import Tensor

from switchbench.methods.contract import register
from switchbench.methods.magnitude import Magnitude
from switchbench.methods.parts import scores


@register("lamp")
class LAMP(Magnitude):
    """Gradual pruning by layer-adaptive magnitudes, which choose each layer's density by themselves.

    Lee et al. 2021, *Layer-adaptive sparsity for the magnitude-based pruning*.

    Defaults: from ``make defaults`` (Fashion-MNIST, validation images).
    """

    def scores(self) -> dict[str, Tensor]:
        return scores.lamp(self.weights)
