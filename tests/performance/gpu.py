"""Trials of the network 784-300-100-10 on Fashion-MNIST on one GPU. The first rows divide the time of a whole dense
trial by that of a plain PyTorch loop with the same network, batches, optimiser, schedule and steps, and by that of
the same trial with `compile: reduce-overhead`, whose first step also compiles. `METHOD / plain` is the training time
of a method over that of as many plain steps, measured within the same trial. The last rows compare trials that share
the GPU, each in a process of its own, with one trial alone: trials per second.
"""

import math
import multiprocessing
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from performance.measurement import Measurement
from switchbench import datasets
from switchbench.spec.trial import TrialConfig
from switchbench.trial import seeds
from switchbench.trial.run import run_trial

TITLE = "On a GPU"
DATASET, BATCH, LR, EPOCHS = "fashion-mnist", 128, 1e-3, 10
DEVICE = torch.device("cuda")
METHODS = ("magnitude", "rigl", "l1", "str", "switcher")
SHARING = (2, 4, 8)
"""Numbers of trials that share the GPU."""


def measure(pairs: int) -> Iterator[Measurement]:
    """Yield the measurements; none without a GPU."""
    if not torch.cuda.is_available():
        return
    _loop_seconds(epochs=1)  # warm-up
    _trial(epochs=1)
    ratios = [_trial()[0] / _loop_seconds() for _ in range(pairs)]
    yield Measurement("dense trial / bare loop", ratios, limit="≤ 1.1")
    ratios = [_trial()[0] / _trial(compile="reduce-overhead")[0] for _ in range(pairs)]
    yield Measurement("dense trial / the same with compile: reduce-overhead", ratios)
    for method in METHODS:
        yield Measurement(f"{method} / plain", [_trial(method)[1] for _ in range(pairs)])
    alone = [_seconds_of(1) for _ in range(pairs)]
    for number in SHARING:
        gains = [number * one / _seconds_of(number) for one in alone]
        yield Measurement(f"trials per second, {number} on one GPU / one alone", gains)


def _trial(
    method: str = "dense", epochs: int = EPOCHS, device: str = str(DEVICE), **training: Any
) -> tuple[float, float]:
    """Return the seconds of a trial, and its training time over that of as many plain steps."""
    config = TrialConfig.of(
        network="lenet-300-100",
        dataset=DATASET,
        method=method,
        density=None if method in ("dense", "str") else 0.05,
        training={"epochs": epochs, "batch_size": BATCH, "lr": LR} | training,
    )
    started = time.perf_counter()
    row = run_trial(config, device).row
    seconds = time.perf_counter() - started
    return seconds, row["train_seconds"] / (row["train_seconds"] - row["method_seconds"])


def _loop_seconds(epochs: int = EPOCHS) -> float:
    """Return the seconds of a loop as a researcher would write it."""
    splits = datasets.split(datasets.load(DATASET, device=DEVICE), 0.1, seeds.generator(0, "split"))
    images, labels = splits.train.batch(slice(None))
    held_out = [split.batch(slice(None)) for split in (splits.validation, splits.test)]
    torch.cuda.synchronize(DEVICE)
    started = time.perf_counter()
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)
    ).to(DEVICE)
    optimiser = torch.optim.Adam(network.parameters(), lr=LR, fused=True)
    steps = epochs * math.ceil(len(labels) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(epochs):
        for index in torch.randperm(len(labels), device=DEVICE).split(BATCH):
            optimiser.zero_grad()
            F.cross_entropy(network(images[index]), labels[index]).backward()
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            float((network(held_out[0][0]).argmax(1) == held_out[0][1]).float().mean())
    with torch.no_grad():
        float((network(held_out[1][0]).argmax(1) == held_out[1][1]).float().mean())
    return time.perf_counter() - started


def _seconds_of(number: int) -> float:
    """Return the seconds that so many trials take at once, each in a process that is warm."""
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(number + 1, timeout=600)
    workers = [context.Process(target=_work, args=(together, str(DEVICE))) for _ in range(number)]
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
    _trial(epochs=1, device=device)
    together.wait()
    _trial(device=device)
    together.wait()
