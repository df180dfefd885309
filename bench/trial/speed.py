"""Measure how fast this machine trains, for the time that a dry run announces."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier

import torch

from switchbench.datasets import Batch, Facts, Images, Split
from switchbench.measure.threads import with_threads
from switchbench.spec.components import NetworkChoice
from switchbench.spec.training import TrainingConfig
from switchbench.spec.trial import TrialConfig
from switchbench.trial.flops import FlopCounter
from switchbench.trial.optimisers import Optimisers
from switchbench.trial.step import forward_function, task_loss

SECONDS = 0.2
"""How long steps are taken, after a first one; at least one is."""
STEP_FLOPS = 2e10
"""FLOPs of a step beyond which it takes fewer images than the training does."""


def flops_per_second(config: TrialConfig, at_once: int = 1, threads: int = 1, device: str = "cpu") -> float:
    """Measure the speed of plain training steps on random images.

    Args:
        config: A trial: its network, the shape of its images, and its training count.
        at_once: Number of trials that train at the same time, and so share caches and memory.
        threads: Number of torch's threads for each of them.
        device: What they train on.

    Returns:
        FLOPs per second of one of them; NaN if the network cannot take a step.

    Raises:
        MissingData: The size of the data set is not known, and its files are not on this machine.
    """
    training = config.training.model_copy(update={"compile": False})
    network = config.network.model_dump_json()
    return _measured(network, training.model_dump_json(), config.dataset.facts(), at_once, threads, device)


@cache
def _measured(network: str, training: str, facts: Facts, at_once: int, threads: int, device: str) -> float:
    start = Barrier(at_once)

    def run(_: int) -> float:
        try:
            return _steps(network, training, facts, device, start)
        except Exception:  # a network may raise anything
            start.abort()
            return math.nan

    with with_threads(threads), torch.random.fork_rng(devices=[]), ThreadPoolExecutor(at_once) as pool:
        speeds = [*pool.map(run, range(at_once))]
    return sum(speeds) / at_once


def _steps(network_json: str, training_json: str, facts: Facts, device: str, start: Barrier) -> float:
    """Take steps while others do so too. Return FLOPs per second."""
    training = TrainingConfig.model_validate_json(training_json)
    network = NetworkChoice.model_validate_json(network_json).build(facts.shape, facts.classes).to(device)
    network.train()
    with FlopCounter() as counter, torch.no_grad():
        network(torch.zeros((2, *facts.shape), device=device))
    size = int(STEP_FLOPS / max(1.0, 3 * counter.flops / 2))
    size = max(2, min(training.batch_size, size))
    images = Images(
        torch.zeros((size, *facts.shape), dtype=torch.uint8, device=device),
        torch.zeros(size, dtype=torch.int64, device=device),
    )
    one = torch.ones((facts.shape[0], 1, 1), device=device)
    split, batch = Split(images, None, one, one), Batch(torch.arange(size, device=device))
    forward = forward_function(network, training)
    optimisers = Optimisers(training, {"all": [*network.parameters()]}, [])

    def step() -> None:
        task_loss(forward, split, batch, training).backward()
        optimisers.step(0.0)
        if device != "cpu":
            torch.cuda.synchronize()

    with FlopCounter() as counter:
        step()
    step()
    start.wait()
    taken, began = 0, time.monotonic()
    while not taken or time.monotonic() - began < SECONDS:
        step()
        taken += 1
    return float(counter.flops * taken / (time.monotonic() - began))
