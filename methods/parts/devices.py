"""Work with a GPU without waiting for it.

A GPU runs behind the program, which queues work for it. Whoever asks for a value that the GPU computes waits
until the queue is empty. No step of a training does so; ``tests/test_synchronisation.py`` checks it.
"""

import torch
from torch import Tensor


def int_if_known(scalar: int | Tensor) -> int | Tensor:
    """Return the value of a number or of a scalar on the CPU; return the tensor itself if a GPU computes it.

    >>> int_if_known(torch.tensor([0, 1]).count_nonzero())
    1
    """
    return scalar if isinstance(scalar, Tensor) and scalar.device.type != "cpu" else int(scalar)


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device. A copy from the CPU to a GPU is queued behind the work that the GPU has."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type != "cpu")
