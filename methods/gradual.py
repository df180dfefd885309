"""Gradual pruning: the base of methods that differ in a score."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from switchbench.methods import window
from switchbench.methods.contract import Progress
from switchbench.methods.options import option
from switchbench.methods.parts import patterns
from switchbench.methods.parts.distributions import Distribution
from switchbench.methods.parts.masks import Tensors
from switchbench.methods.parts.patterns import Pattern
from switchbench.methods.parts.pruning_schedules import Window
from switchbench.methods.parts.scores import magnitudes
from switchbench.methods.patterned import PatternedMethod, PatternOptions
from switchbench.methods.window import WindowOptions


class GradualPruning(PatternedMethod):
    """Base: prune what scores least, gradually or at one shot, then fine-tune.

    Override :meth:`scores` for another criterion. Pruned connections stay pruned. With
    ``uniform`` and ``erk``, rounding may give a layer one connection back at an event.
    """

    revives: ClassVar[bool] = False
    """Whether a pruned connection comes back when its score is high again."""

    class Config(WindowOptions, PatternOptions):
        schedule: Literal["cubic", "one-shot"] = option(
            "cubic",
            "cubic: density falls step by step, with the exponent `power` (3: the cubic schedule of Zhu & "
            "Gupta 2018); one-shot: all at `end`",
        )
        distribution: Distribution = option("global", "how density spreads over layers")
        begin: float = window.begin(needs={"schedule": ["cubic"]})
        end: float = window.end()
        updates: int = window.updates(100, needs={"schedule": ["cubic"]})
        power: float = window.power(needs={"schedule": ["cubic"]})

        @property
        def window(self) -> Window:
            if self.schedule == "one-shot":
                return Window(self.end, self.end, 1)
            return Window(self.begin, self.end, self.updates, self.power)

        def sparsity_pattern(self) -> Pattern:
            return patterns.parse(self.pattern, self.distribution)

    def scores(self) -> Tensors:
        """Return a score for every connection by layer name. The highest are kept."""
        return magnitudes(self.weights)

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor] | None:
        return self.masks if progress.past(self.config.window.end) else None

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        window = self.config.window
        if progress.due(window):
            scores = self.scores() if self.revives else self.surviving(self.scores())
            self.set_masks(self.select(scores, window.density(progress.fraction, self.final_density)))
        else:
            super().after_step(progress)
