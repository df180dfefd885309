"""All pairs of several methods on the same seeds, where some seeds may be missing."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from switchbench.reports.statistics.paired import ALPHA, holm
from switchbench.reports.statistics.seeds import Numbers
from switchbench.reports.statistics.summary import ROUNDING


@dataclass(frozen=True)
class Pairwise:
    """Differences between all pairs. Entry (i, j) is that of method i minus method j."""

    means: Numbers
    """Mean difference over the seeds that both have; NaN without any."""
    p: Numbers
    """P-value of the two-sided paired t test, corrected over all pairs (Holm); NaN without a test."""

    @property
    def scores(self) -> Numbers:
        """Mean of each method's differences from the others: its mean, as if no seed were missing.

        Without missing seeds, methods have the order of their means. NaN for a method without any pair.
        """
        known = ~np.isnan(self.means)
        np.fill_diagonal(known, False)
        with np.errstate(invalid="ignore"):
            scores: Numbers = np.where(known, self.means, 0).sum(axis=1) / known.sum(axis=1)
        return scores

    def below(self, best: int) -> Numbers:
        """Tell which methods are below another by a corrected test."""
        lower: Numbers = (self.p[:, best] <= ALPHA) & (self.means[:, best] < 0)
        return lower


def pairwise(values: npt.ArrayLike) -> Pairwise:
    """Compare all pairs of methods.

    The best of many methods is chosen from the same data that it is tested on, so all pairs are one family:
    if only the others' differences from the best were corrected, one would be found too often.

    Args:
        values: One row per seed, one column per method; NaN where a seed is missing.

    Returns:
        The comparison.

    Example:
        >>> found = pairwise([[0.9, 0.8, np.nan], [0.92, 0.83, 0.7], [0.91, 0.81, 0.69]])
        >>> found.means[0].round(3).tolist(), int(found.scores.argmax())
        ([0.0, 0.097, 0.22], 0)
    """
    matrix = np.asarray(values, dtype=float)
    methods = matrix.shape[1]
    means, p = np.full((methods, methods), np.nan), np.full((methods, methods), np.nan)
    for first in range(methods):  # one method against all: memory grows with methods, not with their square
        differences = matrix[:, first, None] - matrix
        known = ~np.isnan(differences)
        n = known.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(known, differences, 0).sum(axis=0) / n
            squares = np.where(known, (differences - mean) ** 2, 0).sum(axis=0)
            spread = np.sqrt(squares / (n - 1))
            tested = (n > 1) & (spread >= ROUNDING)
            p[first] = np.where(tested, 2 * stdtr(n - 1, -abs(mean) / (spread / np.sqrt(n))), np.nan)
        means[first] = mean
    above = np.triu_indices(methods, 1)
    corrected = holm(p[above])
    p[above] = corrected
    p.T[above] = corrected
    return Pairwise(means, p)
