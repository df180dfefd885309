"""Intervals: by hand, and by how often they hold the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from switchbench.reports.statistics.summary import summarise


def test_by_hand() -> None:
    summary = summarise([0.90, 0.92, 0.94])
    assert summary.n == 3
    assert summary.mean == pytest.approx(0.92)
    assert summary.std == pytest.approx(0.02)
    assert summary.interval == pytest.approx(4.302653 * 0.02 / math.sqrt(3), rel=1e-6)


def test_one_seed_has_no_interval() -> None:
    summary = summarise([0.5])
    assert (summary.n, summary.mean) == (1, 0.5)
    assert math.isnan(summary.interval)
    assert summarise([]).n == 0


def test_coverage_of_student_and_of_the_bootstrap() -> None:
    """Why the table shows Student's t: with three seeds the bootstrap claims far too much."""
    draws = np.random.default_rng(0).normal(size=(1_000, 3))
    student = bootstrap = 0
    for draw in draws:
        summary = summarise(list(draw))
        student += abs(summary.mean) <= summary.interval
        low, high = stats.bootstrap(
            (draw,), np.mean, n_resamples=199, method="percentile", rng=np.random.default_rng(1)
        ).confidence_interval
        bootstrap += bool(low <= 0 <= high)
    assert 0.93 <= student / 1_000 <= 0.97
    assert bootstrap / 1_000 < 0.85
