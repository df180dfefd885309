"""Schedules: how density moves over training, and when a method acts."""


def cubic(fraction: float, begin: float, end: float, final: float) -> float:
    """Density at ``fraction`` of training, from 1 at ``begin`` to ``final`` at ``end``.

    Zhu & Gupta 2017, *To prune, or not to prune*: final + (1 − final)(1 − t)³, for t the share
    of the window that has passed. ``begin == end`` is one-shot.
    """
    if fraction >= end:
        return final
    if fraction <= begin:
        return 1.0
    return final + (1.0 - final) * (1.0 - (fraction - begin) / (end - begin)) ** 3


def due(step: int, steps: int, begin: float, end: float, times: int) -> bool:
    """Whether one of ``times`` events, spread evenly over (begin, end] of training, falls on
    this step (1 to ``steps``). The last one falls on the first step at or past ``end``, so a
    schedule always arrives; a window of no length holds one event."""
    return _events(step, steps, begin, end, times) > _events(step - 1, steps, begin, end, times)


def _events(step: int, steps: int, begin: float, end: float, times: int) -> int:
    fraction = step / steps
    if fraction >= end:
        return times
    if fraction <= begin:
        return 0
    return int(times * (fraction - begin) / (end - begin))
