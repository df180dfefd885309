"""Statistics over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """Mean over ``n`` seeds; ``interval`` is the half-width of its 95 % confidence interval, NaN
    for n < 2, where nothing is known of the spread."""

    n: int
    mean: float
    std: float
    interval: float


def summarise(values: Sequence[float]) -> Summary:
    """Mean and Student's t interval of measurements from independent seeds.

    A bootstrap of two to five seeds is far too narrow: with n = 3 its 95 % interval holds the
    true mean about three times in four. Student's t holds it 95 times in 100 for normal errors
    (``tests/test_statistics.py`` measures both).
    """
    data = np.asarray(values, dtype=float)
    n = len(data)
    if n == 0:
        return Summary(0, math.nan, math.nan, math.nan)
    if n == 1:
        return Summary(1, float(data[0]), math.nan, math.nan)
    std = float(data.std(ddof=1))
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))
    return Summary(n, float(data.mean()), std, quantile * std / math.sqrt(n))
