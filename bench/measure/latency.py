"""Measure the time of a forward pass. Theoretical costs are counted in counting.py."""

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from switchbench.errors import InputError
from switchbench.measure.csr import to_csr
from switchbench.measure.shrink import shrink
from switchbench.measure.threads import with_threads

WARM_UP, ROUNDS = 10, 50
"""Forward passes of each network that are not timed, and then those that are."""

FORMS: dict[str, Callable[[nn.Module, Tensor], nn.Module]] = {
    "dense": lambda network, image: network,
    "csr": lambda network, image: to_csr(network),
    "shrunk": shrink,
    "shrunk csr": lambda network, image: to_csr(shrink(network, image)),
}
"""Forms of a finished network: unchanged; with fully connected layers in CSR format; without dead units; and
both."""


@dataclass(frozen=True)
class Latency:
    """Measured time of one form of a network at one batch size."""

    form: str
    """A key of :data:`FORMS`."""
    batch: int
    """Images in a batch."""
    seconds: float
    """Median time of a forward pass."""
    speedup: float
    """Time of the dense form over the time of this form, measured in turns."""


def available_device(name: str) -> torch.device:
    """Return a device by name.

    Args:
        name: A device in PyTorch's notation: ``cpu``, ``cuda``, ``cuda:1``.

    Raises:
        InputError: PyTorch does not know the device, or this machine does not have it.

    Example:
        >>> available_device("cpu")
        device(type='cpu')
    """
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        if "device type at start of device string" in reason:
            reason = "should be a device of PyTorch, such as cpu, cuda or cuda:1"
        raise InputError(f"--device {name!r}: {reason}") from error


def latencies(
    network: nn.Module, images: Tensor, batches: Sequence[int], device: torch.device, threads: int = 1
) -> list[Latency]:
    """Time every form of a finished network at every batch size.

    Args:
        network: A network with plain weights. It is not changed.
        images: (n, channels, height, width); repeated if a batch is larger than n.
        batches: Batch sizes, each 1 or more.
        device: Where the copies of the network run.
        threads: Number of torch's threads on the CPU.

    Returns:
        One latency per batch size and form, in the order of ``batches`` and :data:`FORMS`.
    """
    network = copy.deepcopy(network).to(device)
    forms = {form: make(network, images[:1].to(device)) for form, make in FORMS.items()}
    measured = []
    for batch in batches:
        inputs = images[torch.arange(batch) % len(images)].to(device)
        times = seconds([*forms.values()], [inputs] * len(forms), threads)
        measured += [
            Latency(form, batch, median, times[0] / median) for form, median in zip(forms, times, strict=True)
        ]
    return measured


@torch.no_grad()
def seconds(networks: Sequence[nn.Module], inputs: Sequence[Tensor], threads: int = 1) -> list[float]:
    """Measure the median time of a forward pass of each network, in eval mode.

    The networks take turns, so that other load on the machine affects all of them alike. The first
    :data:`WARM_UP` rounds are not timed. On a GPU, the clock stops when the pass is complete.

    Args:
        networks: What is timed.
        inputs: The inputs of each network, on its device.
        threads: Number of torch's threads on the CPU; restored afterwards.

    Returns:
        Seconds, one number per network.
    """
    taken: list[list[float]] = [[] for _ in networks]
    with with_threads(threads):
        for turn in range(WARM_UP + ROUNDS):
            for network, images, times in zip(networks, inputs, taken, strict=True):
                _wait(images)
                started = time.perf_counter()
                network.eval()(images)
                _wait(images)
                if turn >= WARM_UP:
                    times.append(time.perf_counter() - started)
    return [statistics.median(times) for times in taken]


def _wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
