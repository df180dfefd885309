"""The leaderboard over comparisons: the best by task and density, and where they come from."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from made_up import results

from switchbench.compare.leaderboard import leaderboard
from switchbench.errors import InputError
from switchbench.methods.options import Options, option
from switchbench.networks import NETWORKS
from switchbench.reports.leaderboard import Comparison
from switchbench.reports.leaderboard import leaderboard as sections_of
from switchbench.reports.tables.table import Number
from switchbench.row import Row
from switchbench.store import parquet


def published(folder: Path, table: pd.DataFrame) -> None:
    folder.mkdir(parents=True)
    parquet.write_table(folder / "results.parquet", table, Row)


def test_the_best_of_each_comparison_by_density() -> None:
    better = results(["dense", "random", "magnitude", "rigl"], [0.1, 0.02], spread=1e-5)
    lucky = results(["random", "luck"], [0.1], seeds=1).assign(test_accuracy=0.99)
    made = sections_of([Comparison("a", results()), Comparison("b", better), Comparison("c", lucky)])
    assert [section.title for section in made] == ["Comparisons", "net-0 on data, scope fc"]
    rows = [
        [entry.text() if isinstance(entry, Number) else entry for entry in row]
        for row in made[1].tables[0].rows
    ]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("0.1", "rigl", "b"),
        ("0.1", "magnitude", "a"),
        ("0.05", "magnitude", "a"),
        ("0.02", "rigl", "b"),
        ("0.01", "magnitude", "a"),
    ]
    assert made[0].tables[0].notes == [
        "c: in no table below, as no density of a task has two methods that can be compared "
        "there, with 2 or more seeds each"
    ]
    best = [entry.best for row in made[1].tables[0].rows if isinstance(entry := row[2], Number)]
    assert best == [True, False, True, True, True]


def test_comparisons_at_any_depth_with_links_to_their_pages(tmp_path: Path) -> None:
    published(tmp_path / "a", results())
    published(tmp_path / "deep" / "b & c", results(tasks=2))
    published(tmp_path / "a" / "search", results())  # a part of a
    (tmp_path / "a" / "report").mkdir()
    (tmp_path / "a" / "report" / "index.html").write_text("page")
    page, number = leaderboard(tmp_path)
    text = page.read_text()
    assert number == 2
    assert '<a href="a/report/index.html">a</a>' in text
    assert "b &amp; c" in text
    assert len(text) < 200_000  # nothing is drawn, so plotly is not part of it


def test_a_comparison_that_calibrates_or_searches_is_not_there_yet(tmp_path: Path) -> None:
    published(tmp_path / "done", results())
    for part in ("search", "calibration"):
        published(tmp_path / "begun" / part, results())
        published(tmp_path / "deep" / part / part, results())
    page, number = leaderboard(tmp_path)
    assert number == 1
    assert "begun" not in page.read_text()


def test_two_comparisons_of_one_name_are_named_by_their_folders(tmp_path: Path) -> None:
    for name in ("a/x", "b/x"):
        published(tmp_path / name, results())
    page, _ = leaderboard(tmp_path, tmp_path / "out" / "page.html")
    assert "a/x" in page.read_text()
    assert "b/x" in page.read_text()


def test_a_folder_without_comparisons_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no comparison, at any depth"):
        leaderboard(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        leaderboard(tmp_path / "none")


def configured(table: pd.DataFrame, hidden: int, epochs: int) -> pd.DataFrame:
    """Give each row a config, as the engine stores it."""
    config = {
        "network": {"network": "mlp", "label": "net-0", "hidden": [hidden]},
        "dataset": {"dataset": "digits", "label": "data"},
        "method": {"method": "dense", "label": "dense"},
        "training": {"epochs": epochs},
    }
    ids = [f"{each} {hidden} {epochs}" for each in table["trial_id"]]
    return table.assign(trial_id=ids, config=json.dumps(config))


def test_networks_of_one_label_and_other_options_are_two_tasks() -> None:
    made = sections_of(
        [
            Comparison("a", configured(results(), hidden=30, epochs=2)),
            Comparison("b", configured(results(), hidden=31, epochs=2)),
            Comparison("c", configured(results(), hidden=30, epochs=4)),  # another recipe is the same task
        ]
    )
    assert [section.title for section in made] == [
        "Comparisons",
        "net-0 on data, scope fc",
        "net-0 (b) on data, scope fc",
    ]
    assert {row[-1] for row in made[1].tables[0].rows} == {"a", "c"}
    assert {row[-1] for row in made[2].tables[0].rows} == {"b"}
    said = "b: network 'net-0' not as in a (network.hidden: [31] instead of [30]): kept apart"
    assert made[0].tables[0].notes == [said]


def test_one_network_of_two_labels_is_one_task() -> None:
    other = results(["dense", "random", "magnitude", "rigl"]).replace({"network": {"net-0": "small"}})
    made = sections_of([Comparison("a", results()), Comparison("b", other)])
    assert [section.title for section in made] == ["Comparisons", "net-0 on data, scope fc"]
    assert made[0].tables[0].notes == ["b: network 'small' is 'net-0' in a (21 trials in both): one task"]


def test_a_newer_option_that_changes_nothing_makes_no_other_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Config(Options):
        slope: float = option(0.0, "came later", inert=True)

    monkeypatch.setitem(NETWORKS, "mlp", SimpleNamespace(Config=Config))
    one, other = (configured(results(), hidden=30, epochs=epochs) for epochs in (2, 3))
    for slope, number in ((0.0, 1), (0.1, 2)):
        newer = [text.replace('"hidden"', f'"slope": {slope}, "hidden"') for text in other["config"]]
        folder = tmp_path / str(slope)
        published(folder / "a", one)
        published(folder / "b", other.assign(config=newer))
        page, _ = leaderboard(folder)
        assert page.read_text().count("kept apart") == number - 1
