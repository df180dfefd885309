"""The number of torch's threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from switchbench.torch_state import TORCH_STATE


@contextmanager
def with_threads(number: int) -> Iterator[None]:
    """Use so many threads of torch during the block, and hold its state."""
    with TORCH_STATE:
        before = torch.get_num_threads()
        torch.set_num_threads(number)
        try:
            yield
        finally:
            torch.set_num_threads(before)
