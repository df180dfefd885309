"""GraNet: gradual pruning in which connections that were pruned can grow again."""

import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import model_validator
from torch import Tensor

from switchbench.methods.contract import Progress, register
from switchbench.methods.gradual import GradualPruning
from switchbench.methods.options import option
from switchbench.methods.parts.masks import Tensors, exchanged
from switchbench.methods.parts.scores import magnitudes


@register("granet")
class GraNet(GradualPruning):
    """Gradual magnitude pruning; at each event some of the smallest weights make room for large gradients.

    Liu et al. 2021, *Sparse Training via Boosting Pruning Plasticity with Neuroregeneration*: after pruning
    to the density of the schedule, a share of each layer's connections (``regenerate`` at first, and less
    along a cosine, to none at the last event) is dropped too, and as many grow where the gradient of the step
    is largest. What grows starts at zero, but for what is dropped and grown at once, which stays.

    Defaults: magnitude's; the paper's share of regeneration.
    """

    class Config(GradualPruning.Config):
        @model_validator(mode="after")
        def _grows(self) -> Self:
            if self.pattern != "unstructured":
                raise ValueError(f"pattern {self.pattern!r}: single connections grow: use unstructured")
            if self.window.updates < 2:
                where = "schedule 'one-shot'" if self.schedule == "one-shot" else f"updates {self.updates}"
                raise ValueError(f"{where}: nothing grows at the only event: use magnitude")
            return self

        regenerate: float = option(
            0.5, "share of each layer's connections that is replaced at first", search=(0.05, 0.7), gt=0, lt=1
        )

    @classmethod
    def never_acts(cls, config: Any, steps: int, epochs: int) -> str | None:
        window = config.window
        if window.events(math.ceil(window.end * steps) - 1, steps):
            return None
        return f"nothing grew: {steps} steps are too few for an event before the last one"

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
            share = self.config.regenerate * self.config.window.cosine(progress.fraction)
            self.set_masks(exchanged(self.masks, magnitudes(self.weights), self.growth, share))
            self.growth = {}
