"""Tests of paired differences: against scipy's, by published examples, and by how often they are wrong."""

import math

import numpy as np
import pytest
from scipy import stats

from switchbench.reports.statistics.paired import ALPHA, POWER, Verdict, family, holm
from switchbench.reports.statistics.summary import summarise

MARGIN = 0.003
DRAWS = 1_000


def test_p_values_are_those_of_scipys_t_tests() -> None:
    draw = np.random.default_rng(0)
    for n in (2, 3, 10):
        values = draw.normal(0.001, 0.002, size=n)
        (found,) = family([values], MARGIN)
        assert found.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
        below = stats.ttest_1samp(values, MARGIN, alternative="less").pvalue
        above = stats.ttest_1samp(values, -MARGIN, alternative="greater").pvalue
        assert found.p_equal == pytest.approx(max(below, above))
        assert (found.p_corrected, found.p_equal_corrected) == (found.p, found.p_equal)  # a family of one


def test_holm_by_hand() -> None:
    # R: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm") is 0.05 0.08 0.09 0.09 0.09.
    assert holm([0.05, 0.01, 0.04, 0.02, 0.03]) == pytest.approx([0.09, 0.05, 0.09, 0.08, 0.09])
    assert holm([0.9, 0.6]) == pytest.approx([1, 1])
    one, missing, other = holm([0.03, math.nan, 0.01])
    assert (one, other) == (0.03, 0.02)
    assert math.isnan(missing)
    assert holm([]).tolist() == []


def test_verdicts() -> None:
    better, worse, equal, open_, once, same, none = family(
        [
            [0.020, 0.021, 0.019, 0.020],
            [-0.020, -0.021, -0.019, -0.020],
            [0.0004, -0.0003, 0.0002, -0.0004],
            [0.02, -0.01, 0.005, 0.001],
            [0.5],
            [0.25, 0.25],
            [],
        ],
        MARGIN,
    )
    assert (better.verdict, worse.verdict) == (Verdict.ABOVE, Verdict.BELOW)
    assert (equal.verdict, open_.verdict) == (Verdict.EQUAL, Verdict.UNDECIDED)
    assert (once.verdict, same.verdict, none.verdict) == (
        Verdict.ONE_SEED,
        Verdict.NO_SPREAD,
        Verdict.UNMEASURED,
    )
    assert better.more_seeds is equal.more_seeds is once.more_seeds is None
    assert open_.more_seeds
    assert all(math.isnan(each.p) and math.isnan(each.p_equal) for each in (once, same, none))
    assert better.p_corrected == pytest.approx(min(4 * better.p, 1))  # four were tested


def test_a_small_difference_may_be_real_and_within_the_margin() -> None:
    (found,) = family([[0.0010, 0.0011, 0.0009, 0.0010]], MARGIN)
    assert found.verdict == Verdict.ABOVE
    assert found.within_margin
    (found,) = family([[0.0010, 0.0011, 0.0009, 0.0010]], 0.0005)
    assert not found.within_margin


def test_a_margin_is_positive() -> None:
    for margin in (0, -1, math.nan):
        with pytest.raises(ValueError, match="should be positive"):
            family([[0.1, 0.2]], margin)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_hold_the_truth(n: int) -> None:
    draws = np.random.default_rng(n).normal(0.7, 2.0, size=(DRAWS, n))
    summaries = [summarise(draw) for draw in draws]
    held = sum(abs(summary.mean - 0.7) <= summary.interval for summary in summaries)
    assert 0.93 <= held / DRAWS <= 0.97


def at_most(rate: float) -> float:
    """The largest number of errors in all draws that such a rate explains (in 999 of 1,000 simulations)."""
    return float(stats.binom.ppf(0.999, DRAWS, rate))


@pytest.mark.parametrize("n", [3, 5, 10])
def test_families_without_a_difference_are_seldom_called_different(n: int) -> None:
    draws = np.random.default_rng(n).normal(0, 0.01, size=(DRAWS, 12, n))
    outcomes = [[each.verdict for each in family(draw, MARGIN)] for draw in draws]
    wrong = sum(Verdict.ABOVE in found or Verdict.BELOW in found for found in outcomes)
    assert 0.5 * ALPHA * DRAWS < wrong <= at_most(ALPHA)  # nor is the test blind
    uncorrected = sum(any(each.p <= ALPHA for each in family(draw, MARGIN)) for draw in draws)
    assert uncorrected > 0.3 * DRAWS  # what a page without correction would claim


@pytest.mark.parametrize("n", [3, 5, 10])
def test_families_at_the_margin_are_seldom_called_equal(n: int) -> None:
    signs = np.where(np.arange(12) % 2, 1, -1)[:, None]
    draws = np.random.default_rng(n).normal(0, 0.0005, size=(DRAWS, 12, n)) + MARGIN * signs
    wrong = sum(any(each.within_margin for each in family(draw, MARGIN)) for draw in draws)
    assert 0.5 * ALPHA * DRAWS < wrong <= at_most(ALPHA)


@pytest.mark.parametrize("mean", [0.006, 0.0])
def test_the_suggested_seeds_decide(mean: float) -> None:
    """Both by a difference and by equality, as often as they promise."""
    pilot = np.array([-1.0, 0.0, 1.0]) * 0.004 + mean
    (undecided,) = family([pilot], MARGIN)
    assert undecided.verdict == Verdict.UNDECIDED
    assert undecided.more_seeds
    seeds = 3 + undecided.more_seeds
    draws = np.random.default_rng(0).normal(mean, 0.004, size=(DRAWS, seeds))
    decided = sum(family([draw], MARGIN)[0].verdict != Verdict.UNDECIDED for draw in draws)
    assert POWER - 0.04 <= decided / DRAWS <= POWER + 0.08
