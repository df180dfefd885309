"""Magnitude pruning, gradual or one-shot: the baseline that is hard to beat."""

from typing import ClassVar, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor

from switchbench.methods.contract import Method, Progress, register
from switchbench.methods.masked import MaskedMethod
from switchbench.methods.options import option
from switchbench.methods.parts import distributions, schedules
from switchbench.methods.parts.masks import keep_top
from switchbench.methods.parts.scores import magnitudes


@register("magnitude")
class Magnitude(MaskedMethod):
    """Prune the smallest weights, gradually on a cubic schedule or at one shot, then fine-tune.

    Gradual: Zhu & Gupta 2017, *To prune, or not to prune*. One-shot with fine-tuning: Han et
    al. 2015, *Learning both Weights and Connections*. Override :meth:`scores` for another
    criterion on the same schedule. What is pruned stays pruned, but for a connection at a time
    where rounding gives a layer one back (``uniform`` and ``erk``).

    Defaults: from ``make defaults`` (Fashion-MNIST, validation images).
    """

    revives: ClassVar[bool] = False
    """Whether a pruned connection may come back when its score is high again."""

    class Config(Method.Config):
        schedule: Literal["cubic", "one-shot"] = option("cubic", "gradual, or all at `end`")
        distribution: distributions.Distribution = option("global", "how density spreads over layers")
        begin: float = option(
            0.1,
            "share of training before pruning begins",
            search=(0.0, 0.3),
            needs={"schedule": ["cubic"]},
            ge=0,
            lt=1,
        )
        end: float = option(
            0.6, "share of training at which the target is met", search=(0.4, 0.9), gt=0, le=1
        )
        updates: int = option(
            100, "number of pruning events between begin and end", needs={"schedule": ["cubic"]}, ge=1
        )

        @model_validator(mode="after")
        def _in_order(self) -> Self:
            if self.schedule == "cubic" and self.begin >= self.end:
                raise ValueError(f"begin {self.begin:g} must come before end {self.end:g}")
            return self

    config: Config

    def scores(self) -> dict[str, Tensor]:
        """Score of every connection, by layer name; the highest are kept."""
        return magnitudes(self.weights)

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        assert self.density is not None
        c = self.config
        begin, times = (c.begin, c.updates) if c.schedule == "cubic" else (c.end, 1)
        if not schedules.due(progress.step, progress.steps, begin, c.end, times):
            super().after_step(progress)
            return
        scores = self.scores()
        for name, mask in (self.masks or {}).items():
            if not self.revives:
                scores[name] = scores[name].masked_fill(mask == 0, -torch.inf)
        density = schedules.cubic(progress.fraction, begin, c.end, self.density)
        self.set_masks(self.select(scores, density))

    def select(self, scores: dict[str, Tensor], density: float) -> dict[str, Tensor]:
        """Masks at a density, given the scores of what may stay."""
        return keep_top(scores, distributions.distribute(self.weights, density, self.config.distribution))
