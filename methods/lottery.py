"""The lottery ticket: train, prune, rewind, train again."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from switchbench.methods.contract import Method, Progress, register
from switchbench.methods.masked import MaskedMethod
from switchbench.methods.options import option
from switchbench.methods.parts import distributions
from switchbench.methods.parts.masks import keep_top
from switchbench.methods.parts.scores import magnitudes


@register("lottery-ticket")
class LotteryTicket(MaskedMethod):
    """Iterative magnitude pruning with rewinding: every round is a whole training.

    Frankle & Carbin 2019, *The Lottery Ticket Hypothesis*, with rewinding to an early step as in
    Frankle et al. 2020, *Linear Mode Connectivity*. Each of ``prunings`` rounds trains to the
    end, keeps the same share of the largest weights (over all layers together) and restores the
    whole network as it was at the rewinding step. The last round trains the ticket.
    It takes about ``prunings`` + 1 times the steps of other methods.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images);
    four points found nothing better at 1 % under SGD (docs/results/science-tuning).
    """

    class Config(Method.Config):
        prunings: int = option(5, "rounds that end in pruning", ge=1)
        rewind: float = option(
            0.02, "share of training to which the network is put back", search=(0.0, 0.1), ge=0, lt=1
        )

    @classmethod
    def never_acts(cls, config: Any, steps: int, epochs: int) -> str | None:
        if round(config.rewind * steps) < steps:
            return None
        return f"no round after the first took a step: rewind {config.rewind:g} leaves none of {steps}"

    @property
    def rounds(self) -> int:
        return self.config.prunings + 1

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        self.pruned = 0
        self._store_early(0)

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor] | None:
        return self.masks if self.pruned else None

    def after_step(self, progress: Progress) -> None:
        super().after_step(progress)
        if not self.pruned and progress.step == round(self.config.rewind * progress.steps):
            self._store_early(progress.step)

    @torch.no_grad()
    def rewind(self) -> int:
        self.pruned += 1
        density = self.target ** (self.pruned / self.config.prunings)
        alive = self.surviving(magnitudes(self.weights))
        masks = keep_top(alive, distributions.budget(self.weights, density))
        self.put_back()
        self.set_masks(masks)
        return self.early_step

    def put_back(self) -> None:
        """Restore what a round begins with, beside the masks."""
        self.network.load_state_dict(self.early)

    def _store_early(self, step: int) -> None:
        self.early_step = step
        self.early = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
