"""Hard concrete gates: stochastic switches that are exactly off or on with some probability.

Louizos, Welling & Kingma 2018, *Learning Sparse Neural Networks through L0 Regularization*.
"""

import math
from typing import Any

import torch
from torch import Tensor

TEMPERATURE, LOW, HIGH = 2 / 3, -0.1, 1.1
"""Of the binary concrete distribution, and the interval to which it is stretched: β, γ, ζ."""
SHIFT = TEMPERATURE * math.log(-LOW / HIGH)
CLOSED = math.log(-LOW / HIGH)
"""A logit up to this one gives an exact zero without noise."""


def logistic(tensor: Tensor) -> Tensor:
    """Fill a tensor with logistic noise from torch's global generator."""
    return tensor.uniform_().clamp_(1e-6, 1 - 1e-6).logit_()


def sample(logits: Tensor, noise: Tensor) -> Tensor:
    """Sample gates in [0, 1], differentiable in the logits.

    Args:
        logits: Log odds of open gates, of any shape.
        noise: Logistic noise of the same shape (:func:`logistic`).
    """
    gate: Tensor = Sample.apply(logits, noise)
    return gate


class Sample(torch.autograd.Function):
    """Stretched and clamped binary concrete variables, in few passes over the weights."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, noise: Tensor) -> Tensor:
        concrete = (logits + noise).mul_(1 / TEMPERATURE).sigmoid_()
        stretched = (concrete * (HIGH - LOW)).add_(LOW)
        gate = stretched.clamp(0, 1)
        inside = torch.eq(stretched, gate, out=stretched)  # 0 or 1 where the clamp acted
        slope = concrete.addcmul_(concrete, concrete, value=-1).mul_((HIGH - LOW) / TEMPERATURE)
        ctx.save_for_backward(slope.mul_(inside))
        return gate

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors  # private and used once: in place is safe, and memory in use is faster
        return slope.mul_(gradient), None


def mean(logits: Tensor) -> Tensor:
    """Return the gates without noise, as the finished network has them.

    >>> mean(torch.tensor([-3.0, 0.0, 3.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return _stretch(logits.sigmoid())


def open_probability(logits: Tensor) -> Tensor:
    """Return the probability that a sampled gate is not zero."""
    return (logits - SHIFT).sigmoid_()


def expected_open(logits: Tensor) -> Tensor:
    """Return the expected number of open gates: the differentiable L0 norm."""
    expected: Tensor = ExpectedOpen.apply(logits)
    return expected


class ExpectedOpen(torch.autograd.Function):
    """Sum of open probabilities, in few passes over the logits."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        probability = open_probability(logits)
        total = probability.sum()
        ctx.save_for_backward(probability.addcmul_(probability, probability, value=-1))
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        by_logits: Tensor = slope.mul_(gradient)
        return by_logits


def _stretch(concrete: Tensor) -> Tensor:
    gate: Tensor = (concrete * (HIGH - LOW)).add_(LOW).clamp_(0, 1)
    return gate
