"""Learned thresholds: a weight is off while it is smaller than a threshold that learns as well."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from switchbench.methods.contract import Method, ParameterGroup, Progress, register
from switchbench.methods.learned import LearnedParametrization
from switchbench.methods.options import option
from switchbench.methods.parts.layers import per_output


class Shrinking(torch.autograd.Function):
    """sign(w) · relu(|w| − t), with its gradients in few passes over the weights."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, threshold: Tensor) -> Tensor:
        if weight.device.type == "cpu":
            shrunk = F.softshrink(weight, float(threshold))
        else:  # the same, but a GPU is not asked for the threshold
            shrunk = torch.clamp(weight, -threshold, threshold).neg_().add_(weight)
        ctx.save_for_backward(shrunk)
        return shrunk

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        (shrunk,) = ctx.saved_tensors
        sign = shrunk.sign()
        by_threshold = -(sign.flatten() @ gradient.flatten())
        return sign.abs_().mul_(gradient), by_threshold


class SoftThreshold(nn.Module):
    """Parametrization w ↦ sign(w) · relu(|w| − σ(s)) with one s per layer."""

    def __init__(self, weight: Tensor, start: float) -> None:
        super().__init__()
        self.s = nn.Parameter(weight.new_full((), start))

    def forward(self, weight: Tensor) -> Tensor:
        shrunk: Tensor = Shrinking.apply(weight, self.s.sigmoid())
        return shrunk


@register("str")
class STR(LearnedParametrization[SoftThreshold]):
    """Soft threshold reparametrisation: one learned threshold per layer, driven by weight decay.

    Kusupati et al. 2020, *Soft Threshold Weight Reparameterization for Learnable Sparsity*: a
    weight is sign(w) · relu(|w| − σ(s)); decay pulls s up from its negative start, gradients of
    the loss push it back. It learns its density. The paper decays weights as strongly as s; here the weights'
    decay is the comparison's.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images).
    """

    class Config(Method.Config):
        start: float = option(-4.75, "s at the start; its sigmoid is the threshold", search=(-9, -3), lt=0)
        strength: float = option(0.085, "weight decay of s", search=(1e-2, 1.0), log=True, ge=0)
        threshold_lr: float = option(0.085, "learning rate of s (sgd)", search=(1e-2, 1.0), log=True, gt=0)

    def make(self, weight: Tensor) -> SoftThreshold:
        return SoftThreshold(weight.detach(), self.config.start)

    def group(self, parameters: list[nn.Parameter]) -> ParameterGroup:
        c = self.config
        return ParameterGroup("thresholds", parameters, "sgd", c.threshold_lr, weight_decay=c.strength)

    def found(self) -> dict[str, float]:
        return {
            f"threshold of {name}": float(each.s.detach().sigmoid()) for name, each in self.learned.items()
        }


class Masking(torch.autograd.Function):
    """w · [|w| > t] with the long-tailed estimator of the step's derivative (Liu et al. 2020), in few
    passes over the weights."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, threshold: Tensor) -> Tensor:
        """``threshold`` holds one value per row of the weight, (rows,)."""
        distance = weight.abs().sub_(per_output(threshold, weight))
        on = torch.gt(distance, 0.0, out=torch.empty_like(distance))
        ctx.save_for_backward(weight, distance, on)
        return weight * on

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        weight, distance, on = ctx.saved_tensors
        by_distance = long_tail(distance).mul_(weight)
        by_threshold = -(by_distance * gradient).flatten(1).sum(1)
        return by_distance.abs_().add_(on).mul_(gradient), by_threshold


def long_tail(distance: Tensor) -> Tensor:
    """Estimated derivative of the unit step: 2 − 4|x| up to 0.4, then 0.4 up to 1, then 0.

    It takes the place of ``distance``.
    """
    tail = distance.abs_().mul_(-4).add_(2)
    on_gpu = tail.device.type != "cpu"  # which would have to be waited for
    far = tail < -2 if on_gpu or bool(tail.min() < -2) else None  # hardly ever: weights are small
    tail.clamp_min_(0.4)
    return tail if far is None else tail.masked_fill_(far, 0)


class TrainableThreshold(nn.Module):
    """Parametrization w ↦ w · [|w| > t] with one t per output neuron or filter."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.t = nn.Parameter(weight.new_zeros(len(weight)))

    def forward(self, weight: Tensor) -> Tensor:
        masked: Tensor = Masking.apply(weight, self.t)
        return masked


@register("dst")
class DST(LearnedParametrization[TrainableThreshold]):
    """Dynamic sparse training with a trainable threshold per neuron; learns its density.

    Liu et al. 2020, *Dynamic Sparse Training: Find Efficient Sparse Network From Scratch With
    Trainable Masked Layers*: the loss contains strength · Σ exp(−t), and a layer with under 1 %
    of its weights left gets its thresholds back to zero.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images).
    """

    version = 2

    class Config(Method.Config):
        strength: float = option(
            2.5e-3, "weight of Σ exp(−threshold) in the loss", search=(1e-4, 1e-2), log=True, ge=0
        )
        threshold_lr: float = option(
            9e-4, "the thresholds' learning rate (adam)", search=(1e-4, 1e-2), log=True, gt=0
        )
        floor: float = option(
            0.01, "a layer with a smaller share of its weights left gets thresholds of zero", ge=0, lt=1
        )
        every: int = option(100, "steps between two checks of the floor", ge=1)

    @classmethod
    def never_acts(cls, config: Any, steps: int, epochs: int) -> str | None:
        if config.every <= steps:
            return None
        return f"the floor was never checked: every {config.every} is too much for {steps} steps"

    def make(self, weight: Tensor) -> TrainableThreshold:
        return TrainableThreshold(weight.detach())

    def group(self, parameters: list[nn.Parameter]) -> ParameterGroup:
        return ParameterGroup("thresholds", parameters, "adam", self.config.threshold_lr)

    def penalty(self, progress: Progress) -> Tensor:
        return self.config.strength * torch.cat([(-each.t).exp() for each in self.learned.values()]).sum()

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        if progress.every(self.config.every):
            for name, weight in self.weights.items():
                t = self.learned[name].t
                share = (weight.abs() > per_output(t, weight)).float().mean()
                t.masked_fill_(share < self.config.floor, 0)
