"""Powerpropagation: a reparametrisation under which large weights grow and small ones stay small."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from switchbench.methods.contract import Layers, option, register
from switchbench.methods.magnitude import Magnitude

TINY = 1e-12
"""Keeps the gradient at a weight of zero finite, and zero, whatever the exponent."""


class Power(nn.Module):
    """Parametrization θ ↦ θ · |θ|^(exponent − 1)."""

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, theta: Tensor) -> Tensor:
        return theta * theta.abs().clamp_min(TINY).pow(self.exponent - 1)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The θ of a weight, so that training starts from the same function."""
        return weight.sign() * weight.abs().pow(1 / self.exponent)


@register("powerpropagation")
class Powerpropagation(Magnitude):
    """Train θ with weights θ · |θ|^(exponent − 1), which sparsifies by itself; prune gradually.

    Schwarz et al. 2021, *Powerpropagation: A sparsity inducing weight reparameterisation*.
    """

    class Config(Magnitude.Config):
        exponent: float = option(2.0, "1 is plain training", search=(1.0, 4.0), ge=1)

    config: Config

    def attach(self, network: nn.Module, layers: Layers, batch: tuple[Tensor, Tensor]) -> None:
        super().attach(network, layers, batch)
        with torch.no_grad():
            for layer in layers.values():
                parametrize.register_parametrization(layer, "weight", Power(self.config.exponent))
