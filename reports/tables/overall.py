"""Tables over all tasks: the leaderboard, and tests between methods."""

import math
from collections.abc import Sequence

from switchbench.reports.analyses.across import Across
from switchbench.reports.statistics.paired import ALPHA
from switchbench.reports.statistics.ranking import PERMUTATIONS
from switchbench.reports.statistics.summary import Summary
from switchbench.reports.tables.differences import p_value
from switchbench.reports.tables.table import NOTHING, Entry, Number, Table
from switchbench.words import plural

LEADER_CAPTION = (
    "Methods over all blocks: {blocks} (task, target density). IQM: interquartile mean, "
    "the mean {score} over the middle half of the blocks, computed per seed; mean ± half-width of the 95 % "
    "confidence interval (Student's t) over {seeds} that all blocks have. Rank: average rank over {tasks} "
    "by area under accuracy against log density; 1 is best. Win rate: share of blocks and other methods in "
    "which the mean accuracy is higher; ties count half. Best in: number of blocks in which no other mean is "
    "higher.{improvement}"
)
IMPROVEMENT = (
    " Better than {baseline}: probability, over blocks, of a higher accuracy than {baseline} with the same "
    "seed, in %, with the interval over seeds; ties count half."
)
RELATIVE = "difference from the dense control, in percentage points,"
RANK_CAPTION = (
    "Average ranks over tasks, tested pair by pair: Wilcoxon's signed-rank test over the tasks, raw and "
    "corrected over all pairs (Holm). Nemenyi: whether the ranks differ by more than the critical difference "
    "{difference:.2f} at 5 % (Demšar 2006)."
)
RANK_ROWS = 200
"""Pairs in the table of tests, those with the smallest p-values first."""


def leaderboard(across: Across) -> Table:
    """Methods over all tasks, best first."""
    ranks = dict(zip(across.labels, across.tests.ranks.tolist(), strict=True)) if across.tests else {}
    header = ["method", "IQM", "rank", "win rate", "best in"]
    better = f"better than {across.baseline}"
    if across.improvements:
        header.append(better)
    means = {label: summary.mean for label, summary in across.interquartile_means.items()}
    ordered = sorted(across.labels, key=lambda label: (ranks.get(label, 0), -means.get(label, 0)))
    rows: list[list[Entry]] = []
    for label in ordered if across.blocks else []:
        middle = across.interquartile_means.get(label)
        row: list[Entry] = [
            label,
            Number(100 * middle.mean, 100 * middle.interval, signed=across.relative) if middle else NOTHING,
            Number(ranks[label], digits=2) if label in ranks else NOTHING,
            Number(100 * across.win_rates[label], digits=0, unit="%") if across.win_rates else NOTHING,
            Number(across.best_blocks[label], digits=0),
        ]
        if across.improvements:
            improved = across.improvements.get(label)
            row.append(_percent(improved) if improved else NOTHING)
        rows.append(row)
    seeds = next((summary.n for summary in across.interquartile_means.values()), 0)
    caption = LEADER_CAPTION.format(
        blocks=len(across.blocks),
        tasks=plural(len(across.tasks), "task"),
        seeds=plural(seeds, "seed"),
        score=RELATIVE if across.relative else "accuracy in %",
        improvement=IMPROVEMENT.format(baseline=across.baseline) if across.improvements else "",
    )
    return Table("leaderboard", caption, header, rows)


def rank_pairs(across: Across) -> Table:
    """Tests of the ranks of each pair of methods."""
    tests = across.tests
    header = ["method", "against", "ranks", "p", "p Holm", "Nemenyi"]
    if tests is None:
        return Table("rank-tests", "", header, [])
    rows: list[list[Entry]] = []
    left = len(tests.pairs) - RANK_ROWS
    more = [f"{left:,} pairs with larger p-values are left out"] if left > 0 else []
    for at in tests.p_pairs.argsort(kind="stable")[:RANK_ROWS]:
        one, other = sorted(tests.pairs[at], key=lambda column: tests.ranks[column])
        apart = tests.ranks[other] - tests.ranks[one] > tests.critical_difference
        rows.append(
            [
                across.labels[one],
                across.labels[other],
                f"{tests.ranks[one]:.2f} against {tests.ranks[other]:.2f}",
                p_value(float(tests.p_pairs[at])),
                p_value(float(tests.p_pairs_corrected[at])),
                "different" if apart else "no difference shown",
            ]
        )
    return Table(
        "rank-tests",
        RANK_CAPTION.format(difference=tests.critical_difference),
        header,
        rows,
        [*_friedman(across), *more],
        keys=2,
    )


def _percent(summary: Summary) -> Number:
    """Return a probability in %, with its interval as far as probabilities go."""
    low, high = (100 * min(max(summary.mean + sign * summary.interval, 0), 1) for sign in (-1, 1))
    ends = None if math.isnan(summary.interval) else (low, high)
    return Number(100 * summary.mean, ends=ends, digits=0)


def _friedman(across: Across) -> Sequence[str]:
    tests = across.tests
    if tests is None or math.isnan(tests.p):
        return []
    verdict = "methods differ" if tests.p <= ALPHA else "no difference between methods is shown"
    return [
        f"Friedman's test over {len(across.tasks)} tasks and {len(across.labels)} methods: χ² = "
        f"{tests.statistic:.2f}, p = {tests.p:.4f} ({PERMUTATIONS:,} permutations): {verdict}."
    ]
