"""Dynamic sparse training: sparse from start to end, with connections that move."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from switchbench.methods.contract import Progress, register
from switchbench.methods.options import defaults, option
from switchbench.methods.parts.masks import Tensors, keep_top
from switchbench.methods.parts.pruning_schedules import half_cosine
from switchbench.methods.parts.scores import magnitudes, random_scores
from switchbench.methods.random import Random


@register("set")
class SET(Random):
    """Sparse evolutionary training: every so many steps drop the smallest weights, grow others at random.

    Mocanu et al. 2018, *Scalable training of artificial neural networks with adaptive sparse
    connectivity*: a random mask (ERK) to begin with; every ``every`` steps up to ``end`` a share
    of each layer's connections moves, ``fraction`` at first and less along a cosine (the decay
    of Evci et al. 2020). A grown weight starts as the network's initialisation had drawn it, but for
    one that is dropped and grown at once, which stays. Each layer keeps its density, and the
    optimiser's steps go on at moves too.

    Different from the paper: weights are dropped by their size, and not the smallest positive and the largest
    negative ones apart. The optimiser's memory of what is dropped fades and is not reset.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images);
    24 points found nothing better at 1 % under SGD (docs/results/science-tuning).
    """

    version = 2

    class Config(Random.Config):
        every: int = option(150, "steps between two changes of the mask", search=(10, 1000), log=True, ge=1)
        fraction: float = option(
            0.5, "share of each layer's connections that is replaced at first", search=(0.05, 0.7), gt=0, lt=1
        )
        end: float = option(
            0.55, "share of training after which the mask no longer changes", search=(0.5, 1.0), gt=0, le=1
        )

    @classmethod
    def never_acts(cls, config: Any, steps: int, epochs: int) -> str | None:
        if config.every / steps < config.end:
            return None
        return f"no connection moved: every {config.every} is too much for {steps} steps, end {config.end:g}"

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        self.initial = self.grown_values()
        super().setup(batch)

    def grown_values(self) -> Tensors:
        """Return the values of grown weights, read before masks; layers left out start at zero."""
        return {name: weight.detach().clone() for name, weight in self.weights.items()}

    def growth(self) -> Tensors:
        """Score every connection that is off; the highest grow."""
        return random_scores(self.weights, self.generator)

    @torch.no_grad()
    def after_backward(self, progress: Progress) -> None:
        """Score growth before gradients are masked."""
        self.growth_scores = self.growth() if self._moves(progress) else {}
        self.mask_gradients()

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        super().after_step(progress)
        if self._moves(progress):
            before = self.masks
            self.set_masks(self._moved(self.growth_scores, self._share(progress)))
            for name, value in self.initial.items():
                grown = self.masks[name] > before[name]
                self.weights[name].add_(grown * value)

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor] | None:
        return None if self._moves(progress) else self.masks

    def _moves(self, progress: Progress) -> bool:
        return progress.fraction < self.config.end and progress.every(self.config.every)

    def _share(self, progress: Progress) -> float:
        return self.config.fraction * half_cosine(progress.fraction / self.config.end)

    def _moved(self, growth: Tensors, share: float) -> Tensors:
        """Drop each layer's smallest connections and grow as many others.

        Args:
            growth: Scores by layer; the highest grow, among all that are off after dropping.
            share: Share of a layer's budget that moves, rounded down to whole connections.

        Returns:
            Masks with exactly :attr:`layer_budgets` connections. As many drop as grow if the present
            masks have as many, like those of :meth:`setup` and of earlier moves; others would be brought
            to the budgets.
        """
        moved = {}
        sizes = self.layer_budgets
        for name, magnitude in magnitudes(self.weights).items():
            mask, size = self.masks[name], sizes[name]
            number = int(share * size)
            kept = keep_top({name: magnitude.masked_fill(~mask.bool(), -1)}, {name: size - number})[name]
            grown = keep_top({name: growth[name].masked_fill(kept.bool(), -torch.inf)}, {name: number})[name]
            moved[name] = kept + grown
        return moved


@register("rigl")
class RigL(SET):
    """The rigged lottery: like SET, but grow where the gradient is largest, from zero.

    Evci et al. 2020, *Rigging the Lottery: Making All Tickets Winners*. The authors' code sets the
    optimiser's memory of what grows to zero; here it has faded by as much as it does in ``every`` steps.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images);
    24 points found nothing better at 1 % under SGD (docs/results/science-tuning).
    """

    version = 1  # versioned apart from SET: check on each bump of SET whether this needs one

    @defaults(every=100, fraction=0.3, end=0.75)
    class Config(SET.Config):
        """SET's options."""

    def grown_values(self) -> Tensors:
        return {}

    def growth(self) -> Tensors:
        return {
            name: torch.zeros_like(weight) if weight.grad is None else weight.grad.abs()
            for name, weight in self.weights.items()
        }
