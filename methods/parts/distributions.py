"""Sparsity distributions: how many connections a density leaves, in all and in each layer."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

PerLayer = Literal["erk", "uniform"]
Distribution = Literal["global", "uniform", "erk"]
"""``global``: layers compete; ``uniform``: the same density in each; ``erk``: Erdős–Rényi–Kernel."""


def budget(weights: Mapping[str, Tensor], density: float) -> int:
    """Return the number of connections that a density leaves over all layers, at least one.

    >>> import torch
    >>> budget({"a": torch.zeros(7, 3), "b": torch.zeros(5, 5)}, density=0.3)
    14
    """
    return max(1, round(density * sum(weight.numel() for weight in weights.values())))


def distribute(
    weights: Mapping[str, Tensor], density: float, distribution: Distribution
) -> int | dict[str, int]:
    """Return the budget in the form that ``masks.keep_top`` takes: in all, or by layer.

    >>> import torch
    >>> distribute({"a": torch.zeros(10, 10), "b": torch.zeros(20)}, 0.5, "global")
    60
    >>> distribute({"a": torch.zeros(10, 10), "b": torch.zeros(20)}, 0.5, "uniform")
    {'a': 50, 'b': 10}
    """
    if distribution == "global":
        return budget(weights, density)
    return layer_budgets(weights, density, distribution)


def layer_budgets(weights: Mapping[str, Tensor], density: float, distribution: PerLayer) -> dict[str, int]:
    """Return the number of connections of each layer; they add up to exactly :func:`budget`.

    ``erk`` (Mocanu et al. 2018; Evci et al. 2020) gives a layer of shape (outputs, inputs, *kernel)
    a density in proportion to the sum of its sides over their product. A layer that would need
    more than all its connections is dense, and the others share the rest.

    Args:
        weights: Weights by layer name, for their shapes.
        density: Share of all connections to keep, in (0, 1].
        distribution: ``uniform`` or ``erk``.

    >>> import torch
    >>> layer_budgets({"a": torch.zeros(100, 300), "b": torch.zeros(50, 100)}, 0.1, "erk")
    {'a': 2545, 'b': 955}
    """
    sizes = {name: weight.numel() for name, weight in weights.items()}
    total = budget(weights, density)
    if distribution == "uniform":
        return _round_to_total({name: density * size for name, size in sizes.items()}, sizes, total)
    sides = {name: float(sum(weight.shape)) for name, weight in weights.items()}
    full: set[str] = set()
    while True:
        free = [name for name in sizes if name not in full]
        rest = total - sum(sizes[name] for name in full)
        scale = rest / sum(sides[name] for name in free) if free else 0.0
        over = {name for name in free if scale * sides[name] > sizes[name]}
        if not over:
            shares = {name: float(sizes[name]) if name in full else scale * sides[name] for name in sizes}
            return _round_to_total(shares, sizes, total)
        full |= over


def _round_to_total(shares: dict[str, float], sizes: dict[str, int], total: int) -> dict[str, int]:
    """Round shares by largest remainders to whole numbers within ``sizes`` that sum to ``total``."""
    counts = {name: min(int(share), sizes[name]) for name, share in shares.items()}
    while (missing := total - sum(counts.values())) > 0:
        order = sorted(counts, key=lambda name: counts[name] - shares[name])
        for name in [name for name in order if counts[name] < sizes[name]][:missing]:
            counts[name] += 1
    return counts
