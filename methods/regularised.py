"""Regularisers that push weights towards zero, and what all of them share: cut, then fine-tune."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from switchbench.methods import window
from switchbench.methods.contract import Method, Progress, register
from switchbench.methods.masked import MaskedMethod
from switchbench.methods.options import defaults, option
from switchbench.methods.parts.devices import int_if_known
from switchbench.methods.parts.layers import columns, per_input
from switchbench.methods.parts.masks import Count, Tensors, counts, keep_top
from switchbench.methods.parts.neurons import root_mean_squares, select_units
from switchbench.methods.parts.paths import Paths
from switchbench.methods.parts.scores import magnitudes


class Regularised(MaskedMethod):
    """Base: regularise up to ``end``, keep the largest weights at the target density, fine-tune
    them without regulariser. With ``meet_target`` off the regulariser acts to the end, then weights up
    to ``threshold`` become zero and the density is what emerges.

    A subclass adds a :meth:`measure` of each weight to the loss, or shrinks weights after each step
    (:meth:`shrink`).
    """

    class Config(Method.Config):
        strength: float = option(
            1e-4, "weight of the regulariser in the loss", search=(1e-6, 1e-2), log=True, ge=0
        )
        end: float = window.end(0.6, needs={"meet_target": [True]})
        meet_target: bool = option(True, "meet the target density instead of learning a density")
        threshold: float = option(
            1e-3, "weights up to this size become zero at the end", needs={"meet_target": [False]}, ge=0
        )

    regularising: bool = True
    """Whether the regulariser still acts: no mask has been cut."""

    @classmethod
    def takes_target(cls, config: Any) -> bool:
        return bool(config.meet_target)

    def measure(self, weight: Tensor) -> Tensor | None:
        """Return the scalar of a layer's weight that is added to the loss times ``strength``."""
        return None

    def shrink(self, progress: Progress) -> None:
        """Move weights towards zero after an optimiser step."""

    def strength_at(self, left: Callable[[], Count]) -> float | Tensor:
        """Return the strength of a step that shrinks weights: 0 where no more are left than the target.

        Args:
            left: Counts the connections that are left, a scalar; called only if there is a target.
        """
        if self.density is None:
            return float(self.config.strength)
        return self.config.strength * int_if_known(left() > self.budget)

    def cut(self) -> Tensors:
        """Return the masks at the target density."""
        return keep_top(magnitudes(self.weights), self.budget)

    def penalty(self, progress: Progress) -> Tensor | None:
        measures = [self.measure(weight) for weight in self.weights.values()] if self.regularising else []
        terms = [each for each in measures if each is not None]
        return self.config.strength * torch.stack(terms).sum() if terms else None

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor] | None:
        return None if self.regularising else self.masks

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        ends = self.density is not None and progress.fraction >= self.config.end
        if self.regularising and not ends:
            self.shrink(progress)
        elif self.regularising:
            self.regularising = False
            self.set_masks(self.cut())
        super().after_step(progress)

    @torch.no_grad()
    def finalise(self) -> None:
        super().finalise()
        if self.density is None:
            for weight in self.weights.values():
                weight.masked_fill_(weight.abs() <= self.config.threshold, 0)


@register("l1")
class L1(Regularised):
    """L1 penalty by proximal (soft-threshold) steps, cut to the target density, then fine-tuned.

    After each optimiser step a weight shrinks by strength × its step size and stops at zero,
    which minimises loss + strength · Σ|w| under the optimiser's own metric (ISTA for SGD;
    Yun, Lozano & Yang 2021, *Adaptive proximal gradient methods*, for Adam). With
    ``meet_target`` shrinking pauses while no more weights than the target are left; at ``end``
    the largest weights are kept and learn on without penalty, which also undoes the shrinkage
    bias. Without it the penalty acts to the end and the density is what emerges.

    Defaults: the best of 24 points (docs/results/science-tuning), rounded.
    """

    @defaults(strength=2e-3, end=0.4, threshold=0.0)
    class Config(Regularised.Config):
        """A regulariser's options."""

    def shrink(self, progress: Progress) -> None:
        strength = self.strength_at(lambda: sum(counts(self.weights).values()))
        if isinstance(strength, float) and not strength:
            return
        for weight in self.weights.values():
            threshold = strength * progress.step_size(weight)
            weight.sub_(weight.abs().clamp_max_(threshold).copysign_(weight))


@register("l1-subgradient")
class L1Subgradient(Regularised):
    """L1 penalty in the loss, as most code has it: no weight reaches zero until it is cut off.

    Tibshirani 1996, *Regression Shrinkage and Selection via the Lasso*; Han et al. 2015.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images).
    """

    def measure(self, weight: Tensor) -> Tensor:
        return weight.abs().sum()


@register("deep-hoyer")
class DeepHoyer(Regularised):
    """Hoyer-square regulariser (Σ|w|)² / Σw² per layer: sparse, and indifferent to scale.

    Yang, Wen & Li 2020, *DeepHoyer: Learning Sparser Neural Network with Differentiable
    Scale-Invariant Sparsity Measures*.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images).
    """

    def measure(self, weight: Tensor) -> Tensor:
        return hoyer_square(weight)


def hoyer_square(weight: Tensor) -> Tensor:
    """(Σ|w|)² / Σw²: between 1 (one weight) and the number of weights (all of one size)."""
    return weight.abs().sum().square() / weight.square().sum().clamp_min(torch.finfo(weight.dtype).tiny)


@register("group-lasso")
class GroupLasso(Regularised):
    """Group lasso over neurons by proximal steps: whole neurons and inputs go, then fine-tuning.

    A group is the weights that read one unit (Wen et al. 2016, *Learning Structured Sparsity*;
    Scardapane et al. 2017, *Group sparse regularization for deep neural networks*); its norm
    shrinks by strength × √size × the harmonic mean of its weights' step sizes, as long as more is
    left than the target. At ``end`` the units are kept whose weights have the largest root mean square,
    over the mean of their layer's units that are left. Connections that then lead nowhere go too.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images).
    """

    version = 2
    unit = "neuron"

    @defaults(end=0.4, threshold=0.0)
    class Config(Regularised.Config):
        strength: float = option(
            2e-7, "weight of the sum of group norms × √size", search=(1e-7, 1e-3), log=True, ge=0
        )

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        self.paths = Paths(self.network, batch[0]).looked_at()

    def shrink(self, progress: Progress) -> None:
        groups = {name: columns(weight) for name, weight in self.weights.items()}
        norms = {name: group.norm(dim=1) for name, group in groups.items()}
        left = [norm.count_nonzero() * groups[name].shape[1] for name, norm in norms.items()]
        strength = self.strength_at(lambda: torch.stack(left).sum())
        if isinstance(strength, float) and not strength:
            return
        for name, weight in self.weights.items():
            step_size = progress.step_size(weight)
            if isinstance(step_size, Tensor):
                step_size = 1 / columns(step_size).reciprocal().mean(1)  # Adam's are huge where v is 0
            threshold = strength * groups[name].shape[1] ** 0.5 * step_size
            scale = (1 - threshold / norms[name].clamp_min(torch.finfo(weight.dtype).tiny)).clamp_min(0)
            weight.mul_(per_input(scale, weight))

    def cut(self) -> Tensors:
        norms = root_mean_squares(self.weights)
        relative = {name: norm / _mean_of_positive(norm).nan_to_num(1.0) for name, norm in norms.items()}
        return select_units(relative, self.weights, self.target, self.paths)

    def finalise(self) -> None:
        super().finalise()
        self.paths.remove_dead(self.layers)


def _mean_of_positive(norms: Tensor) -> Tensor:
    """Return the mean of the norms that are not zero, NaN if there is none."""
    if norms.device.type == "cpu":
        return norms[norms > 0].mean()
    return norms.sum() / norms.count_nonzero()  # the same, but a GPU is not asked how many there are
