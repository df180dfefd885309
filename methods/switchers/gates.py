"""How logits become gates, and gradients that respect a budget.

Each function takes logits and either ``on`` (a 0/1 tensor: a budget has chosen which gates are
open) or None (a gate opens by itself where its logit is above zero), and returns gates that are
exactly zero where closed.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from switchbench.methods.parts import concrete

GateKind = Literal["binary", "relu", "hard_concrete"]
BARELY = 1e-3
"""Smallest gate of a connection that a budget has chosen."""


def gates(kind: GateKind, logits: Tensor, on: Tensor | None, temperature: float, noisy: bool) -> Tensor:
    """Gates of a vector of logits. ``noisy``: sample hard concrete gates, as in training."""
    if kind == "binary" and on is not None and not torch.is_grad_enabled():
        return on
    if kind == "binary":
        return binary(logits, on, temperature)
    if on is not None:
        logits = logits - threshold(logits.detach(), on)
    if kind == "relu":
        opened = logits.relu()
    else:
        shifted = logits / temperature + concrete.CLOSED
        noise = concrete.logistic(torch.empty_like(shifted)) if noisy else None
        opened = concrete.mean(shifted) if noise is None else concrete.sample(shifted, noise)
    return opened if on is None else opened.clamp_min(BARELY) * on


def openness(kind: GateKind, logits: Tensor, temperature: float) -> Tensor:
    """Mean of what a sparsity penalty weighs: gates (relu), or their probability to be open."""
    if kind == "relu":
        return logits.relu().mean()
    if kind == "binary":
        return (logits / temperature).sigmoid().mean()
    return concrete.open_probability(logits / temperature + concrete.CLOSED).mean()


def threshold(logits: Tensor, on: Tensor) -> Tensor:
    """Middle between the lowest logit that is on and the highest that is off."""
    lowest = logits.masked_fill(on == 0, torch.inf).min()
    highest = logits.masked_fill(on != 0, -torch.inf).max()
    return torch.where(highest.isfinite(), (lowest + highest) / 2, lowest - 1)


def binary(logits: Tensor, on: Tensor | None, temperature: float) -> Tensor:
    """0/1 gates with a straight-through gradient; with a budget, one that respects it."""
    gate: Tensor = (
        Budgeted.apply(logits, on, temperature) if on is not None else Step.apply(logits, temperature)
    )
    return gate


class Step(torch.autograd.Function):
    """[z > 0] in front, the gradient of σ(z / T) behind (up to the constant 1 / T)."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, temperature: float) -> Tensor:
        soft = torch.sigmoid(logits / temperature)
        ctx.save_for_backward(soft * (1 - soft))
        return (logits > 0).to(logits.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return slope * gradient, None


class Budgeted(torch.autograd.Function):
    """A budget's choice in front, a soft choice of constant size behind.

    Backward: the gradient of σ((z − τ)/T) where the threshold τ moves so that Σσ stays; for
    s = σ'((z − τ)/T), ∂L/∂z = s·(g − Σ s·g / Σ s) up to the constant 1/T. A connection gains only
    what it is worth above the ones at the threshold, where the plain straight-through gradient
    ignores the budget.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, on: Tensor, temperature: float) -> Tensor:
        lowest = logits.masked_fill(on == 0, torch.inf).min()
        soft = torch.sigmoid((logits - lowest) / temperature)
        ctx.save_for_backward(soft * (1 - soft))
        return on.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        mean = (slope * gradient).sum() / slope.sum().clamp_min(torch.finfo(slope.dtype).tiny)
        return slope * (gradient - mean), None, None
