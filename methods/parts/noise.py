"""Cheap noise: a table drawn once and read from a random place each time."""

from collections.abc import Callable

import torch
from torch import Tensor

from switchbench.methods.parts.state import Constant

PLACES = 1 << 20
"""Number of places in a table at which a reading can start."""


class NoiseTable(Constant):
    """Independent numbers of one distribution.

    Fresh noise for every weight would cost as much as half a dense step on a CPU (the trick is
    that of Salimans et al. 2017, *Evolution Strategies as a Scalable Alternative*).
    """

    def __init__(self, fill: Callable[[Tensor], Tensor], device: torch.device, size: int = PLACES) -> None:
        """Draw the table.

        Args:
            fill: Fills a tensor with fresh numbers in place, from torch's global generator.
            device: Device of the table.
            size: Most numbers that are drawn from the table at a time.
        """
        self.fill = fill
        self.size = size
        self.table = fill(torch.empty(size + PLACES, device=device))

    def draw(self, like: Tensor) -> Tensor:
        """Return noise of a tensor's shape, read from a random place of the table.

        Torch's global generator chooses the place. For more than ``size`` numbers the noise is fresh.
        """
        if like.numel() > self.size:
            return self.fill(torch.empty_like(like))
        start = int(torch.randint(PLACES, ()))
        return self.table[start : start + like.numel()].view(like.shape)
