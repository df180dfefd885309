"""Noise that is cheap to draw: a table made once, read from a random place each time."""

from collections.abc import Callable

import torch
from torch import Tensor

PLACES = 1 << 20
"""Places in a table from which it can be read."""


class NoiseTable:
    """Independent numbers of one distribution.

    Fresh noise for every weight would cost as much as half a dense step on a CPU (the trick is
    that of Salimans et al. 2017, *Evolution Strategies as a Scalable Alternative*).
    """

    def __init__(self, fill: Callable[[Tensor], Tensor], device: torch.device, size: int = PLACES) -> None:
        """``fill`` fills a tensor with fresh numbers in place, from torch's global generator; at most
        ``size`` numbers are drawn from the table at a time."""
        self.fill = fill
        self.size = size
        self.table = fill(torch.empty(size + PLACES, device=device))

    def draw(self, like: Tensor) -> Tensor:
        """Noise of a tensor's shape, from a place that torch's global generator chooses; fresh noise
        where more is asked for than ``size``."""
        if like.numel() > self.size:
            return self.fill(torch.empty_like(like))
        start = int(torch.randint(PLACES, ()))
        return self.table[start : start + like.numel()].view(like.shape)
