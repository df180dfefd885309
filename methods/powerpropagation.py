"""Powerpropagation: a reparametrisation under which large weights grow and small ones stay small."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from switchbench.methods.contract import Layers, option, register
from switchbench.methods.magnitude import Magnitude


class Powered(torch.autograd.Function):
    """θ · |θ|^(exponent − 1); its gradient exponent · |θ|^(exponent − 1) is zero at zero."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, exponent: float) -> Tensor:
        factor = theta.abs() if exponent == 2 else theta.abs().pow_(exponent - 1)
        ctx.save_for_backward(factor)
        ctx.exponent = exponent
        return theta * factor

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return (gradient * factor).mul_(ctx.exponent), None


class Power(nn.Module):
    """Parametrization θ ↦ θ · |θ|^(exponent − 1)."""

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, theta: Tensor) -> Tensor:
        weight: Tensor = Powered.apply(theta, self.exponent)
        return weight

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The θ of a weight, so that training starts from the same function."""
        return weight.sign() * weight.abs().pow(1 / self.exponent)


@register("powerpropagation")
class Powerpropagation(Magnitude):
    """Train θ with weights θ · |θ|^(exponent − 1), which sparsifies by itself; prune gradually.

    Schwarz et al. 2021, *Powerpropagation: A sparsity inducing weight reparameterisation*.

    Defaults: from ``make defaults`` (Fashion-MNIST, validation images).
    """

    class Config(Magnitude.Config):
        begin: float = option(0.025, "share of training before pruning begins", search=(0.0, 0.3), ge=0, lt=1)
        end: float = option(
            0.4, "share of training at which the target is met", search=(0.4, 0.9), gt=0, le=1
        )
        exponent: float = option(2.5, "1 is plain training", search=(1.0, 4.0), ge=1)

    config: Config

    def attach(self, network: nn.Module, layers: Layers, batch: tuple[Tensor, Tensor]) -> None:
        super().attach(network, layers, batch)
        with torch.no_grad():
            for layer in layers.values():
                parametrize.register_parametrization(layer, "weight", Power(self.config.exponent))
