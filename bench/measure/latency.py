"""Measured time of a forward pass, apart from what is counted."""

import copy
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from switchbench.errors import InputError
from switchbench.measure.csr import to_csr
from switchbench.measure.shrink import shrink

WARM_UP, ROUNDS = 10, 50

FORMS: dict[str, Callable[[nn.Module, Tensor], nn.Module]] = {
    "dense": lambda network, image: network,
    "csr": lambda network, image: to_csr(network),
    "shrunk": shrink,
    "shrunk csr": lambda network, image: to_csr(shrink(network, image)),
}
"""Ways to run a finished network: as it was measured; fully connected layers in compressed sparse rows;
without dead units; and both."""


@dataclass(frozen=True)
class Latency:
    """Median seconds of a forward pass of one form of a network on one batch."""

    form: str
    batch: int
    seconds: float
    speedup: float
    """Time of the dense form, taken in turn with this one, over this one's."""


def place(device: str) -> torch.device:
    """A device by name. Raises InputError if it is none, or is not here."""
    try:
        torch.zeros(1, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {device!r}: {reason}") from error


def latencies(
    network: nn.Module, images: Tensor, batches: Sequence[int], device: torch.device, threads: int = 1
) -> list[Latency]:
    """Time every form of a finished network at every batch size; ``images`` (n, channels, height, width)
    are repeated where a batch holds more of them."""
    network = copy.deepcopy(network).to(device)
    forms = {form: make(network, images[:1].to(device)) for form, make in FORMS.items()}
    found = []
    for batch in batches:
        fed = images[torch.arange(batch) % len(images)].to(device)
        taken = seconds([*forms.values()], [fed] * len(forms), threads)
        found += [
            Latency(form, batch, spent, taken[0] / spent) for form, spent in zip(forms, taken, strict=True)
        ]
    return found


@torch.no_grad()
def seconds(networks: Sequence[nn.Module], inputs: Sequence[Tensor], threads: int = 1) -> list[float]:
    """Median seconds of a forward pass of each network in eval mode on its own inputs. They take turns, so
    that what else the machine does meets all of them; the first rounds are not timed; on a GPU each pass is
    waited for."""
    taken: list[list[float]] = [[] for _ in networks]
    with _threads(threads):
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


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
