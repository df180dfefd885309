"""The size of this machine and of a cluster's nodes, and whether a trial fits."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from joblib import cpu_count

from switchbench.errors import InputError

if TYPE_CHECKING:
    from switchbench.spec.comparison import Resources  # imports torch, which `switchbench wait` does not need

MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says how much memory a container may use."""


def this_machine() -> dict[str, float]:
    """Return the cores and the bytes of memory that this process may use, by Ray's names of resources."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in MEMORY_LIMITS:
        with suppress(OSError, ValueError):  # "max": no limit
            memory = min(memory, int(file.read_text()))
    return {"CPU": cpu_count(), "memory": memory}


def check_jobs(jobs: int | None) -> None:
    """Raise InputError if a number of trials at the same time is none."""
    if jobs is not None and jobs < 0:
        raise InputError(f"--jobs {jobs}: should be 0 or more")


def check_size(resources: "Resources", nodes: Sequence[Mapping[str, float]]) -> None:
    """Raise InputError if no node is large enough for a trial.

    Args:
        resources: What a trial needs.
        nodes: Amounts of resources, by Ray's names.
    """
    if not any(fits(resources, node) for node in nodes):
        sizes = "; ".join(map(in_words, nodes))
        raise InputError(
            f"resources: a trial needs {needed(resources)}, but no node has them (nodes: {sizes})"
        )


def fits(resources: "Resources", node: Mapping[str, float]) -> bool:
    """Return whether a node, or what is free of it, is large enough for a trial. Amounts are by Ray's names.

    Example:
        >>> from switchbench.spec.comparison import Resources
        >>> fits(Resources(cpus=2), {"CPU": 2}), fits(Resources(cpus=2), {"CPU": 1})
        (True, False)
    """
    return all(node.get(name, 0) >= amount for name, amount in _amounts(resources).items())


def capacity(resources: "Resources", available: Mapping[str, float]) -> int:
    """Return how many trials can run at the same time; at least one.

    Args:
        resources: What a trial needs.
        available: Amounts of resources, by Ray's names.

    Example:
        >>> from switchbench.spec.comparison import Resources
        >>> capacity(Resources(cpus=2), {"CPU": 9, "memory": 4e9})
        4
        >>> capacity(Resources(cpus=2, memory="1.5GB"), {"CPU": 9, "memory": 4e9})
        2
    """
    limits = [available.get(name, 0) / need for name, need in _amounts(resources).items() if need]
    return max(1, int(min(limits)))


def needed(resources: "Resources") -> str:
    """Return what a trial needs as text."""
    return in_words(_amounts(resources))


def _amounts(resources: "Resources") -> dict[str, float]:
    return {"CPU": resources.cpus, "GPU": resources.gpus, "memory": resources.memory or 0}


def in_words(amounts: Mapping[str, float]) -> str:
    """Return amounts of resources, by Ray's names, as text.

    >>> in_words({"CPU": 4, "GPU": 0.5, "memory": 2e9})
    '4 CPUs, 0.5 GPUs, 2.0 GB'
    >>> in_words({"CPU": 1})
    '1 CPU, 0 GPUs'
    """
    memory = f", {amounts['memory'] / 1e9:.1f} GB" if amounts.get("memory") else ""
    named = ((amounts.get(name, 0), name) for name in ("CPU", "GPU"))
    return ", ".join(f"{number:g} {name}{'' if number == 1 else 's'}" for number, name in named) + memory
