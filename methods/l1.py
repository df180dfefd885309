"""L1 regularisation by proximal steps: exact zeros, no threshold."""

from typing import Any

import torch

from switchbench.methods import budgets
from switchbench.methods.contract import Method, Progress, option, register
from switchbench.methods.masked import MaskedMethod
from switchbench.methods.masks import flat, keep_top


@register("l1")
class L1(MaskedMethod):
    """L1 penalty by proximal (soft-threshold) steps, cut to the target density, then fine-tuned.

    After each optimiser step a weight shrinks by strength × its step size and stops at zero,
    which minimises loss + strength · Σ|w| under the optimiser's own metric (ISTA for SGD;
    Yun, Lozano & Yang 2021, *Adaptive proximal gradient methods*, for Adam). With
    ``meet_target`` shrinking pauses while no more weights than the target are left; at ``end``
    the largest weights are kept and learn on without penalty, which also undoes the shrinkage
    bias. Without it the penalty acts to the end and the density is what emerges.
    """

    class Config(Method.Config):
        strength: float = option(
            1e-4, "weight of the L1 norm in the loss", search=(1e-6, 1e-2), log=True, ge=0
        )
        end: float = option(
            0.6, "share of training at which the target is met", search=(0.4, 0.9), gt=0, le=1
        )
        meet_target: bool = option(True, "meet the target density instead of learning a density")

    config: Config

    @classmethod
    def takes_target(cls, config: Any) -> bool:
        return bool(config.meet_target)

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        if self.masks is not None:
            super().after_step(progress)
        elif self.density is None:
            self._shrink(progress)
        else:
            keep = budgets.connections(self.weights, self.density)
            magnitudes = {name: weight.abs() for name, weight in self.weights.items()}
            if progress.fraction >= self.config.end:
                self.set_masks(keep_top(magnitudes, keep))
            elif int(flat(magnitudes).count_nonzero()) > keep:
                self._shrink(progress)

    def _shrink(self, progress: Progress) -> None:
        for weight in self.weights.values():
            threshold = self.config.strength * progress.step_size(weight)
            weight.copy_(weight.sign() * (weight.abs() - threshold).clamp_min_(0))
