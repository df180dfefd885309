"""Taylor pruning: remove what the loss would miss least, to first order."""

from collections.abc import Mapping

import torch
from torch import Tensor

from switchbench.methods.contract import Progress, register
from switchbench.methods.gradual import GradualPruning
from switchbench.methods.options import option
from switchbench.methods.parts.masks import Tensors


@register("taylor")
class Taylor(GradualPruning):
    """Gradual pruning by a running mean of |weight × gradient| over training steps.

    Molchanov et al. 2017, *Pruning Convolutional Neural Networks for Resource Efficient
    Inference*, for single connections, of the batch's gradient and without normalising layers.

    Defaults: the window of docs/results/science-recipe-sgd, rounded.
    """

    class Config(GradualPruning.Config):
        memory: float = option(
            0.99, "share of the running mean that is kept at each step", search=(0.9, 0.999), ge=0, lt=1
        )

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        super().setup(batch)
        self.saliency = {name: torch.zeros_like(weight) for name, weight in self.weights.items()}

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor] | None:
        return super().standing_masks(progress)  # scores are not needed any more

    @torch.no_grad()
    def after_backward(self, progress: Progress) -> None:
        if progress.past(self.config.window.end):
            return
        for name, weight in self.weights.items():
            if weight.grad is not None:
                current = (weight * weight.grad).abs_()
                self.saliency[name].lerp_(current, 1 - self.config.memory)

    def scores(self) -> Tensors:
        return dict(self.saliency)
