"""Settings of the C library's allocator during a trial.

A training step allocates and frees the same large tensors as the step before. The GNU C library returns freed
memory of their size to the system, so that each step fetches its pages again, one fault per 4 KiB. A worker
keeps the memory while a trial runs. Results do not depend on it.
"""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Numbers of options of ``mallopt``."""
NEVER = -1
HEAP_BYTES = 2**26
"""Largest heap of a thread, in the library. Empty heaps are kept if the padding is as large."""


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory in this process for the block, and return it to the system at the end.

    Only for a process of our own: the library does not tell its settings, so they stay after the block.
    Other C libraries have other allocators: there the block does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    library.mallopt(MMAP_MAX, 0)  # mapped blocks are unmapped when they are freed
    library.mallopt(TRIM_THRESHOLD, NEVER)
    library.mallopt(TOP_PAD, HEAP_BYTES)
    try:
        yield
    finally:
        library.malloc_trim(0)
