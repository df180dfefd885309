"""AC/DC: sparse and dense phases in turn."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from switchbench.methods.contract import Progress, register
from switchbench.methods.options import option
from switchbench.methods.parts.pruning_schedules import Window
from switchbench.methods.parts.scores import magnitudes
from switchbench.methods.patterned import PatternedMethod, PatternOptions
from switchbench.methods.window import WindowOptions


@register("ac-dc")
class ACDC(PatternedMethod):
    """Alternate compressed phases, on the largest weights alone, and dense ones in which all weights learn.

    Peste et al. 2021, *AC/DC: Alternating Compressed/DeCompressed Training of Deep Neural Networks*: after a
    dense warm-up, ``phases`` compressed phases with dense ones between them; the last compressed phase
    begins at ``end`` and lasts. A compressed phase begins with the largest weights at the target density;
    what it prunes starts from zero in the next dense phase, but for what the optimiser's memory still moves
    it: that memory is not reset, as it is in the authors' code, and has faded in phases of a hundred steps.
    The paper's schedule on ImageNet has 100 epochs: 10 of warm-up, phases of 5, and 15 for the last one.

    Defaults: the best of 24 points (docs/results/science-tuning), rounded; the paper's number of phases.
    """

    class Config(WindowOptions, PatternOptions):
        begin: float = option(
            0.25, "share of training before the first compressed phase", search=(0.02, 0.3), gt=0, lt=1
        )
        end: float = option(
            0.6,
            "share of training at which the last compressed phase begins",
            search=(0.4, 0.95),
            gt=0,
            lt=1,
        )
        phases: int = option(8, "number of compressed phases before the last one", search=(1, 20), ge=1)

        @property
        def window(self) -> Window:
            return Window(self.begin, self.end, updates=2)

    @classmethod
    def never_acts(cls, config: Any, steps: int, epochs: int) -> str | None:
        if (config.end - config.begin) * steps >= 2 * config.phases:
            return None
        return f"some phases were left out: {2 * config.phases + 1} phases are too many for {steps} steps"

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor] | None:
        return self.masks if self.masks and self._phase(progress.step + 1, progress.steps) % 2 else None

    def after_backward(self, progress: Progress) -> None:
        self.mask_gradients()

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        now, then = (self._phase(step, progress.steps) for step in (progress.step, progress.step + 1))
        if then == now:
            super().after_step(progress)
        elif then % 2:
            self.set_masks(self.select(magnitudes(self.weights), self.final_density))
        else:
            self.masks = {}

    def _phase(self, step: int, steps: int) -> int:
        """Return the number of a step's phase: 0 is the warm-up, odd ones are compressed."""
        begin, end, phases = self.config.begin, self.config.end, self.config.phases
        passed = (step - 1) / steps
        if passed >= end:
            return 2 * phases + 1
        if passed < begin:
            return 0
        return 1 + int(2 * phases * (passed - begin) / (end - begin))
