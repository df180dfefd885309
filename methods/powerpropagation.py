"""Powerpropagation: a reparametrisation under which large weights grow and small ones stay small."""

from typing import Any

import torch
from torch import Tensor, nn

from switchbench.methods.contract import Progress, register
from switchbench.methods.gradual import GradualPruning
from switchbench.methods.options import defaults, option


class Powered(torch.autograd.Function):
    """θ · |θ|^(exponent − 1); its gradient exponent · |θ|^(exponent − 1) is zero at zero."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, exponent: float) -> Tensor:
        factor = _power(theta, exponent - 1)
        ctx.save_for_backward(factor)
        ctx.exponent = exponent
        return theta * factor

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors  # private and used once: in place is safe, and memory in use is faster
        return factor.mul_(gradient).mul_(ctx.exponent), None


def _power(theta: Tensor, exponent: float) -> Tensor:
    """Raise |θ| to a power, without the slow general function where that is easy."""
    size = theta.abs()
    if exponent == 1:
        return size
    if exponent == 1.5:  # roots of zeros, which are most of a pruned layer, take ten times as long as others
        return size.clamp_min_(torch.finfo(size.dtype).tiny).sqrt_().mul_(theta).abs_()
    return size.pow_(exponent)


class Power(nn.Module):
    """Parametrization θ ↦ θ · |θ|^(exponent − 1)."""

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, theta: Tensor) -> Tensor:
        weight: Tensor = Powered.apply(theta, self.exponent)
        return weight

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the θ of a weight, so that training starts from the same function."""
        return weight.sign() * weight.abs().pow(1 / self.exponent)


@register("powerpropagation")
class Powerpropagation(GradualPruning):
    """Train θ with weights θ · |θ|^(exponent − 1), which sparsifies by itself; prune gradually.

    Schwarz et al. 2021, *Powerpropagation: A sparsity inducing weight reparameterisation*. Gradient
    descent then moves a weight in proportion to the square of exponent · |θ|^(exponent − 1); Adam,
    which divides a gradient's scale out, in proportion to that factor itself. What is pruned is ranked by
    |θ|: single connections so have the order of their weights, units of other patterns another one.

    Defaults: the best of 24 points (docs/results/science-tuning), rounded.
    """

    version = 2

    @defaults(begin=0.15, end=0.8, power=3.0)
    class Config(GradualPruning.Config):
        exponent: float = option(
            3.5, "α of w = θ · |θ|^(α - 1); 1 is plain training", search=(1.0, 4.0), ge=1
        )

    def standing_masks(self, progress: Progress) -> None:
        return None  # weights are powers of what learns

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        super().setup(batch)
        self.parametrize(lambda _: Power(self.config.exponent))
