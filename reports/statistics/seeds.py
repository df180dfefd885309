"""Pair and align values by seed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]


def common(one: Numbers, other: Numbers) -> tuple[Any, Any]:
    """Return the places of the seeds that two ascending arrays of seeds share.

    Example:
        >>> ours, theirs = common(np.array([0, 1, 2]), np.array([1, 2, 3]))
        >>> ours.tolist(), theirs.tolist()
        ([1, 2], [0, 1])
    """
    if np.array_equal(one, other):  # as they mostly are: then nothing is sorted
        return slice(None), slice(None)
    _, ours, theirs = np.intersect1d(one, other, return_indices=True)
    return ours, theirs


def by_seed(measured: Sequence[tuple[Numbers, Numbers]]) -> Numbers:
    """Return values as a matrix of seeds (rows) and methods (columns); NaN where a seed is missing.

    Args:
        measured: Seeds, ascending, and values of each method.
    """
    seeds = np.unique(np.concatenate([own for own, _ in measured])) if measured else np.empty(0)
    matrix = np.full((len(seeds), len(measured)), np.nan)
    for column, (own, values) in enumerate(measured):
        matrix[np.searchsorted(seeds, own), column] = values
    return matrix
