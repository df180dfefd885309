"""Continuous sparsification: sigmoid gates that harden into a mask."""

from typing import Any

import torch
from torch import Tensor, nn

from switchbench.methods.contract import Method, ParameterGroup, Progress, register
from switchbench.methods.learned import LearnedParametrization
from switchbench.methods.options import option


class Sigmoid(torch.autograd.Function):
    """W ⊙ σ(βs) and Σσ(βs), with gradients in few passes over the weights."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, s: Tensor, beta: float) -> tuple[Tensor, Tensor]:
        gate = (beta * s).sigmoid_()
        ctx.save_for_backward(weight, gate)
        ctx.beta = beta
        return weight * gate, gate.sum()

    @staticmethod
    def backward(ctx: Any, by_gated: Tensor, by_sum: Tensor) -> tuple[Tensor, Tensor, None]:
        weight, gate = ctx.saved_tensors
        slope = (1 - gate).mul_(gate).mul_(ctx.beta)
        by_s = (by_gated * weight).add_(by_sum).mul_(slope)
        return by_gated * gate, by_s, None


class SigmoidGate(nn.Module):
    """Parametrization W ↦ W ⊙ σ(βs), or W ⊙ [s > 0] once it is hard or in evaluation."""

    def __init__(self, weight: Tensor, start: float) -> None:
        super().__init__()
        self.s = nn.Parameter(torch.full_like(weight, start))
        self.beta = 1.0
        self.hard = False
        self.total: Tensor | None = None
        """Sum of the gates in the last forward pass of training."""

    def forward(self, weight: Tensor) -> Tensor:
        if self.hard or not self.training:
            # Products with booleans are slow.
            return weight * torch.gt(self.s.detach(), 0, out=torch.empty_like(self.s))
        gated, self.total = Sigmoid.apply(weight, self.s, self.beta)
        return gated  # type: ignore[no-any-return]


@register("continuous-sparsification")
class ContinuousSparsification(LearnedParametrization[SigmoidGate]):
    """Continuous sparsification: one gate σ(βs) per weight, β growing exponentially; learns its density.

    Savarese, Silva & Maire 2020, *Winning the Lottery with Continuous Sparsification*, in one
    round: gates learn with the weights, with strength · Σσ(βs) in the loss, while β grows from 1
    to ``hardness``; at ``end`` the mask is [s > 0] and the weights alone learn on.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images).
    """

    class Config(Method.Config):
        start: float = option(0.0, "s of every gate at the start: lower is sparser", search=(-0.1, 0.1))
        strength: float = option(
            1e-5, "weight of the sum of gates in the loss", search=(1e-7, 1e-4), log=True, ge=0
        )
        hardness: float = option(200.0, "β at the end", search=(50, 1000), log=True, gt=1)
        end: float = option(
            0.8, "share of training after which the mask no longer changes", search=(0.5, 1.0), gt=0, le=1
        )
        gate_lr: float = option(1e-2, "the gates' learning rate (adam)", search=(1e-4, 1e-1), log=True, gt=0)

    def make(self, weight: Tensor) -> SigmoidGate:
        return SigmoidGate(weight.detach(), self.config.start)

    def group(self, parameters: list[nn.Parameter]) -> ParameterGroup:
        return ParameterGroup("gates", parameters, "adam", self.config.gate_lr)

    def before_step(self, progress: Progress) -> None:
        passed = progress.fraction / self.config.end
        for gate in self.learned.values():
            gate.hard = passed >= 1
            gate.beta = self.config.hardness ** min(1.0, passed)

    def penalty(self, progress: Progress) -> Tensor | None:
        totals = [gate.total for gate in self.learned.values() if gate.total is not None and not gate.hard]
        return self.config.strength * torch.stack(totals).sum() if totals else None
