"""Sparse variational dropout: weights that are mostly noise are dropped."""

import math
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from switchbench.methods.contract import OTHERS, WEIGHTS, Method, ParameterGroup, Progress, register
from switchbench.methods.learned import LearnedParametrization
from switchbench.methods.options import option
from switchbench.methods.parts.layers import Layers
from switchbench.methods.parts.noise import NoiseTable

NOISE = "noise"

K1, K2, K3 = 0.63576, 1.87320, 1.48695
"""Constants of the approximated Kullback-Leibler divergence (Molchanov et al. 2017, eq. 14)."""
TINY = 1e-8
RATIOS = (1e-30, 1e30)
"""Bounds of w² / σ², so that its logarithm is finite."""


class Exponential(torch.autograd.Function):
    """exp(x) where its value is known already; its gradient flows to x."""

    @staticmethod
    def forward(ctx: Any, _: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(value)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (value,) = ctx.saved_tensors
        return gradient * value, None


class Noise(nn.Module):
    """Parametrization that leaves a weight alone in training (its noise is added to the layer's
    output) and drops it in evaluation where log α is above a threshold."""

    variance: Tensor
    tiny: Tensor

    def __init__(self, weight: Tensor, start: float, threshold: float, table: NoiseTable) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.full_like(weight, start))
        self.threshold = threshold
        self.table = table
        self.register_buffer("variance", torch.full_like(weight, math.exp(start)))
        self.register_buffer("tiny", weight.new_full((len(weight),), TINY))

    def forward(self, weight: Tensor) -> Tensor:
        if self.training:
            return weight
        return weight * (log_alpha(weight, self.log_variance) <= self.threshold)

    @torch.no_grad()
    def update(self) -> None:
        """Recompute the variances after a change of their logarithms."""
        self.variance = self.log_variance.exp()

    def perturb(self, layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor | None:
        """Forward hook: noise of variance Σ x² σ² on every output, in training alone."""
        if not self.training:
            return None
        variance: Tensor = self.variance
        if self.log_variance.requires_grad:
            variance = Exponential.apply(self.log_variance, variance)
        if isinstance(layer, nn.Conv2d):
            spread: Tensor = layer._conv_forward(inputs[0].square(), variance, self.tiny)
        else:
            spread = F.linear(inputs[0].square(), variance, self.tiny)
        return torch.addcmul(output, spread.sqrt(), self.table.draw(output))


class Divergence(torch.autograd.Function):
    """Σ KL(q(w) ‖ log-uniform prior) by the approximation of Molchanov et al. 2017, eq. 14, with
    its gradient computed in the forward pass, in few passes over the weights."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, log_variance: Tensor, factor: float = 1.0, variance: Tensor | None = None
    ) -> Tensor:
        """``factor`` multiplies the gradient by the weight; ``variance`` is exp(log_variance) where
        it is known."""
        square = weight.square().add_(TINY)
        ratio = (square / (log_variance.exp() if variance is None else variance)).clamp_(*RATIOS)  # 1/α
        bell = ratio.log().mul_(-K3).add_(K2).sigmoid_()
        above = ratio + 1
        slope = ratio.div_(above)
        divergence = K1 * (weight.numel() - bell.sum()) + 0.5 * above.log_().sum()
        by_alpha = slope.mul_(-0.5).addcmul_(bell, bell - 1, value=K1 * K3)
        by_weight = (weight / square).mul_(by_alpha).mul_(-2 * factor)
        ctx.save_for_backward(by_weight, by_alpha)
        return divergence

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        by_weight, by_alpha = ctx.saved_tensors
        return (
            by_weight.mul_(gradient),
            by_alpha.mul_(gradient),
            None,
            None,
        )  # saved tensors are private and used once: in place is safe


def log_alpha(weight: Tensor, log_variance: Tensor) -> Tensor:
    """log(σ² / w²): how much of a weight is noise."""
    return log_variance - (weight.square() + TINY).log()


@register("variational-dropout")
class VariationalDropout(LearnedParametrization[Noise]):
    """Sparse variational dropout: Gaussian noise of a learned size on every weight.

    Molchanov, Ashukha & Vetrov 2017, *Variational Dropout Sparsifies Deep Neural Networks*, with
    its additive noise and local reparametrisation: a layer's outputs get the noise that its
    weights' would make. The divergence from the log-uniform prior, faded in over ``fade`` of
    training, is part of the loss; weights with log α above ``threshold`` end as zeros. Only in every
    ``every``-th step does the noise's size learn, and is the divergence part of the loss, multiplied by
    ``every``. The noise is read from a table of normals. It learns its density.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images), where ``every``
    was 4; it is 12 for its cost.
    """

    version = 3

    class Config(Method.Config):
        strength: float = option(
            3e-5,
            "weight of the divergence in the loss; 1 / training images is the variational bound's",
            search=(1e-5, 1e-3),
            log=True,
            ge=0,
        )
        every: int = option(
            12, "steps from one that includes the divergence, multiplied by this number, to the next", ge=1
        )
        fade: float = option(
            0.3, "share of training over which the divergence fades in", search=(0.0, 0.7), ge=0, lt=1
        )
        start: float = option(-8.0, "log variance of the noise at the start", search=(-12, -5))
        noise_lr: float = option(
            1e-2, "the log variances' learning rate (adam)", search=(1e-4, 1e-1), log=True, gt=0
        )
        threshold: float = option(3.0, "log α above which a weight is dropped")

    @classmethod
    def skip(cls, config: Any, network: nn.Module, layers: Layers) -> str | None:
        odd = [name for name, layer in layers.items() if not isinstance(layer, nn.Linear | nn.Conv2d)]
        return f"adds noise to linear layers and 2D convolutions only, not {odd[0]}" if odd else None

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        self.noise = NoiseTable(torch.Tensor.normal_, batch[0].device)
        super().setup(batch)
        self.hooks = [
            self.layers[name].register_forward_hook(noise.perturb) for name, noise in self.learned.items()
        ]

    def make(self, weight: Tensor) -> Noise:
        return Noise(weight.detach(), self.config.start, self.config.threshold, self.noise)

    def group(self, parameters: list[nn.Parameter]) -> ParameterGroup:
        return ParameterGroup(NOISE, parameters, optimizer="adam", lr=self.config.noise_lr)

    def learning(self, progress: Progress) -> Collection[str]:
        return {WEIGHTS, OTHERS, NOISE} if self._weighs(progress) else {WEIGHTS, OTHERS}

    def penalty(self, progress: Progress) -> Tensor | None:
        if not self._weighs(progress):
            return None
        faded = min(1.0, progress.fraction / self.config.fade) if self.config.fade else 1.0
        divergence = [
            Divergence.apply(self.weights[name], noise.log_variance, self.config.every, noise.variance)
            for name, noise in self.learned.items()
        ]
        return self.config.strength * faded * torch.stack(divergence).sum()

    def after_step(self, progress: Progress) -> None:
        if self._weighs(progress):
            for noise in self.learned.values():
                noise.update()

    def _weighs(self, progress: Progress) -> bool:
        """Tell whether the divergence counts and the noise learns in this step."""
        return progress.every(self.config.every, start=1)

    def finalise(self) -> None:
        for hook in self.hooks:
            hook.remove()
        super().finalise()
