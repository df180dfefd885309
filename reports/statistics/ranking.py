"""Ranks of several methods over several tasks, and their tests (Demšar 2006, Statistical Comparisons of
Classifiers over Multiple Data Sets)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from switchbench.reports.statistics.paired import ALPHA, holm
from switchbench.reports.statistics.seeds import Numbers

PERMUTATIONS = 10_000
"""Permutations of Friedman's test."""
BATCH = 1_000
"""Permutations that are computed together."""


@dataclass(frozen=True)
class RankTests:
    """Average ranks and their tests. Methods are named by their column."""

    ranks: Numbers
    """Average rank of each method; 1 is best. Equal scores share their ranks."""
    statistic: float
    """Friedman's χ²; NaN for two methods, which Wilcoxon's test compares."""
    p: float
    """Its p-value by permutations of the scores within tasks: the χ² distribution is wrong for few tasks."""
    critical_difference: float
    """Nemenyi: average ranks that differ by more are different."""
    pairs: list[tuple[int, int]]
    p_pairs: Numbers
    """P-value of Wilcoxon's signed-rank test of each pair, exact for few tasks without ties."""
    p_pairs_corrected: Numbers
    """The same, corrected over the pairs (Holm)."""
    groups: list[list[int]]
    """Largest groups of methods that Nemenyi's test does not tell apart, by rank."""


def rank_tests(scores: npt.ArrayLike) -> RankTests:
    """Rank methods on each task and test the ranks.

    Args:
        scores: A matrix of tasks (rows) and methods (columns); higher is better.

    Returns:
        Ranks and tests.

    Raises:
        ValueError: There are fewer than two tasks or methods.

    Example:
        >>> tests = rank_tests([[0.9, 0.8, 0.7], [0.8, 0.7, 0.6], [0.7, 0.5, 0.6]])
        >>> tests.ranks.round(2).tolist(), round(tests.critical_difference, 3)
        ([1.0, 2.33, 2.67], 1.914)
    """
    from scipy.stats import rankdata, studentized_range  # it takes a second to import

    matrix = np.asarray(scores, dtype=float).round(12)  # else the order of summation decides ties
    tasks, methods = matrix.shape
    if tasks < 2 or methods < 2:
        raise ValueError(f"{tasks} tasks and {methods} methods: ranks need two or more of both")
    ranks = rankdata(-matrix, axis=1).mean(axis=0)
    statistic, p = _friedman(matrix) if methods > 2 else (math.nan, math.nan)
    quantile = float(studentized_range.ppf(1 - ALPHA, methods, np.inf)) / math.sqrt(2)
    difference = quantile * math.sqrt(methods * (methods + 1) / (6 * tasks))
    pairs = [*combinations(range(methods), 2)]
    one, other = np.array(pairs).T
    p_pairs = _wilcoxon(matrix[:, one] - matrix[:, other])
    return RankTests(
        ranks, statistic, p, difference, pairs, p_pairs, holm(p_pairs), [*_groups(ranks, difference)]
    )


def _friedman(scores: Numbers) -> tuple[float, float]:
    """Return Friedman's χ², corrected for ties, and its p-value by permutations."""
    from scipy.stats import friedmanchisquare, rankdata

    if not (scores != scores[:, :1]).any():
        return 0.0, 1.0
    ranks = rankdata(-scores, axis=1)
    # The statistic grows with the spread of the rank sums, whatever its scale.
    spread = ((ranks.sum(axis=0) - ranks.sum() / ranks.shape[1]) ** 2).sum()
    generator = np.random.default_rng(0)  # reports repeat
    as_large = 0
    for _ in range(PERMUTATIONS // BATCH):
        shuffled = generator.permuted(np.broadcast_to(ranks, (BATCH, *ranks.shape)), axis=2)
        sums = shuffled.sum(axis=1)
        spreads = ((sums - sums.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
        as_large += int((spreads >= spread - 1e-9).sum())
    return float(friedmanchisquare(*scores.T).statistic), (1 + as_large) / (1 + PERMUTATIONS)


def _wilcoxon(differences: Numbers) -> Numbers:
    """Return the p-value of each column; 1 for a column of zeros, which the test cannot rank."""
    from scipy.stats import wilcoxon

    p = np.ones(differences.shape[1])
    some = differences.any(axis=0)
    if some.any():
        p[some] = wilcoxon(differences[:, some], axis=0).pvalue
    return p


def _groups(ranks: Numbers, difference: float) -> Iterator[list[int]]:
    """Yield the largest runs of methods whose ranks lie within a critical difference, two or more each."""
    order = np.argsort(ranks, kind="stable")
    reached = -1
    for start in range(len(order)):
        within = np.flatnonzero(ranks[order] - ranks[order[start]] <= difference)
        end = int(within[-1])
        if end > start and end > reached:
            yield order[start : end + 1].tolist()
            reached = end
