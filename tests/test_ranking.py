"""Ranks over tasks and their tests, against a published example, enumeration and simulation."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import permutation_test, rankdata

from switchbench.reports.statistics import ranking
from switchbench.reports.statistics.ranking import _wilcoxon, rank_tests

DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.976, 0.975], [0.957, 0.978, 0.946, 0.970],
    ]
)  # fmt: skip
"""Demšar 2006, table 6: area under the ROC curve of four variants of C4.5 on fourteen data sets. The paper ranks
0.975 and 0.975 in the last row but one as 2 and 3, so they differ beyond what it prints."""
CRITICAL = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}
"""Demšar 2006, table 5a: critical values of Nemenyi's test at 5 %, by number of methods."""


def test_the_published_example() -> None:
    tests = rank_tests(DEMSAR)
    assert tests.ranks.round(3).tolist() == [3.143, 2.0, 2.893, 1.964]
    assert tests.critical_difference == pytest.approx(1.25, abs=0.005)
    # The paper's 9.28 is not corrected for ties; the correction divides by 1 - sum(t^3 - t) / (N (k^3 - k)).
    ties = sum(
        (counts**3 - counts).sum() for row in DEMSAR for counts in [np.unique(row, return_counts=True)[1]]
    )
    assert tests.statistic * (1 - ties / (14 * (4**3 - 4))) == pytest.approx(9.28, abs=0.005)
    ranks = [*rankdata(-DEMSAR, axis=1).T]
    other = permutation_test(
        ranks,
        lambda *each, axis: sum(rank.sum(axis=axis) ** 2 for rank in each),
        permutation_type="samples",
        vectorized=True,
        n_resamples=5_000,
        alternative="greater",
        rng=1,
    )
    assert tests.p == pytest.approx(other.pvalue, abs=0.006)  # four standard errors of the two draws
    assert tests.groups == [[3, 1, 2, 0]]  # 3.143 - 1.964 is less than the critical difference


@pytest.mark.parametrize("methods", CRITICAL)
def test_critical_differences_are_those_of_the_table(methods: int) -> None:
    tasks = 6 * methods * (methods + 1)  # then the critical difference is a sixth of the critical value
    scores = np.random.default_rng(0).normal(size=(tasks, methods))
    assert 6 * rank_tests(scores).critical_difference == pytest.approx(CRITICAL[methods], abs=0.001)


def test_wilcoxon_is_the_share_of_signs_that_are_as_far_off() -> None:
    differences = np.random.default_rng(1).normal(0.5, 1, size=(7, 3))
    for column, p in zip(differences.T, _wilcoxon(differences), strict=True):
        ranks = rankdata(abs(column))
        sums = [ranks[np.array(signs)].sum() for signs in product([True, False], repeat=7)]
        middle = ranks.sum() / 2
        far = abs(ranks[column > 0].sum() - middle) - 1e-9
        assert p == pytest.approx(np.mean([abs(each - middle) >= far for each in sums]))
    assert _wilcoxon(np.zeros((3, 1))).tolist() == [1.0]


def test_friedman_finds_a_difference_in_one_of_twenty_draws_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ranking, "PERMUTATIONS", 1_000)
    draw = np.random.default_rng(2)
    found = [ranking._friedman(draw.normal(size=(4, 4)))[1] <= 0.05 for _ in range(200)]
    assert np.mean(found) <= 0.09  # 5 %, and 2.5 standard errors of 200 draws


def test_two_tasks_that_agree_show_nothing() -> None:
    tests = rank_tests([[3, 2, 1], [3, 2, 1]])
    assert tests.p == pytest.approx(1 / 6, abs=0.02)  # of 36 pairs of orders, 6 agree as much


def test_groups_are_the_largest_runs_within_the_critical_difference() -> None:
    scores = np.tile([4.0, 3.0, 2.0, 1.0], (12, 1))  # ranks 1, 2, 3, 4; critical difference 1.35
    assert rank_tests(scores).groups == [[0, 1], [1, 2], [2, 3]]


def test_equal_scores_differ_in_nothing() -> None:
    tests = rank_tests(np.ones((5, 3)))
    assert tests.ranks.tolist() == [2, 2, 2]
    assert (tests.p, tests.p_pairs.tolist(), tests.groups) == (1.0, [1, 1, 1], [[0, 1, 2]])
