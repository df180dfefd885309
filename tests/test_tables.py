"""Tables hold numbers in full precision, and say in text what they are."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import results, written

from switchbench import reports
from switchbench.reports.formats import flat, html
from switchbench.reports.statistics.summary import summarise
from switchbench.reports.tables.catalogue import sections
from switchbench.reports.tables.published import figures, published
from switchbench.reports.tables.table import Number, Table


def tables_of(table: pd.DataFrame, **options: object) -> dict[str, Table]:
    made = sections(reports.build(table, "title", **options))  # type: ignore[arg-type]
    return {each.name: each for section in made for each in section.tables}


def test_the_tables_of_a_report_in_order() -> None:
    made = sections(reports.build(results(tasks=2), "title", [("magnitude", "random")]))
    assert [section.folder for section in made] == ["net-0_data_fc", "net-1_data_fc", "all-tasks"]
    assert [each.name for each in made[0].tables] == [
        "accuracy", "differences", "tests", "to-dense", "curves", "fronts", "summary", "costs", "layers",
    ]  # fmt: skip
    assert [each.name for each in made[-1].tables] == ["leaderboard", "rank-tests", "practice"]


def test_every_format_has_the_same_numbers(tmp_path: Path) -> None:
    table = results()
    written(table, tmp_path)
    stem = tmp_path / "tables" / "net-0_data_fc" / "accuracy"
    data, stored = pd.read_csv(f"{stem}.csv"), pd.read_parquet(f"{stem}.parquet")
    cell = table[(table["label"] == "random") & (table["target_density"] == 0.05)]["test_accuracy"]
    summary = summarise(100 * cell)
    for read in (data, stored):
        row = read.set_index("method").loc["random"]
        assert row["0.05"] == pytest.approx(summary.mean, rel=1e-12)
        assert row["0.05 ±"] == pytest.approx(summary.interval, rel=1e-12)
    shown = f"{summary.mean:.2f} ± {summary.interval:.2f}"
    assert shown in Path(f"{stem}.md").read_text()
    assert shown in Path(f"{stem}.html").read_text()
    assert f"{summary.mean:.2f} & $\\pm$ {summary.interval:.2f}" in Path(f"{stem}.tex").read_text()


def test_marks_and_notes_are_data_too() -> None:
    table = Table(
        "t", "", ["method", "x"], [["a", Number(1.0, mark="†", note="(2 of 3)", best=True)], ["b", ""]]
    )
    frame = flat.frame(table)
    assert frame["x note"].tolist() == ["best † (2 of 3)", ""]
    assert pd.isna(frame["x"][1])


def test_a_fragment_of_html_is_escaped() -> None:
    table = Table("t", "a & b", ["<x>"], [["<script>"]], ["note <i>"])
    text = html.fragment(table)
    assert '<th scope="row">&lt;script&gt;</th>' in text
    assert "<caption>a &amp; b</caption>" in text
    assert "<li>note &lt;i&gt;</li>" in text


def test_the_worth_of_reading_is_that_over_the_control() -> None:
    table = results(["dense", "random", "magnitude", "gates", "reader"], [0.1], spread=1e-4)
    table.loc[table["label"] == "gates", "control_of"] = "reader"
    attribution = tables_of(table)["attribution"]
    ((method, without, density, worth, verdict),) = attribution.rows
    assert (method, without, verdict) == ("reader", "gates", "above")
    assert isinstance(worth, Number)
    assert worth.value == pytest.approx(0.5, abs=0.02)
    assert isinstance(density, Number)
    assert density.value == 0.1


def test_absolute_numbers_stand_beside_densities() -> None:
    summary = tables_of(results(parameters=2_000))["summary"]
    found = {(row[0], row[1].value): row[3] for row in summary.rows if isinstance(row[1], Number)}
    assert isinstance(number := found["random", 0.05], Number)
    assert number.value == pytest.approx(100)


def test_figures_of_papers_stand_beside_ours() -> None:
    table = results(densities=[0.05, 0.02], spread=0, network="lenet-300-100", dataset="mnist")
    (task,) = reports.build(table, "t").tasks
    rows = {(row[0], row[1]): row for row in published(task).rows}
    snip = rows["SNIP", "Lee et al. 2019"]
    assert [entry.value for entry in snip if isinstance(entry, Number)][:2] in ([5.0, 98.4], [2.0, 97.6])
    assert snip[5] == "magnitude"  # the most accurate at the density
    han = rows["iterative magnitude pruning", "Han et al. 2015"]
    assert han[5:] == ["–", "–", "–"]  # 8 %: none of ours is near
    assert published(task).notes == []
    (narrow,) = reports.build(table.assign(density=table["density"] / 2), "t").tasks
    assert "Our scope leaves out layers that the papers count" in published(narrow).notes[0]
    (other,) = reports.build(table.assign(dataset="digits"), "t").tasks
    assert published(other).rows == []


def test_figures_of_papers_are_shares_with_a_source() -> None:
    assert len(figures()) >= 20
    for figure in figures():
        assert 0 < figure.density < 0.2
        assert 0.9 < figure.accuracy < 1
        assert figure.denominator == "weights"
        assert 2015 <= figure.year <= 2025


def test_layers_of_densities_are_in_percent() -> None:
    table = results(["magnitude"], [0.1], density_layers=json.dumps({"a": 0.25}))
    assert "| magnitude | 0.1 | 25.000% |" in reports.text(reports.build(table, "t"))


def test_a_probability_has_an_interval_of_probabilities() -> None:
    board = tables_of(results(spread=0.01, tasks=2))["leaderboard"]
    better = board.header.index("better than magnitude")
    (entry,) = [row[better] for row in board.rows if isinstance(row[better], Number)]
    assert isinstance(entry, Number)
    assert entry.ends
    assert 0 <= entry.ends[0] < entry.value < entry.ends[1] <= 100
    assert np.isnan(entry.spread)
