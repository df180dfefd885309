"""Memory that a training step frees stays in the process for the next step."""

import platform
import resource
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
import torch

from switchbench.cluster.allocator import freed_memory_kept

PAGE = resource.getpagesize()
ROUNDS, TENSORS, SIZE = 10, 20, 2_000_000

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the GNU C library only")


def step() -> None:
    """Allocate and free tensors as a step of a network with feature maps does."""
    tensors = [torch.ones(SIZE) for _ in range(TENSORS)]
    while tensors:
        tensors.pop()


def faults() -> int:
    """Page faults of ten steps."""
    for _ in range(3):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(ROUNDS):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def in_thread() -> list[int]:
    found: list[int] = []
    thread = Thread(target=lambda: found.append(faults()))
    thread.start()
    thread.join()
    return found


def main() -> None:
    """Print faults in this thread and in another one, and the bytes that stay after the block."""
    before = resident()
    with freed_memory_kept():
        print(faults(), *in_thread())
    print(resident() - before)


def test_a_step_fetches_no_memory_again_and_all_is_returned_at_the_end() -> None:
    """In a process of its own: other tests leave memory and settings behind."""
    command = [sys.executable, "-c", "import test_allocator; test_allocator.main()"]
    ended = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    here, elsewhere, left = map(int, ended.stdout.split())
    pages = ROUNDS * TENSORS * 4 * SIZE // PAGE
    assert here < pages / 20
    assert elsewhere < pages / 20
    assert left < TENSORS * 4 * SIZE / 4
