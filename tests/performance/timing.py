"""Seconds of functions, and ratios of two that run in turn."""

import time
from collections.abc import Callable


def seconds(function: Callable[[], object]) -> float:
    """Return the seconds that a function takes. One that computes on a GPU must wait for it."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def ratios(above: Callable[[], object], below: Callable[[], object], pairs: int) -> list[float]:
    """Run two functions in turn and return the ratios of their seconds."""
    return [seconds(above) / seconds(below) for _ in range(pairs)]
