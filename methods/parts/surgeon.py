"""Optimal brain surgeon in blocks: what the loss misses without a connection, once the others have adapted.

Hassibi & Stork 1992, *Second order derivatives for network pruning: Optimal Brain Surgeon*. A block is a few
connections (b of them); interactions between blocks are left out.
"""

import torch
from torch import Tensor

TINY = 1e-30
RISE = 1e-6
"""By how much, relative to it, a loss of removal is at least above the one before in its block."""


def inverse_fisher(gradients: Tensor, damping: float) -> Tensor:
    """Return the inverses of the damped empirical Fisher matrices of blocks.

    Args:
        gradients: (samples, blocks, b).
        damping: Added to the diagonals, as a multiple of their mean.

    Returns:
        (blocks, b, b).
    """
    by_block = gradients.transpose(0, 1)
    fisher = by_block.mT @ by_block / len(gradients)
    diagonal = fisher.diagonal(dim1=1, dim2=2)
    diagonal.add_((damping * diagonal.mean()).clamp_min(TINY))
    return torch.cholesky_inverse(torch.linalg.cholesky_ex(fisher).L)


def removal_losses(weights: Tensor, inverses: Tensor) -> Tensor:
    """Remove the connections of each block one by one, each time the one that the loss misses least.

    Args:
        weights: (blocks, b).
        inverses: Inverses of the blocks' Hessians (blocks, b, b).

    Returns:
        For each connection the loss of its removal, but not less than that of an earlier one: the lowest of
        all blocks are those that a removal one by one would take.
    """
    weights, inverses = weights.clone(), inverses.clone()
    losses, gone = torch.zeros_like(weights), torch.zeros_like(weights, dtype=torch.bool)
    worst = weights.new_zeros(len(weights), 1)
    for _ in range(weights.shape[1]):
        diagonal = inverses.diagonal(dim1=1, dim2=2).clamp_min(TINY)
        each = (weights.square() / (2 * diagonal)).masked_fill_(gone, torch.inf)
        lowest, chosen = each.min(1, keepdim=True)
        worst = torch.maximum(worst * (1 + RISE), lowest)
        losses.scatter_(1, chosen, worst)
        gone.scatter_(1, chosen, True)
        column = inverses.gather(2, chosen[:, None].expand(-1, weights.shape[1], 1)).squeeze(2)
        column /= column.gather(1, chosen).clamp_min(TINY).sqrt()
        root = column.gather(1, chosen).clamp_min(TINY)
        weights -= column * (weights.gather(1, chosen) / root)
        inverses -= column[:, :, None] * column[:, None]
    return losses


def corrected(weights: Tensor, inverses: Tensor, removed: Tensor) -> Tensor:
    """Return the weights of blocks after some are removed at once, and the others have corrected for it.

    Args:
        weights: (blocks, b).
        inverses: Inverses of the blocks' Hessians (blocks, b, b).
        removed: 1 for each connection that is removed, else 0, (blocks, b). Its weight becomes zero.
    """
    chosen = removed[:, :, None] * removed[:, None] * inverses + torch.diag_embed(1 - removed)
    multipliers = torch.linalg.solve_ex(chosen, (removed * weights)[:, :, None]).result
    kept: Tensor = (weights - (inverses @ multipliers).squeeze(2)) * (1 - removed)
    return kept
