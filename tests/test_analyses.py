"""Areas, crossings, fronts, leaderboards and checklists against values that are known."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import results

from switchbench import reports
from switchbench.reports.analyses.across import _middle_half, across
from switchbench.reports.analyses.best import best_by_density
from switchbench.reports.analyses.curves import areas, crossings
from switchbench.reports.analyses.fronts import fronts
from switchbench.reports.checklist import checklist
from switchbench.reports.findings import findings
from switchbench.reports.statistics.pairwise import pairwise
from switchbench.reports.statistics.pareto import on_front
from switchbench.reports.tables.accuracy import accuracy, to_dense
from switchbench.reports.tables.operating import curves
from switchbench.reports.tables.table import Number

# Areas and crossings


def test_the_area_is_that_of_trapezoids_in_log_density() -> None:
    (task,) = reports.build(results(spread=0, densities=[0.4, 0.2, 0.05]), "t").tasks
    found = areas(task)["random"]  # accuracy falls by a point per halving: linear in log density
    assert found.mean == pytest.approx(0.905 + 0.01 * np.log2([0.4, 0.05]).mean())
    assert found.n == 3


def test_the_density_that_costs_a_point_is_interpolated_in_log_density() -> None:
    table = results(spread=0, densities=[0.8, 0.4, 0.2])  # random: half a point above dense at density 1
    (task,) = reports.build(table, "t").tasks
    found = crossings(task)["random"]  # 0.005 + 0.01 log2(d) = -0.01
    assert found.density == pytest.approx(2**-1.5)
    assert (found.below, found.above, found.n) == (0, 0, 3)
    never = crossings(task, lost=0.5)["random"]
    assert never.below == 3
    assert math.isnan(never.density)
    assert crossings(task, lost=-0.5)["random"].above == 3


def test_the_density_that_costs_a_point_is_one_that_was_reached() -> None:
    table = results(spread=0, densities=[0.8, 0.4, 0.2], calibration=3.0)
    table["density"] = table["target_density"] * 1.05
    found = crossings(reports.build(table, "t").tasks[0])["random"]
    assert found.density == pytest.approx(1.05 * 2**-1.5)


def test_seeds_beyond_the_densities_leave_the_median_where_it_is_known() -> None:
    table = results(spread=0, densities=[0.8, 0.4, 0.2])
    table.loc[(table["label"] == "random") & (table["seed"] == 2), "test_accuracy"] = 0.9  # loses nothing
    (task,) = reports.build(table, "t").tasks
    found = crossings(task)["random"]
    assert found.below == 1
    assert found.density == pytest.approx(2**-1.5)
    assert math.isnan(found.low)


@pytest.mark.parametrize(
    ("lucky", "said"),
    [
        (False, r"at 35 % density \(geometric mean of 3 seeds, 95 % interval 35 to 36 %\), the lowest"),
        (True, r"at 35 % density \(median of 3 seeds\), the lowest"),
    ],
)
def test_a_finding_says_which_mean_of_the_seeds_it_names(lucky: bool, said: str) -> None:
    table = results(["dense", "random"], spread=1e-4, densities=[0.8, 0.4, 0.2])
    if lucky:
        table.loc[(table["label"] == "random") & (table["seed"] == 2), "test_accuracy"] = 0.9  # loses nothing
    assert any(re.search(said, line) for line in findings(reports.build(table, "t")))


def test_the_interval_of_a_crossing_contains_the_truth() -> None:
    inside = 0
    draw = np.random.default_rng(0)
    for _ in range(400):
        table = results(methods=["dense", "random"], spread=0, densities=[0.8, 0.4, 0.2, 0.1], seeds=5)
        table["test_accuracy"] += draw.normal(0, 0.001, 5)[table["seed"]]  # of the seed: dense has it too
        table.loc[table["label"] == "random", "test_accuracy"] += draw.normal(0, 0.002, 5)[
            table.loc[table["label"] == "random", "seed"]
        ]
        found = crossings(reports.build(table, "t").tasks[0])["random"]
        inside += found.low <= 2**-1.5 <= found.high
    assert 0.92 <= inside / 400 <= 0.98


# The best


def test_the_best_and_those_not_told_apart_from_it() -> None:
    table = results(["dense", "random", "l1", "magnitude"], seeds=5, spread=1e-4)
    near = table["label"] == "l1"
    table.loc[near, "test_accuracy"] = (
        table.loc[table["label"] == "magnitude", "test_accuracy"].to_numpy()
        - [
            1e-5,
            -1e-5,
            2e-5,
            0,
            0,
        ]
        * 3
    )
    (task,) = reports.build(table, "t").tasks
    best = best_by_density(task, 0.1)
    assert best
    assert best.label == "magnitude"
    assert best.not_worse == {"l1"}
    said = findings(reports.build(table, "t"))
    assert (
        "At 10 % density, magnitude has the highest mean accuracy (88.18 %, n = 5); l1 is not significantly different."
        in said
    )


def test_findings_name_methods_with_the_same_results() -> None:
    table = results(["dense", "random", "l1", "magnitude"], densities=[0.1], seeds=5, spread=1e-4)
    twin = table["label"] == "l1"
    table.loc[twin, "test_accuracy"] = table.loc[table["label"] == "magnitude", "test_accuracy"].to_numpy()
    (line, *_) = findings(reports.build(table, "t"))
    same = "magnitude has the same result for every seed"
    assert line == f"At 10 % density, l1 has the highest mean accuracy (88.18 %, n = 5); {same}."


def test_the_caption_explains_what_the_table_shows_and_nothing_else() -> None:
    clear = results(["dense", "random", "magnitude"], seeds=5, spread=1e-4)
    (task,) = reports.build(clear, "t").tasks
    table = accuracy(task)
    assert "†" not in table.caption
    assert "Bold: the highest mean of the column." in table.caption
    assert "@: the density" in table.caption  # dense has no target
    assert not table.notes
    vague = results(["dense", "random", "magnitude"], densities=[0.05, 0.01], seeds=2, spread=0.02)
    (task,) = reports.build(vague, "t").tasks
    table = accuracy(task)
    assert "†: paired t tests show no difference" in table.caption
    assert table.notes == [
        "no method that was compared differs significantly from the best at 0.05, 0.01; more seeds could "
        "change that"
    ]
    assert "not shown are tested" not in table.caption
    (task,) = reports.build(vague, "t").only(["dense", "magnitude"]).tasks
    assert "not shown are tested" in accuracy(task).caption


# Fronts


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_a_front_holds_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    costs, gains = np.array(points, dtype=float).T
    expected = [
        not any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points)
        for cost, gain in points
    ]
    assert on_front(costs, gains).tolist() == expected


def test_unknown_costs_are_on_no_front() -> None:
    assert on_front(np.array([np.nan, 1.0]), np.array([1.0, 0.5])).tolist() == [False, True]


def test_shares_of_draws() -> None:
    table = results(["dense", "random", "l1", "magnitude"], densities=[0.1], seeds=8, spread=0.004)
    coin = table["label"].isin(["l1", "magnitude"])
    draw = np.random.default_rng(3)
    table.loc[coin, "test_accuracy"] = 0.95 + draw.normal(0, 0.004, coin.sum())
    (front, *_) = fronts(reports.build(table, "t").tasks[0])
    assert front.name == "density"
    assert front.shares["random"] == 0.0
    assert front.shares["l1"] + front.shares["magnitude"] == pytest.approx(1, abs=0.01)  # one of them wins
    assert {point.label for point in front.points if point.on_front} <= {"l1", "magnitude", "dense"}
    assert next(point for point in front.points if point.label == "dense").on_front is False


# All tasks


def failed(table: pd.DataFrame, at: "pd.Series[bool]") -> pd.DataFrame:
    """Return the table without the measurements of some trials, which failed."""
    return table.assign(
        status=table["status"].mask(at, "failed"), test_accuracy=table["test_accuracy"].mask(at)
    )


def test_methods_without_a_common_seed_lose_no_block_to_each_other() -> None:
    table = results(["random", "magnitude", "l1"], densities=[0.1, 0.01], seeds=2, spread=0)
    at = table["target_density"] == 0.1
    lost = at & (
        (table["label"] == "magnitude") & (table["seed"] == 0)
        | (table["label"] == "l1") & (table["seed"] == 1)
    )
    table = failed(table, lost)
    found = across(reports.build(table, "t"))
    assert found.win_rates == {"random": 0, "magnitude": 2 / 3, "l1": 1}
    assert found.best_blocks == {"random": 0, "magnitude": 1, "l1": 2}


def test_a_mean_of_other_seeds_than_the_comparison_is_said() -> None:
    table = results(["random", "magnitude"], densities=[0.1], seeds=3, spread=0)
    table = failed(table, (table["label"] == "random") & (table["seed"] == 0))
    line, *_ = findings(reports.build(table, "t"))
    assert "(87.18 %, n = 3; on the seeds that methods have in common)" in line


def test_tables_of_pairs_say_how_many_seeds() -> None:
    table = results(["dense", "random"], densities=[0.1, 0.01], seeds=5)
    lost = (table["label"] == "dense") & (table["seed"] < 2)
    table = failed(table, lost)
    task = reports.build(table, "t").tasks[0]
    (row,) = to_dense(task).rows
    assert isinstance(row[-1], Number)
    assert row[-1].value == 3
    (row,) = curves(task).rows
    lost_at, n = row[2:]
    assert isinstance(lost_at, Number)
    assert isinstance(n, Number)
    assert (lost_at.note, n.value) == ("(n = 3, 3 of 3 above 10%)", 5)


def test_over_tasks() -> None:
    report = reports.build(results(tasks=3, spread=0), "t")
    found = across(report)
    assert found.labels == ["random", "magnitude"]
    assert found.tests
    assert found.tests.ranks.tolist() == [2, 1]
    assert found.win_rates == {"random": 0, "magnitude": 1}
    assert found.best_blocks == {"random": 0, "magnitude": 9}
    assert found.improvements["random"].mean == 0
    gap = found.interquartile_means["magnitude"].mean - found.interquartile_means["random"].mean
    assert gap == pytest.approx(0.005)
    assert [line for line in found.missing if "cannot be significant with 3 tasks" in line]


def test_profiles_are_shares_of_runs() -> None:
    taus, shares = across(reports.build(results(), "t")).profile(points=50)
    for label, share in shares.items():
        scores = across(reports.build(results(), "t")).scores[label].ravel()
        assert share.tolist() == pytest.approx([np.mean(scores >= tau) for tau in taus])


def test_a_method_that_lacks_a_block_is_named_and_left_out() -> None:
    table = results(tasks=2)
    table = table[~((table["label"] == "random") & (table["network"] == "net-1"))]
    found = across(reports.build(table, "t"))
    assert (found.labels, found.left_out) == (["magnitude"], ["random"])
    assert "left out of statements over tasks: random" in " ".join(found.missing)


def test_one_task_allows_no_ranks() -> None:
    found = across(reports.build(results(), "t"))
    assert found.tests is None
    assert "need at least two tasks" in found.missing[0]


# The checklist


def test_the_checklist_says_what_is_missing() -> None:
    full = results(tasks=3, densities=[0.5, 0.2, 0.1, 0.05, 0.01])
    assert all(check.met and not check.spec_change for check in checklist(reports.build(full, "t")))
    cases = {
        "seeds: 3 or more": full[full["seed"] < 2],
        "networks and datasets: at least 3 pairs in all": full[full["network"] == "net-0"],
        "methods: add random": full[full["label"] != "random"],
        "methods: add magnitude": full[full["label"] != "magnitude"],
        "methods: add magnitude, at all densities": full[
            (full["label"] != "magnitude") | (full["target_density"] == 0.5)
        ],
        "methods: add dense": full[full["label"] != "dense"],
        "densities: at least 5": full[full["target_density"].isna() | (full["target_density"] > 0.05)],
    }
    for change, table in cases.items():
        lacking = [check.spec_change for check in checklist(reports.build(table, "t")) if not check.met]
        assert len(lacking) == 1, change
        assert lacking[0].startswith(change)


def test_a_failed_trial_and_other_seeds_are_noticed() -> None:
    table = results()
    table.loc[0, ["status", "test_accuracy"]] = ["failed", None]
    lacking = [check.name for check in checklist(reports.build(table, "t")) if not check.met]
    assert "every planned trial was measured" in lacking
    assert [name for name in lacking if name.startswith("the same seeds for all methods")]


# What is not there


def test_the_best_is_found_on_seeds_that_methods_share() -> None:
    """A method whose easiest seeds failed is still the better one."""
    table = results(["dense", "random", "magnitude"], [0.1], seeds=5, spread=1e-4)
    table["test_accuracy"] += 0.02 * (table["seed"] >= 3)  # easy seeds
    failed = (table["label"] == "magnitude") & (table["seed"] >= 3)
    table.loc[failed, ["status", "test_accuracy"]] = ["failed", None]
    report = reports.build(table, "t")
    best = best_by_density(report.tasks[0], 0.1)
    assert best
    assert (best.label, best.not_worse) == ("magnitude", frozenset())
    assert across(report).win_rates == {"random": 0, "magnitude": 1}
    assert across(report).best_blocks == {"random": 0, "magnitude": 1}


def test_where_nothing_differs_something_is_told_apart_in_one_of_twenty_columns() -> None:
    draw = np.random.default_rng(0)
    apart = 0
    for _ in range(300):
        found = pairwise(draw.normal(size=(5, 10)))
        apart += bool(found.below(int(found.scores.argmax())).any())
    assert apart / 300 <= 0.085  # 5 %, and 2.8 standard errors


def test_what_is_shown_does_not_change_what_is_found() -> None:
    report = reports.build(results(["dense", "random", "l1", "magnitude"], seeds=4), "t")
    shown = report.only(["random", "l1"], [0.05])
    (whole,), (task,) = report.tasks, shown.tasks
    assert best_by_density(task, 0.05) == best_by_density(whole, 0.05)
    assert areas(task) == areas(whole)
    assert crossings(task) == crossings(whole)
    assert [front.shares for front in fronts(task)] == [front.shares for front in fronts(whole)]
    assert across(shown).win_rates == across(report).win_rates
    assert checklist(shown) == checklist(report)
    text = reports.text(shown)
    assert "the best method at 0.05, magnitude, is not shown" in text
    assert "| magnitude |" not in text


def test_a_method_that_ended_denser_than_asked_is_not_compared_there() -> None:
    table = results(["dense", "random", "l1", "magnitude"], spread=1e-4)
    missed = (table["label"] == "magnitude") & (table["target_density"] == 0.05)
    table.loc[missed, "density"] = 0.9
    report = reports.build(table, "t", [("magnitude", "l1")])
    best = best_by_density(report.tasks[0], 0.05)
    assert best
    assert best.label == "l1"
    (contrast,) = report.tasks[0].contrasts
    assert [difference.summary.n for difference in contrast.differences.values()] == [3, 0, 3]
    assert report.tasks[0].differences("magnitude", "dense", 0.05).size == 0
    assert "magnitude is more accurate than l1 at 10 %, 1 % density." in findings(report)
    assert "magnitude" not in areas(report.tasks[0])
    assert across(report).left_out == ["magnitude"]
    said = "magnitude: denser than its target at 0.05 (@ 90.00%), and not compared there"
    assert said in findings(report)
    assert said in accuracy(report.tasks[0]).notes


@pytest.mark.parametrize(("kept", "compared"), [(15, True), (16, True), (18, False)])
def test_a_target_is_met_to_the_nearest_whole_weight(kept: int, compared: bool) -> None:
    table = results(["dense", "random", "l1", "magnitude"], [0.0214], spread=1e-4).assign(weights=740)
    magnitude = table["label"] == "magnitude"
    table.loc[magnitude, "density"] = kept / 740  # 15.8 weights
    report = reports.build(table, "t")
    best = best_by_density(report.tasks[0], 0.0214)
    assert best
    assert best.label == ("magnitude" if compared else "l1")
    (entry,) = (row[1] for row in accuracy(report.tasks[0]).rows if row[0] == "magnitude")
    assert isinstance(entry, Number)
    assert bool(entry.note) == (not compared)


@pytest.mark.parametrize(("density", "compared"), [(0.053, True), (0.056, False), (0.046, True)])
def test_a_method_whose_strength_was_matched_may_be_a_tenth_denser(density: float, compared: bool) -> None:
    table = results(["dense", "random", "l1", "magnitude"], spread=1e-4)
    matched = (table["label"] == "magnitude") & (table["target_density"] == 0.05)
    table["calibration"] = table["density"].where(matched) * 0 + 3
    table.loc[matched, "density"] = density
    best = best_by_density(reports.build(table, "t").tasks[0], 0.05)
    assert best
    assert best.label == ("magnitude" if compared else "l1")


def test_a_method_without_a_target_is_named_with_its_density() -> None:
    table = results(["dense", "random", "magnitude"], [0.1], spread=1e-4)
    own = table[table["label"] == "dense"].assign(label="l1", method="l1", density=0.6, trial_id="x")
    own["test_accuracy"] += [0.0, 1e-4, -1e-4]
    report = reports.build(pd.concat([table, own]), "t", [("l1", "magnitude")])
    assert "l1 (at 60 % density) is more accurate than magnitude at 10 % density." in findings(report)


def test_one_lucky_seed_is_not_the_best() -> None:
    table = results(["dense", "random", "l1", "magnitude"], [0.1], seeds=4)
    lucky = table["label"] == "magnitude"
    table = table[~lucky | (table["seed"] == 0)]
    best = best_by_density(reports.build(table, "t").tasks[0], 0.1)
    assert best
    assert best.label == "l1"
    assert {*best.not_worse} == {"random"}
    assert {*best.untested} == {"magnitude"}
    report = reports.build(table, "t")
    assert "magnitude" in reports.text(report)
    assert not re.search(r"^\| magnitude \|.*†", reports.text(report), re.MULTILINE)
    assert any(line.endswith("too few seeds for a test of magnitude.") for line in findings(report))


def test_a_draw_without_the_seeds_of_a_method_does_not_lose_it() -> None:
    table = results(["dense", "random", "magnitude"], [0.1], spread=1e-4)
    table = table[(table["label"] != "magnitude") | (table["seed"] == 0)]
    (front, *_) = fronts(reports.build(table, "t").tasks[0])
    assert front.shares["magnitude"] == 1
    assert front.shares["random"] == 0


def test_many_equal_points_cost_no_more_than_others() -> None:
    costs, gains = np.ones((2, 6)), np.ones((2, 6))
    costs[1, 3], gains[1, 4] = 0.5, 0.2
    assert on_front(costs, gains).tolist() == [[True] * 6, [False, False, False, True, False, False]]


def test_nothing_measured_meets_no_recommendation() -> None:
    table = results().assign(status="failed", test_accuracy=None)
    met = [check.name for check in checklist(reports.build(table, "t")) if check.met]
    assert met == []


def test_any_entry_of_a_method_is_that_method() -> None:
    table = results(["dense", "magnitude", "random"], tasks=3, densities=[0.5, 0.2, 0.1, 0.05, 0.01])
    other = table[table["label"] == "random"].assign(label="random-erk")
    other["trial_id"] += "x"
    table.loc[table["label"] == "random", ["status", "test_accuracy"]] = ["failed", None]
    checks = {check.name: check for check in checklist(reports.build(pd.concat([table, other]), "t"))}
    assert checks["random pruning as the lowest bar"].met


def test_the_interquartile_mean_counts_shares_of_values() -> None:
    scores = np.array([[4.0, 1.0, 2.0], [1.0, 1.0, 10.0]])
    assert _middle_half(scores).tolist() == pytest.approx([1 / 6 + 2 * 2 / 3 + 4 / 6, 1 / 6 + 2 / 3 + 10 / 6])


def test_identical_methods_are_best_together() -> None:
    table = results(["dense", "random", "magnitude"], [0.1])
    twin = table[table["label"] == "magnitude"].assign(label="twin")
    twin["trial_id"] += "x"
    report = reports.build(pd.concat([table, twin]), "t")
    best = best_by_density(report.tasks[0], 0.1)
    assert best
    assert {best.label} | best.identical == {"magnitude", "twin"}
