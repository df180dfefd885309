"""Measured time of a forward pass, apart from what is counted."""

import statistics
import time

import torch
from torch import Tensor, nn

WARM_UP, REPEATS = 10, 50


@torch.no_grad()
def seconds(network: nn.Module, images: Tensor, repeats: int = REPEATS) -> float:
    """Median seconds of a forward pass in eval mode on a batch of images, after some that are not timed; on
    a GPU each is waited for."""
    network.eval()
    taken = []
    for number in range(WARM_UP + repeats):
        started = time.perf_counter()
        network(images)
        if images.is_cuda:
            torch.cuda.synchronize(images.device)
        if number >= WARM_UP:
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)
