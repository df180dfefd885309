"""Gradual pruning: the base of methods that differ in a score."""

from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor

from switchbench.methods import window
from switchbench.methods.contract import Granularity, Progress
from switchbench.methods.masked import MaskedMethod
from switchbench.methods.options import option
from switchbench.methods.parts import patterns
from switchbench.methods.parts.distributions import Distribution
from switchbench.methods.parts.masks import Tensors
from switchbench.methods.parts.patterns import Pattern
from switchbench.methods.parts.pruning_schedules import Window
from switchbench.methods.parts.scores import magnitudes
from switchbench.methods.window import WindowOptions


class GradualPruning(MaskedMethod):
    """Base: prune what scores least, gradually on a cubic schedule or at one shot, then fine-tune.

    Override :meth:`scores` for another criterion. Pruned connections stay pruned, but for a
    connection at a time where rounding gives a layer one back (``uniform`` and ``erk``).
    """

    revives: ClassVar[bool] = False
    """Whether a pruned connection comes back when its score is high again."""

    class Config(WindowOptions):
        schedule: Literal["cubic", "one-shot"] = option("cubic", "gradual, or all at `end`")
        distribution: Distribution = option("global", "how density spreads over layers")
        begin: float = window.begin(0.1, needs={"schedule": ["cubic"]})
        end: float = window.end()
        updates: int = window.updates(100, needs={"schedule": ["cubic"]})
        pattern: str = option(
            "unstructured", f"which weights are kept together: {patterns.ALLOWED}", inert=True
        )

        @property
        def window(self) -> Window:
            gradual = self.schedule == "cubic"
            return Window(self.begin, self.end, self.updates) if gradual else Window(self.end, self.end, 1)

        @model_validator(mode="after")
        def _pattern_fits(self) -> Self:
            patterns.parse(self.pattern, self.distribution)
            return self

    @classmethod
    def pattern_of(cls, config: Any) -> Pattern:
        """Return the sparsity pattern that the options ask for."""
        return patterns.parse(config.pattern, config.distribution)

    @classmethod
    def takes_target(cls, config: Any) -> bool:
        return cls.pattern_of(config).density is None

    @classmethod
    def granularity(cls, config: Any) -> Granularity:
        return cls.pattern_of(config).unit

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        self.pattern = self.pattern_of(self.config).attached(self.network, batch[0])
        super().setup(batch)

    def scores(self) -> Tensors:
        """Return a score for every connection by layer name. The highest are kept."""
        return magnitudes(self.weights)

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        window = self.config.window
        if progress.due(window):
            scores = self.scores() if self.revives else self.surviving(self.scores())
            final = self.pattern.density or self.target
            self.set_masks(self.select(scores, window.density(progress.fraction, final)))
        else:
            super().after_step(progress)

    def select(self, scores: Tensors, density: float) -> Tensors:
        """Return masks at a density, given scores that are −∞ where a connection must stay pruned."""
        return self.pattern.select(scores, self.weights, density)
