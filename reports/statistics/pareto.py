"""Pareto fronts of many points at once."""

import numpy as np
import numpy.typing as npt

from switchbench.reports.statistics.seeds import Numbers


def on_front(costs: Numbers, gains: Numbers) -> npt.NDArray[np.bool_]:
    """Tell which points no other dominates: none costs less or as much, gains as much or more, and differs.

    Args:
        costs: Costs, of any leading shape; points along the last axis. NaN: the point is never on the front.
        gains: Gains, of the same shape.

    Returns:
        A boolean array of the same shape.

    Example:
        >>> on_front(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.4, 0.9])).tolist()
        [True, False, True]
    """
    costs, gains = np.broadcast_arrays(np.asarray(costs, float), np.asarray(gains, float))
    unknown = np.isnan(costs) | np.isnan(gains)
    costs, gains = np.where(unknown, np.inf, costs), np.where(unknown, -np.inf, gains)
    order = np.lexsort((-gains, costs), axis=-1)  # cheapest first, of equal costs the best first
    cost, gain = np.take_along_axis(costs, order, -1), np.take_along_axis(gains, order, -1)
    highest = np.maximum.accumulate(gain, axis=-1)
    before = np.concatenate([np.full_like(highest[..., :1], -np.inf), highest[..., :-1]], axis=-1)
    # A point as cheap and as good as the one before it shares its place: look at the first of each run.
    first = np.ones_like(gain, dtype=bool)
    first[..., 1:] = (cost[..., 1:] != cost[..., :-1]) | (gain[..., 1:] != gain[..., :-1])
    places = np.maximum.accumulate(np.where(first, np.arange(gain.shape[-1]), 0), axis=-1)
    found = np.take_along_axis(gain > before, places, -1)
    front = np.empty_like(found)
    np.put_along_axis(front, order, found, -1)
    kept: npt.NDArray[np.bool_] = front & ~unknown
    return kept
