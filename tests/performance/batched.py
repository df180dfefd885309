"""Several seeds of one network trained together in one process, against one after the other: bare PyTorch loops
with the same steps, on random images of the data sets' shapes, one thread. *Stacked* multiplies stacked weights
by `torch.baddbmm`, which is the most that batching can win: no method acts, nothing is evaluated. *vmap* is
`torch.func.vmap` over stacked modules, which would serve any network. The numbers are throughput, together
over alone: more than 1 is a gain. switchbench does not train trials together: `vmap`, which would serve every
network and method, gains nothing on a CPU, and stacked weights, for which each method would have to be written
again, reach the 1.5 that would be worth it only for networks that train in seconds anyway. Two cores serve two
processes either way.
"""

import math
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F

from performance.measurement import Measurement

TITLE = "Trials that train together"
SEEDS, STEPS = 4, 60
CASES = {
    "digits, 64-32-16-10": ((64, 32, 16, 10), 64),
    "digits, 64-300-100-10": ((64, 300, 100, 10), 64),
    "fashion-mnist, 784-300-100-10": ((784, 300, 100, 10), 128),
    "fashion-mnist, 784-1000-1000-10": ((784, 1000, 1000, 10), 128),
}
Step = Callable[[Tensor, Tensor], None]


def measure(pairs: int) -> Iterator[Measurement]:
    """Yield the throughput of training together over that of training alone."""
    torch.set_num_threads(1)
    for name, (widths, batch) in CASES.items():
        images, labels = torch.randn(SEEDS, batch, widths[0]), torch.randint(0, 10, (SEEDS, batch))
        alone = [_alone(widths) for _ in range(SEEDS)]
        ways = {"stacked": _stacked(widths), "vmap": _vmapped(widths)}
        gains: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(pairs + 1):  # the first one warms up
            for way, step in ways.items():
                together = _seconds(step, images, labels)
                seconds = [_seconds(*turn) for turn in zip(alone, images, labels, strict=True)]
                gains[way].append(sum(seconds) / together)
        for way, values in gains.items():
            yield Measurement(f"{name}, {SEEDS} seeds, {way}", values[1:])


def _seconds(step: Step, images: Tensor, labels: Tensor) -> float:
    started = time.process_time()
    for _ in range(STEPS):
        step(images, labels)
    return time.process_time() - started


def _network(widths: tuple[int, ...]) -> nn.Sequential:
    layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def _alone(widths: tuple[int, ...]) -> Step:
    network = _network(widths)
    optimiser = torch.optim.Adam(network.parameters(), fused=True)

    def step(images: Tensor, labels: Tensor) -> None:
        F.cross_entropy(network(images), labels).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def _stacked(widths: tuple[int, ...]) -> Step:
    weights = [
        nn.Parameter(torch.randn(SEEDS, inputs, outputs) / math.sqrt(inputs))
        for inputs, outputs in pairwise(widths)
    ]
    biases = [nn.Parameter(torch.zeros(SEEDS, 1, outputs)) for outputs in widths[1:]]
    optimiser = torch.optim.Adam([*weights, *biases], fused=True)

    def step(images: Tensor, labels: Tensor) -> None:
        features = images
        for place, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            features = torch.baddbmm(bias, features.relu() if place else features, weight)
        loss = F.cross_entropy(features.flatten(0, 1), labels.flatten(), reduction="sum") / labels.shape[1]
        loss.backward()  # the gradient of each seed's mean
        optimiser.step()
        optimiser.zero_grad()

    return step


def _vmapped(widths: tuple[int, ...]) -> Step:
    networks = [_network(widths) for _ in range(SEEDS)]
    parameters, buffers = stack_module_state(networks)
    shape = networks[0].to("meta")
    optimiser = torch.optim.Adam(parameters.values(), fused=True)

    def loss(state: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(shape, (state, buffers), (images,)), labels)

    gradients = vmap(grad(loss))

    def step(images: Tensor, labels: Tensor) -> None:
        found = gradients({name: each.detach() for name, each in parameters.items()}, images, labels)
        for name, parameter in parameters.items():
            parameter.grad = found[name]
        optimiser.step()

    return step
