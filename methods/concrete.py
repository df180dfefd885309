"""Hard concrete gates: stochastic switches that are exactly off or on with some probability.

Louizos, Welling & Kingma 2018, *Learning Sparse Neural Networks through L0 Regularization*.
"""

import math

import torch
from torch import Tensor

TEMPERATURE, LOW, HIGH = 2 / 3, -0.1, 1.1
"""Of the binary concrete distribution, and the interval to which it is stretched: β, γ, ζ."""
SHIFT = TEMPERATURE * math.log(-LOW / HIGH)
CLOSED = math.log(-LOW / HIGH)
"""A logit up to this one gives an exact zero without noise."""


def sample(logits: Tensor) -> Tensor:
    """Gates in [0, 1] with reparametrised noise from torch's global generator."""
    uniform = torch.rand_like(logits).clamp_(1e-6, 1 - 1e-6)
    return _stretch(((uniform.logit_() + logits) / TEMPERATURE).sigmoid())


def mean(logits: Tensor) -> Tensor:
    """Gates without noise, as the finished network has them."""
    return _stretch(logits.sigmoid())


def open_probability(logits: Tensor) -> Tensor:
    """Probability that a sampled gate is not zero; its sum is the expected L0 norm."""
    return (logits - SHIFT).sigmoid()


def _stretch(concrete: Tensor) -> Tensor:
    return (concrete * (HIGH - LOW) + LOW).clamp(0, 1)
