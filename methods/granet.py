"""GraNet: gradual pruning in which connections that were pruned can grow again."""

import math
from collections.abc import Mapping
from typing import Self

import torch
from pydantic import model_validator
from torch import Tensor

from switchbench.methods.contract import Progress, register
from switchbench.methods.gradual import GradualPruning
from switchbench.methods.options import option
from switchbench.methods.parts.masks import Tensors, counts, keep_top
from switchbench.methods.parts.scores import magnitudes


@register("granet")
class GraNet(GradualPruning):
    """Gradual magnitude pruning; at each event some of the smallest weights make room for large gradients.

    Liu et al. 2021, *Sparse Training via Boosting Pruning Plasticity with Neuroregeneration*: after pruning
    to the density of the schedule, a share of each layer's connections (``regenerate`` at first, and less
    along a cosine) is dropped too, and as many grow where the gradient of the step is largest. What grows
    starts at zero.

    Defaults: magnitude's; the paper's share of regeneration.
    """

    class Config(GradualPruning.Config):
        @model_validator(mode="after")
        def _single_connections(self) -> Self:
            if self.pattern != "unstructured":
                raise ValueError(f"pattern {self.pattern!r}: single connections grow: use unstructured")
            return self

        regenerate: float = option(
            0.5, "share of each layer's connections that is replaced at first", search=(0.05, 0.7), gt=0, lt=1
        )

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        super().setup(batch)
        self.growth: Tensors = {}
        """Size of each gradient, dense, in a step with an event."""

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor] | None:
        return super().standing_masks(progress)  # nothing grows any more

    @torch.no_grad()
    def after_backward(self, progress: Progress) -> None:
        """Score growth before gradients are masked."""
        if progress.due(self.config.window):
            gradients = {name: weight.grad for name, weight in self.weights.items()}
            self.growth = {name: grad.abs() for name, grad in gradients.items() if grad is not None}
        self.mask_gradients()

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        super().after_step(progress)
        if self.growth:
            self.set_masks(self._regenerated(self.growth, progress.fraction))
            self.growth = {}

    def _regenerated(self, growth: Tensors, fraction: float) -> Tensors:
        """Return masks of the same sizes, in which the smallest weights have given way."""
        window = self.config.window
        passed = (fraction - window.begin) / (window.end - window.begin) if window.end > window.begin else 1.0
        share = self.config.regenerate * 0.5 * (1 + math.cos(math.pi * min(passed, 1.0)))
        masks = {}
        for name, kept in counts(self.masks).items():
            mask, part = self.masks[name], share * kept
            replaced = part.int() if isinstance(part, Tensor) else int(part)  # a tensor: a GPU counts them
            size = magnitudes({name: self.weights[name]})[name].masked_fill(~mask.bool(), -1)
            stays = keep_top({name: size}, {name: kept - replaced})[name]
            free = growth[name].masked_fill(stays.bool(), -torch.inf)
            masks[name] = stays + keep_top({name: free}, {name: replaced})[name]
        return masks
