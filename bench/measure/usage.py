"""Memory and energy that a trial uses, where the machine can be asked for them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

PROCESS = Path("/proc/self")
PEAK = "VmHWM:"
"""Linux's name of the largest resident memory of a process."""
RESET_PEAK = "5"
"""What resets it, written to clear_refs."""


@dataclass
class Usage:
    """What a trial took. The fields are columns of its row."""

    seconds: float | None = None
    peak_memory: int | None = None
    peak_gpu_memory: int | None = None
    energy: float | None = None


@contextmanager
def measured(device: torch.device, alone: bool) -> Iterator[Usage]:
    """Measure the block.

    Args:
        device: The trial's device.
        alone: Whether nothing else uses the device. If not, its energy is not the trial's.

    Yields:
        Filled when the block ends, also by an exception.
    """
    usage, started, known = Usage(), time.monotonic(), False
    with suppress(OSError):  # not Linux, or not allowed: the peak would be that of an earlier trial
        (PROCESS / "clear_refs").write_text(RESET_PEAK)
        known = True
    on_gpu = device.type == "cuda" and torch.cuda.is_available()  # if it is not, the trial says so
    meter = _energy_meter(device) if on_gpu and alone else _no_energy
    before = meter()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    try:
        yield usage
    finally:
        usage.seconds = time.monotonic() - started
        usage.peak_memory = _peak_memory() if known else None
        if on_gpu:
            usage.peak_gpu_memory = torch.cuda.max_memory_allocated(device)
        after = meter()
        usage.energy = after - before if after is not None and before is not None else None


def _peak_memory() -> int | None:
    try:
        lines = (PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(PEAK)), None)


def device_is_sound() -> bool:
    """Return whether the GPU of this process still works. After some errors nothing works there any more."""
    if not torch.cuda.is_initialized():
        return True
    try:
        torch.cuda.synchronize()
    except Exception:  # CUDA raises its own types
        return False
    return True


def _no_energy() -> float | None:
    """Return None: there is nothing that could be asked."""
    return None


def _energy_meter(device: torch.device) -> Callable[[], float | None]:
    """Return a function that returns the joules that a GPU has used so far; None if it cannot be asked."""
    try:
        import pynvml

        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(device).uuid
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)  # older GPUs do not know it
    except Exception:  # no such library, no driver, or a GPU of another maker
        return _no_energy

    def joules() -> float | None:
        with suppress(Exception):  # a lost GPU must not cost the trial's result
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1_000
        return None

    return joules
