"""Several folders in one report, what changed between two, and what is shown of one."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up import results, written
from typer.testing import CliRunner

from switchbench import reports
from switchbench.cli.app import app
from switchbench.compare.choices import view_of
from switchbench.compare.report import report_changes, report_joined
from switchbench.compare.report_options import ReportOptions
from switchbench.errors import InputError
from switchbench.reports.changes import changes
from switchbench.reports.join import joined
from switchbench.row import Row
from switchbench.store import parquet


def configured(table: pd.DataFrame, **method: Any) -> pd.DataFrame:
    """Give each row a config, as the engine stores it."""
    configs = [
        json.dumps(
            {
                "network": {"network": "mlp", "label": network},
                "dataset": {"dataset": "digits", "label": "data"},
                "method": {"method": label, "label": label} | (method if label == "magnitude" else {}),
                "density": density if density == density else None,
                "seed": int(seed),
                "training": {"epochs": 3},
            }
        )
        for network, label, density, seed in zip(
            table["network"], table["label"], table["target_density"], table["seed"], strict=True
        )
    ]
    return table.assign(config=configs)


def folder(path: Path, table: pd.DataFrame) -> Path:
    """Publish a table as the results of a comparison."""
    path.mkdir()
    parquet.write_table(path / "results.parquet", table, Row)
    return path


def test_a_trial_stands_once_and_a_measured_row_counts() -> None:
    table = configured(results())
    half = table.copy()
    half.loc[half["seed"] == 2, ["status", "test_accuracy", "config"]] = ["missing", None, None]
    found = joined([("one", half), ("two", table)])
    both, lines = found.results, found.lines
    assert lines == []
    assert both["trial_id"].tolist() == table["trial_id"].tolist()
    assert both["test_accuracy"].tolist() == table["test_accuracy"].tolist()


def test_seeds_of_two_machines_are_pooled() -> None:
    table = configured(results(seeds=4))
    parts = [("one", table[table["seed"] < 2]), ("two", table[table["seed"] >= 2])]
    report = reports.build(joined(parts).results, "t")
    assert {cell.accuracy.n for cell in report.tasks[0].cells.values()} == {4}


def test_one_name_for_two_things_is_kept_apart() -> None:
    one, other = configured(results()), configured(results(), strength=0.1)
    other = other.assign(trial_id=other["trial_id"] + "x")
    found = joined([("one", one), ("two", other)])
    both, lines = found.results, found.lines
    assert lines == [
        "two: label 'magnitude' not as in one (method.strength: 0.1 instead of nothing): kept apart"
    ]
    assert [*dict.fromkeys(both["label"])] == ["dense", "random", "magnitude", "magnitude (two)"]


def versioned(table: pd.DataFrame, **other: str) -> pd.DataFrame:
    """Give each row the versions of its parts; ``other``: those of magnitude pruning."""
    plain = {"torch": "2", "network": "1", "dataset": "1", "method": "1"}
    texts = [json.dumps(plain | (other if label == "magnitude" else {})) for label in table["label"]]
    return table.assign(versions=texts)


@pytest.mark.parametrize("seeds", [range(4), range(2, 4)], ids=["the same seeds", "other seeds"])
def test_another_version_of_a_method_is_kept_apart(seeds: range) -> None:
    table = configured(results(seeds=4))
    one = versioned(table if len(seeds) == 4 else table[table["seed"] < 2])
    other = versioned(table[table["seed"].isin(seeds)], method="2")
    magnitude = other["label"] == "magnitude"
    other.loc[magnitude, "trial_id"] += "x"
    found = joined([("one", one), ("two", other)])
    assert len(found.lines) == 1
    cells = reports.build(found.results, "t").tasks[0].cells
    assert cells["magnitude (two)", 0.1].accuracy.n == len(seeds)
    assert cells["random", 0.1].accuracy.n == 4
    plain = other.assign(versions=[json.dumps({"torch": "2"})] * len(other))  # as in rows of older versions
    if len(seeds) < 4:
        assert joined([("one", one), ("two", plain)]).lines == []


def test_rows_of_two_versions_without_a_mark_are_refused() -> None:
    one = configured(results())
    other = one.assign(trial_id=one["trial_id"] + "x")
    said = (
        r"results: dense, net-0 on data, scope fc, seed 0 stands twice \(trials 0-dense-None-0 and "
        r"0-dense-None-0x\), from two versions or two recipes; report them from folders of their own"
    )
    with pytest.raises(InputError, match=said):
        reports.build(joined([("one", one), ("two", other)]).results, "t")


def test_one_label_for_two_methods_is_kept_apart_on_different_tasks() -> None:
    one = configured(results())
    other = configured(results(), strength=0.1).replace({"network": {"net-0": "net-9"}})
    other = other.assign(trial_id=other["trial_id"] + "x")
    found = joined([("one", one), ("two", other)])
    assert [*dict.fromkeys(found.results["label"])] == ["dense", "random", "magnitude", "magnitude (two)"]
    third = other.replace({"network": {"net-9": "net-10"}}).assign(trial_id=other["trial_id"] + "y")
    again = joined([("one", one), ("two", other), ("three", third)])
    assert {*again.results["label"]} == {"dense", "random", "magnitude", "magnitude (two)"}


def test_a_network_of_another_size_is_another_task() -> None:
    one = configured(results())
    other = one.assign(
        config=[text.replace('"mlp"', '"mlp", "hidden": [9]') for text in one["config"]],
        trial_id=one["trial_id"] + "x",
    )
    found = joined([("one", one), ("two", other)])
    both, lines = found.results, found.lines
    assert [*dict.fromkeys(both["network"])] == ["net-0", "net-0 (two)"]
    assert lines == [
        "two: network 'net-0' not as in one (network.hidden: [9] instead of nothing): kept apart"
    ]


def test_a_conflict_is_named() -> None:
    one = configured(results())
    other = one.copy()
    other.loc[4, "test_accuracy"] = 0.5
    found = joined([("one", one), ("two", other)])
    both, lines = found.results, found.lines
    assert both["test_accuracy"].tolist() == one["test_accuracy"].tolist()
    assert len(lines) == 1
    assert lines[0].startswith(
        f"trial {one['trial_id'].tolist()[4]} has different test accuracies, 50.0000% to"
    )
    assert lines[0].endswith("; that of one counts")


def test_what_moved_beyond_noise() -> None:
    before = results(seeds=5, spread=0.001)
    after = before.assign(trial_id=before["trial_id"] + "x")
    draw = [0.0, 1e-4, -1e-4, 2e-4, -2e-4]
    hit = (after["label"] == "magnitude") & (after["target_density"] == 0.01)
    after.loc[hit, "test_accuracy"] += [0.01 + each for each in draw]
    noisy = (after["label"] == "random") & (after["target_density"] == 0.01)
    after.loc[noisy, "test_accuracy"] += draw
    table = changes(before, after[after["label"] != "dense"], ("old", "new"))
    found = {str(row[1]): row[-1] for row in table.rows}
    assert found == {"magnitude": "above", "random": "equal"}
    assert (
        table.notes[0]
        == "1 of 6 cells moved beyond noise; 4 are identical and left out; 0 trials are in both"
    )
    assert table.notes[1] == "only in old: dense on net-0 on data, scope fc (1 cell)"


def test_reports_of_folders(tmp_path: Path) -> None:
    table = configured(results(seeds=4))
    one = folder(tmp_path / "one", table[table["seed"] < 2])
    two = folder(tmp_path / "two", table[table["seed"] >= 1])
    assert len(report_joined([one, two], tmp_path / "out")) == len(table)
    assert "# one + two" in (tmp_path / "out" / "report.md").read_text()
    assert len(pd.read_parquet(tmp_path / "out" / "results.parquet")) == len(table)
    report_changes(one, two, tmp_path / "changes")
    assert (tmp_path / "changes" / "changes.csv").exists()


# What is shown


def test_methods_densities_columns_order_and_digits(tmp_path: Path) -> None:
    table = results()
    chosen = ReportOptions(
        methods=["random,magnitude"], densities=["0.1,0.010"], sort="0.01", columns=["0.1", "0.01"], digits=1
    )
    view = view_of(chosen, table)
    written(table, tmp_path, "title", view=view)
    text = (tmp_path / "tables" / "net-0_data_fc" / "accuracy.md").read_text()
    lines = text.splitlines()
    assert lines[0] == "| method | 0.1 | 0.01 |"
    assert [line.split(" ")[1] for line in lines[2:4]] == ["magnitude", "random"]
    assert re.fullmatch(r"\| random \| \d\d\.\d ± \d\.\d( †)? \| \d\d\.\d ± \d\.\d( †)? \|", lines[3])
    frame = pd.read_csv(tmp_path / "tables" / "net-0_data_fc" / "costs.csv")
    assert {*frame["method"]} == {"random", "magnitude"}
    assert {*frame["target"]} == {0.1, 0.01}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"methods": ["magnitud"]}, "--methods: unknown label 'magnitud'; did you mean 'magnitude'?"),
        ({"densities": ["0.2"]}, "--densities 0.2: should be among the target densities: 0.1, 0.05, 0.01"),
        ({"densities": ["low"]}, "--densities low: should be among the target densities"),
        ({"style": "papr"}, "--style: unknown style 'papr'; did you mean 'paper'? known: paper, wide"),
        ({"digits": 9}, "--digits 9: should be from 0 to 6"),
    ],
)
def test_choices_that_name_nothing_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        view_of(ReportOptions(**options), results())
    assert str(caught.value).startswith(said)


def test_an_unknown_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--sort: unknown column 'acuracy'; did you mean 'accuracy'"):
        written(results(), tmp_path, "t", view=view_of(ReportOptions(sort="acuracy"), results()))


def test_the_terminal_says_which_tables_have_the_chosen_columns() -> None:
    for options, said in (
        (ReportOptions(), []),
        (ReportOptions(sort="time:ascending"), ["costs"]),
        (ReportOptions(columns=["MACs"]), ["fronts", "costs"]),
    ):
        composed = reports.compose(results(), "t", view=view_of(options, results()))
        assert composed.view.applied(composed.sections) == said


def test_a_label_with_a_comma_is_one_label() -> None:
    table = results(["dense", "a,b", "random"])
    assert view_of(ReportOptions(methods=["a,b"]), table).methods == ["a,b"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report"], "DIR: name the folder of a comparison"),
        (["report", "--diff", "here"], "--diff: needs two folders, before and after; 1 were named"),
        (["report", "--diff", "here", "here", "--methods", "x"], "--diff: shows every cell that changed"),
        (["report", "nowhere"], "nowhere: no such folder"),
        (["report", "here", "--mlflow-uri", "x"], "--mlflow-uri: needs --experiment NAME as well"),
        (["report", "here", "--methods", ""], "--methods: unknown label ''"),
    ],
)
def test_the_command_says_what_is_missing(
    arguments: list[str], said: str, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "here", results())
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith(said)


def test_what_is_no_longer_measured_is_named() -> None:
    before = results()
    after = before.assign(trial_id=before["trial_id"] + "x")
    after.loc[after["label"] == "magnitude", ["status", "test_accuracy"]] = ["failed", None]
    notes = changes(before, after, ("old", "new")).notes
    assert notes[-1] == "measured only in old: magnitude on net-0 on data, scope fc (3 cells)"


def test_pairs_follow_the_labels_of_their_folder() -> None:
    one, other = configured(results()), configured(results(), strength=0.1)
    third = other.assign(trial_id=other["trial_id"] + "y")
    other = other.assign(trial_id=other["trial_id"] + "x")
    found = joined([("one", one), ("two", other), ("three", third)])
    assert found.labels == [{}, {"magnitude": "magnitude (two)"}, {"magnitude": "magnitude (two)"}]
    assert [*dict.fromkeys(found.results["label"])] == ["dense", "random", "magnitude", "magnitude (two)"]


def test_folders_of_different_densities(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", configured(results(densities=[0.1, 0.05])))
    other = configured(results(densities=[0.2], network="other"))
    two = folder(tmp_path / "two", other.assign(trial_id=other["trial_id"] + "x"))
    report_joined([one, two], tmp_path / "out", options=ReportOptions(densities=["0.1"]))
    text = (tmp_path / "out" / "report.md").read_text()
    assert "net-0 on data" in text
    assert "| method | no target | n |" in text.split("## other on data")[1]  # its dense control alone


def test_methods_of_another_training_are_another_task() -> None:
    """Else a method would be compared with the dense control, and its controls, of another recipe."""
    one = configured(results())
    other = one.assign(
        config=[text.replace('"epochs": 3', '"epochs": 30') for text in one["config"]],
        trial_id=one["trial_id"] + "x",
    )
    found = joined([("one", one), ("two", other)])
    assert [*dict.fromkeys(found.results["dataset"])] == ["data", "data (two)"]
    assert [*dict.fromkeys(found.results["label"])] == ["dense", "random", "magnitude"]
    assert found.lines == [
        "two: tasks on 'data' not as in one (training.epochs: 30 instead of 3): kept apart"
    ]


def test_a_strength_that_was_found_is_no_other_method() -> None:
    """Two folders find strengths for other densities, each with its own calibration runs."""
    one, two = configured(results()), configured(results(densities=[0.05]), strength=0.3)
    for table, strength in ((one, 0.2), (two, 0.3)):
        table["trial_id"] += str(strength)
        matched = table["label"] == "magnitude"
        for index in table.index[matched]:
            config = json.loads(table.loc[index, "config"])
            config["aim"] = {"density": config["density"], "strength": strength, "trainings": 3}
            config["method"]["strength"] = strength
            table.loc[index, "config"] = json.dumps(config)
    found = joined([("one", one), ("two", two)])
    assert (found.lines, {*found.results["label"]}) == ([], {"dense", "random", "magnitude"})
    given = json.loads(two["config"].iloc[-1]) | {"aim": None}
    two["config"] = [*two["config"].iloc[:-3], *3 * [json.dumps(given)]]
    assert "magnitude (two)" in {*joined([("one", one), ("two", two)]).results["label"]}


def test_a_selection_is_written_beside_the_full_report(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", results())
    arguments = ["report", str(one), "--out", str(tmp_path / "selection"), "--methods", "random"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (tmp_path / "selection" / "index.html").exists()
    assert not (one / "report").exists()
