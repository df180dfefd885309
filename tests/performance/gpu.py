"""Trials of the network 784-300-100-10 on Fashion-MNIST on one GPU. The first rows divide the time of a whole dense
trial by that of a plain PyTorch loop with the same network, batches, optimiser, schedule and steps, and by that of
the same trial with `compile: reduce-overhead`, whose first step also compiles. `METHOD / plain` is the training time
of a method over that of as many plain steps, measured within the same trial. The last rows compare trials that share
the GPU, each in a process of its own, with one trial alone: trials per second.
"""

import multiprocessing
import time
from collections.abc import Iterator
from typing import Any

import torch

from performance.measurement import Measurement
from performance.timing import ratios
from performance.training import bare_loop
from performance.trials import amortised, splits, trial
from switchbench.cluster.allocator import freed_memory_kept

TITLE = "On a GPU"
EPOCHS = 10
DEVICE = "cuda"
METHODS = ("magnitude", "rigl", "l1", "str", "switcher")
SHARING = (2, 4, 8)
"""Numbers of trials that share the GPU."""


def measure(pairs: int) -> Iterator[Measurement]:
    """Yield the measurements; none without a GPU."""
    if not torch.cuda.is_available():
        return
    data = splits(DEVICE)
    bare_loop(data, 1)  # warm-up
    _trial(epochs=1)
    values = ratios(_trial, lambda: bare_loop(data, EPOCHS), pairs)
    yield Measurement("dense trial / bare loop", values, limit="≤ 1.1")
    values = ratios(_trial, lambda: _trial(compile="reduce-overhead"), pairs)
    yield Measurement("dense trial / the same with compile: reduce-overhead", values)
    for method in METHODS:
        values = [amortised(method, EPOCHS, DEVICE) for _ in range(pairs)]
        yield Measurement(f"{method} / plain steps", values)
    for number in SHARING:
        gains = [number * _seconds_of(1) / _seconds_of(number) for _ in range(pairs)]
        yield Measurement(f"trials per second, {number} on one GPU / one alone", gains)


def _trial(epochs: int = EPOCHS, device: str = DEVICE, **training: Any) -> None:
    """Run a whole dense trial."""
    trial("dense", epochs, device, **training)


def _seconds_of(number: int) -> float:
    """Return the seconds that so many trials take at once, each in a process that is warm."""
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(number + 1, timeout=600)
    workers = [context.Process(target=_work, args=(together, DEVICE)) for _ in range(number)]
    for worker in workers:
        worker.start()
    together.wait()  # all are warm
    started = time.perf_counter()
    together.wait()  # all are done
    seconds = time.perf_counter() - started
    for worker in workers:
        worker.join()
    return seconds


def _work(together: Any, device: str) -> None:
    torch.set_num_threads(1)
    with freed_memory_kept():
        _trial(1, device)
        together.wait()
        _trial(device=device)
        together.wait()
