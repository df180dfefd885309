"""Optimal brain damage: remove what the loss would miss least, to second order."""

from collections.abc import Mapping

import torch
from torch import Tensor

from switchbench.methods.contract import Progress, register
from switchbench.methods.gradual import GradualPruning
from switchbench.methods.options import option
from switchbench.methods.parts import curvature
from switchbench.methods.parts.masks import Tensors


@register("obd")
class OBD(GradualPruning):
    """Gradual pruning by |w| · V^exponent, where V is a running mean of squared gradients.

    With exponent 1/2 it ranks connections as w² · V / 2 does, an estimate to second order of how much the
    loss rises without the connection (LeCun, Denker & Solla 1989, *Optimal Brain Damage*), with the empirical
    Fisher matrix for the Hessian (Theis et al. 2018, *Faster gaze prediction with dense networks and Fisher
    pruning*). Exponent 0 is magnitude pruning. The exponent between them, 1/4, is ours and from no paper.

    Defaults: magnitude's, and the exponent of optimal brain damage.
    """

    class Config(GradualPruning.Config):
        exponent: float = option(
            0.5,
            "power of the mean squared gradient: 1/2 is optimal brain damage, 0 magnitude",
            search=(0.0, 1.0),
            ge=0,
        )
        memory: float = option(
            0.99, "share of the running mean that is kept at each step", search=(0.9, 0.999), ge=0, lt=1
        )

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        super().setup(batch)
        self.curvature = curvature.start(self.weights)

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor] | None:
        return super().standing_masks(progress)  # scores are not needed any more

    def after_backward(self, progress: Progress) -> None:
        if not progress.past(self.config.window.end):
            curvature.update(self.curvature, self.weights, self.config.memory, progress.step)

    @torch.no_grad()
    def scores(self) -> Tensors:
        exponent = self.config.exponent
        return {
            name: weight.abs() * self.curvature[name].pow(exponent) for name, weight in self.weights.items()
        }
