"""Independent random streams, one per (seed, purpose).

Purposes: ``split`` (validation images), ``initialisation`` (first weights), ``order`` (batches),
``augmentation`` (crops and flips), ``method`` (whatever a method draws), ``fresh/…`` (batches that a method
asks for), ``training`` (torch's global generator while training).
A method can therefore draw as much as it likes without changing the batches that it sees.
"""

import hashlib

import torch


def derive(seed: int, purpose: str) -> int:
    """Derive a seed that depends on both arguments and on nothing else.

    Args:
        seed: The trial's.
        purpose: What is drawn, for instance ``order``.

    Returns:
        A 63-bit seed.

    >>> derive(0, "order") == derive(0, "order"), derive(0, "order") == derive(0, "method")
    (True, False)
    """
    digest = hashlib.sha256(f"switchbench/{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, purpose: str) -> torch.Generator:
    """A fresh CPU generator for one purpose."""
    return torch.Generator().manual_seed(derive(seed, purpose))
