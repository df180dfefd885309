"""The clock by which trainings are compared."""

import time

import torch


def seconds(device: torch.device) -> float:
    """Return the time of the work that this process has done, from some point on.

    On a CPU it is processor time, summed over threads. It stands still while other programs have the cores,
    so that a busy machine does not make a method look expensive. On a GPU it is wall time, read once the GPU
    has done what is queued.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()
