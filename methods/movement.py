"""Movement pruning: keep the weights that move away from zero."""

from collections.abc import Mapping

import torch
from torch import Tensor

from switchbench.methods.contract import Progress, register
from switchbench.methods.gradual import GradualPruning
from switchbench.methods.masked import GatedMethod
from switchbench.methods.parts.masks import Tensors


@register("movement")
class Movement(GatedMethod, GradualPruning):
    """Gradual pruning by accumulated −weight × gradient; what was pruned can come back.

    Sanh, Wolf & Rush 2020, *Movement Pruning: Adaptive Sparsity by Fine-Tuning*: scores learn by
    plain gradient descent with a straight-through mask, which sums −w · ∂L/∂(w ⊙ mask) over all
    steps. Pruned weights get no gradient and keep their value, unless an optimiser's momentum still
    moves them.

    Defaults: the window of docs/results/science-recipe-sgd, rounded.
    """

    revives = True

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        super().setup(batch)
        self.movement = {name: torch.zeros_like(weight) for name, weight in self.weights.items()}

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor] | None:
        return super().standing_masks(progress)  # scores are not needed any more

    @torch.no_grad()
    def after_backward(self, progress: Progress) -> None:
        if progress.past(self.config.window.end):
            return
        for name, weight in self.weights.items():
            gradient = self.gates[name].gradient
            if gradient is not None:
                self.movement[name].addcmul_(weight, gradient, value=-1)

    def scores(self) -> Tensors:
        return dict(self.movement)
