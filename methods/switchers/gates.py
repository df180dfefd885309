"""Gates: switches in front of weights, and a gradient that respects a budget."""

from typing import Any

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """Parametrization W ↦ W ⊙ gate, where the method sets ``gate`` when it changes.

    A switched-off weight gets no gradient but is not set to zero, so that it can be switched on
    again (an optimiser's momentum or weight decay may still move it).
    """

    gate: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("gate", torch.ones_like(weight, requires_grad=False))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.gate


class BudgetedTopK(torch.autograd.Function):
    """Exact top-k in front, a soft top-k of constant density behind.

    Forward: a 0/1 mask of the k highest logits. Backward: the gradient of σ((z − τ)/T) where
    the threshold τ moves so that Σσ stays; for s = σ'((z − τ)/T), ∂L/∂z = s·(g − Σ s·g / Σ s)
    up to the constant 1/T. A connection gains only what it is worth above the ones at the
    threshold, where the plain straight-through gradient ignores the budget.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, keep: int, temperature: float) -> Tensor:
        top = logits.topk(keep, sorted=False)
        on = torch.sigmoid((logits - top.values.min()) / temperature)
        ctx.save_for_backward(on * (1 - on))
        mask = torch.zeros_like(logits)
        mask[top.indices] = 1
        return mask

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        mean = (slope * gradient).sum() / slope.sum().clamp_min(torch.finfo(slope.dtype).tiny)
        return slope * (gradient - mean), None, None


def budgeted_top_k(logits: Tensor, keep: int, temperature: float) -> Tensor:
    """Mask of the ``keep`` highest entries of a vector; see :class:`BudgetedTopK`."""
    mask: Tensor = BudgetedTopK.apply(logits, keep, temperature)
    return mask
