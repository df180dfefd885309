"""Tests of differences, paired by seed and corrected over a family: better, worse, equal or undecided."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import nctdtr, stdtr, stdtrit

from switchbench.reports.statistics.margin import MARGIN
from switchbench.reports.statistics.seeds import Numbers
from switchbench.reports.statistics.summary import Summary, summarise

ALPHA = 0.05
"""Family-wise error rate of verdicts."""
POWER = 0.8
"""Probability of a verdict that the suggested number of seeds has."""
MOST_SEEDS = 1_000
"""No larger number of seeds is suggested."""


class Verdict(StrEnum):
    """What the data say of a difference."""

    ABOVE = "above"
    BELOW = "below"
    EQUAL = "equal to"
    """Not different, and the difference is smaller than the margin."""
    UNDECIDED = "undecided against"
    ONE_SEED = "one seed, no verdict against"
    IDENTICAL = "the same on all seeds as"
    """Every seed has the same result, which says nothing about other seeds."""
    NO_SPREAD = "no spread over seeds, no verdict against"
    """All differences are the same number, which says nothing about other seeds."""
    UNMEASURED = "not measured with"


@dataclass(frozen=True)
class Difference:
    """A paired difference, its tests, and what follows."""

    summary: Summary
    """Of the differences, as shares."""
    p: float
    """P-value of the two-sided paired t test of no difference; NaN without a test."""
    p_corrected: float
    """The same, corrected for the family (Holm 1979)."""
    p_equal: float
    """P-value of the equivalence test: two one-sided t tests against the margin (Schuirmann 1987)."""
    p_equal_corrected: float
    """The same, corrected for the family."""
    margin: float
    """The margin, as a share."""
    level: float
    """Error rate of one test that the first step of Holm's correction asks for."""

    @property
    def within_margin(self) -> bool:
        """Whether the equivalence test says that the difference is smaller than the margin."""
        return self.p_equal_corrected <= ALPHA

    @property
    def verdict(self) -> Verdict:
        """What the tests say."""
        if not self.summary.n:
            return Verdict.UNMEASURED
        if self.summary.n == 1:
            return Verdict.ONE_SEED
        if self.summary.constant:
            return Verdict.NO_SPREAD if self.summary.mean else Verdict.IDENTICAL
        if self.p_corrected <= ALPHA:
            return Verdict.ABOVE if self.summary.mean > 0 else Verdict.BELOW
        return Verdict.EQUAL if self.within_margin else Verdict.UNDECIDED

    @cached_property
    def more_seeds(self) -> int | None:
        """How many more seeds would decide it with a probability of :data:`POWER`.

        The measured mean and spread count as the true ones. None if the difference is decided, or if
        :data:`MOST_SEEDS` would not do.
        """
        undecided = self.verdict == Verdict.UNDECIDED
        return _more_seeds(self.summary, self.margin, self.level) if undecided else None


def family(differences: Sequence[Sequence[float] | Numbers], margin: float = MARGIN) -> list[Difference]:
    """Test all differences of a family.

    Args:
        differences: For each comparison, the differences between two methods, one per seed, as shares.
        margin: Differences smaller than this, in shares, are equal for the user's purpose.

    Returns:
        One result per comparison. Over the family, the probability of any wrong *above* or *below* is at most
        :data:`ALPHA`, and likewise that of any wrong *equal*.

    Raises:
        ValueError: The margin is not positive.

    Example:
        >>> better, same = family([[0.02, 0.021, 0.019, 0.02], [0.001, -0.001, 0.0005, -0.0005]])
        >>> str(better.verdict), str(same.verdict)
        ('above', 'equal to')
    """
    if not margin > 0:
        raise ValueError(f"margin {margin} should be positive")
    summaries = [summarise(each) for each in differences]
    p = np.array([_p_different(each) for each in summaries])
    p_equal = np.array([_p_equal(each, margin) for each in summaries])
    level = ALPHA / max(int((~np.isnan(p)).sum()), 1)
    columns = (each.tolist() for each in (p, holm(p), p_equal, holm(p_equal)))
    return [
        Difference(summary, one, corrected, equal, equal_corrected, margin, level)
        for summary, one, corrected, equal, equal_corrected in zip(summaries, *columns, strict=True)
    ]


def holm(p_values: npt.ArrayLike) -> Numbers:
    """Correct p-values for the number of tests (Holm 1979, A simple sequentially rejective procedure).

    Args:
        p_values: P-values of a family; NaN where there was no test, which does not count.

    Returns:
        Corrected p-values, at most 1, NaN at the same places.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
        [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, dtype=float)
    corrected = given.copy()
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1)
    return corrected


def _standard_error(summary: Summary) -> float:
    """Return the standard error of the mean; NaN where there is nothing to test."""
    return math.nan if summary.n < 2 or summary.constant else summary.std / math.sqrt(summary.n)


def _p_different(summary: Summary) -> float:
    error = _standard_error(summary)
    return 2 * float(stdtr(summary.n - 1, -abs(summary.mean) / error)) if error > 0 else math.nan


def _p_equal(summary: Summary, margin: float) -> float:
    error = _standard_error(summary)
    return float(stdtr(summary.n - 1, (abs(summary.mean) - margin) / error)) if error > 0 else math.nan


def _more_seeds(summary: Summary, margin: float, level: float) -> int | None:
    """Return how many more seeds give either test the power, at a level that is corrected for the family."""
    seeds = np.arange(summary.n + 1, MOST_SEEDS + 1)
    freedom, errors = seeds - 1, summary.std / np.sqrt(seeds)
    mean = abs(summary.mean)
    two_sided, one_sided = stdtrit(freedom, 1 - level / 2), stdtrit(freedom, 1 - level)
    different = 1 - nctdtr(freedom, mean / errors, two_sided)
    # Both one-sided tests reject (Phillips 1990, approximated by two non-central t distributions).
    equal = nctdtr(freedom, (mean - margin) / errors, -one_sided) - nctdtr(
        freedom, (mean + margin) / errors, one_sided
    )
    enough = np.flatnonzero(np.maximum(np.nan_to_num(different), np.nan_to_num(equal)) >= POWER)
    return int(seeds[enough[0]]) - summary.n if len(enough) else None
