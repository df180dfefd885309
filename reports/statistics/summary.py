"""Statistics over seeds."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

CONFIDENCE = 0.95
ROUNDING = 1e-12
"""A standard deviation below this is that of equal numbers."""


@dataclass(frozen=True)
class Summary:
    """Statistics of measurements from independent seeds."""

    n: int
    """Number of seeds."""
    mean: float
    """NaN for n = 0."""
    std: float
    """Sample standard deviation; NaN for n < 2."""
    interval: float
    """Half-width of the 95 % confidence interval of the mean; NaN for n < 2, and without any spread, which
    says nothing about other seeds."""

    @property
    def constant(self) -> bool:
        """Whether several measurements are equal, but for rounding: tests and intervals say nothing."""
        return self.n > 1 and self.std < ROUNDING


def summarise(values: npt.ArrayLike) -> Summary:
    """Return the mean and Student's t interval of measurements from independent seeds.

    A bootstrap interval is too narrow for two to five seeds: with n = 3, a nominal 95 % interval contains the
    true mean in about three of four cases. Student's t interval contains it in 95 of 100 cases if errors are
    normal (``tests/test_statistics.py`` measures both).

    Args:
        values: One measurement per seed; may be empty.

    Returns:
        Statistics in the unit of the values.

    Example:
        >>> summary = summarise([0.90, 0.92, 0.94])
        >>> f"{summary.mean:.2f} ± {summary.interval:.4f} (n = {summary.n})"
        '0.92 ± 0.0497 (n = 3)'
        >>> summarise([0.5])
        Summary(n=1, mean=0.5, std=nan, interval=nan)
    """
    data = np.asarray(values, dtype=float)
    n = len(data)
    if n == 0:
        return Summary(0, math.nan, math.nan, math.nan)
    if n == 1:
        return Summary(1, float(data[0]), math.nan, math.nan)
    std = float(data.std(ddof=1))
    quantile = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))  # scipy.stats takes a second to import
    interval = math.nan if std < ROUNDING else quantile * std / math.sqrt(n)
    return Summary(n, float(data.mean()), std, interval)
