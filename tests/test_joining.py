"""Several folders in one report, what changed between two, and what is shown of one."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from made_up import results, written
from typer.testing import CliRunner

from switchbench import reports
from switchbench.cli.app import app
from switchbench.compare.choices import view_of
from switchbench.compare.inert import without_inert
from switchbench.compare.report import report_changes, report_joined
from switchbench.compare.report_options import ReportOptions
from switchbench.compare.sources import sources_of
from switchbench.errors import InputError
from switchbench.reports.changes import changes
from switchbench.reports.join import joined
from switchbench.reports.mixed import mixed
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


def test_old_rows_hide_no_other_version() -> None:
    """Rows of older versions do not name the version of a method: they say nothing of that of others."""
    table = configured(results(seeds=6))
    old = table[table["seed"] < 2].assign(versions=json.dumps({"torch": "2"}))
    one, other = versioned(table[table["seed"].isin([2, 3])]), versioned(table[table["seed"] > 3], method="2")
    for folders in (
        [("old", old), ("one", one), ("two", other)],
        [("one", one), ("old", old), ("two", other)],
    ):
        found = joined(folders)
        assert found.lines == ["two: label 'magnitude' not as in one (version: 2 instead of 1): kept apart"]
        cells = reports.build(found.results, "t").tasks[0].cells
        counts = [cells[key, 0.1].accuracy.n for key in ("random", "magnitude", "magnitude (two)")]
        assert counts == [6, 4, 2]


def test_an_old_row_in_a_folder_hides_no_other_version() -> None:
    table = configured(results(seeds=4))
    one, other = versioned(table[table["seed"] < 2]), versioned(table[table["seed"] > 1], method="2")
    one.loc[one["seed"] == 0, "versions"] = None
    assert len(joined([("one", one), ("two", other)]).lines) == 1


def test_another_version_is_kept_apart_on_different_tasks() -> None:
    """Ranks over tasks would put both under one name."""
    one = versioned(configured(results()))
    other = versioned(configured(results(network="net-9")), method="2")
    found = joined([("one", one), ("two", other.assign(trial_id=other["trial_id"] + "x"))])
    assert found.labels == [{}, {"magnitude": "magnitude (two)"}]


@pytest.mark.parametrize("shared", [1, 3], ids=["one seed in both", "all seeds in both"])
def test_one_method_of_two_labels_stands_under_the_first(shared: int) -> None:
    every = configured(results(seeds=3))
    one = every[(every["label"] != "magnitude") | (every["seed"] < shared)]
    two = every.replace({"label": {"magnitude": "magnitude tuned"}})
    found = joined([("one", one), ("two", two)])
    assert found.lines == [
        f"two: label 'magnitude tuned' is 'magnitude' in one ({3 * shared} trials in both): shown under one name"
    ]
    cells = reports.build(found.results, "t").tasks[0].cells
    assert {key: cell.accuracy.n for key, cell in cells.items() if key[1] == 0.1} == {
        ("random", 0.1): 3,
        ("magnitude", 0.1): 3,
    }
    assert found.labels == [{}, {"magnitude tuned": "magnitude"}]


def test_two_names_of_one_thing_that_only_a_third_folder_shows() -> None:
    every = configured(results(seeds=4))
    tables = [
        every[every["seed"].isin(seeds)].replace({"label": {"magnitude": label}})
        for label, seeds in (("a", [0, 1]), ("b", [2, 3]), ("c", [1, 2]))
    ]
    found = joined([*zip(("one", "two", "three"), tables, strict=True)])
    assert found.labels == [{}, {"b": "a"}, {"c": "a"}]
    assert reports.build(found.results, "t").tasks[0].cells["a", 0.1].accuracy.n == 4


def test_one_network_of_two_labels_is_one_task() -> None:
    every = configured(results(seeds=3))
    other = every.replace({"network": {"net-0": "small"}})
    found = joined([("one", every[every["seed"] < 2]), ("two", other[other["seed"] > 0])])
    (task,) = reports.build(found.results, "t").tasks
    assert {cell.accuracy.n for cell in task.cells.values()} == {3}
    assert found.lines == ["two: network 'small' is 'net-0' in one (7 trials in both): shown under one name"]


def test_what_is_kept_apart_is_not_united_for_what_it_shares() -> None:
    """A method with a training of its own may be the same under two recipes; its dense control is not."""
    every = configured(results(seeds=4))
    one, two = every.query("seed < 2"), every.query("seed > 0")
    other = two["label"] != "magnitude"
    longer = two["config"].str.replace('"epochs": 3', '"epochs": 30')
    two = two.assign(
        config=longer.where(other, two["config"]),
        trial_id=two["trial_id"].where(~other, two["trial_id"] + "x"),
    )
    found = joined([("one", one), ("two", two)])
    assert [*dict.fromkeys(found.results["dataset"])] == ["data", "data (two)"]
    assert found.lines == [
        "two: tasks on 'data' not as in one (training.epochs: 30 instead of 3): kept apart",
        *(
            f"two: 1 trial of 'magnitude' on net-0, data (two) at {density} shown as 'magnitude' on net-0, data at "
            f"{density} alone, as in one"
            for density in (0.1, 0.05, 0.01)
        ),
    ]


def test_a_trial_of_two_cells_is_named() -> None:
    """Its strength may be the default of one folder, and found for a density in the other."""
    every = configured(results(seeds=3))
    other = every.copy()
    other.loc[other["target_density"] == 0.01, "target_density"] = 0.011
    found = joined([("one", every[every["seed"] == 0]), ("two", other)])
    assert found.lines == [
        f"two: 1 trial of '{label}' on net-0, data at 0.011 shown as '{label}' on net-0, data at 0.01 alone, "
        "as in one"
        for label in ("random", "magnitude")
    ]


def test_a_curve_is_that_of_one_training() -> None:
    """A trial that failed in one folder has the beginning of its curve there."""
    table = results(["magnitude"], [0.1], seeds=2)
    one, two = table["trial_id"]
    curves = [
        pd.DataFrame(points, columns=["trial_id", "step", "val_accuracy"])
        for points in (
            [(one, 1, 0.1), (two, 1, 0.2), (two, 2, 0.2)],
            [(one, 1, 0.3), (one, 2, 0.3), (two, 1, 0.4)],
            [],
        )
    ]
    ledgers: Any = [
        SimpleNamespace(curve_table=lambda _, each=each: each, has_networks=False) for each in curves
    ]
    found = sources_of(ledgers, table).curves
    assert found is not None
    assert found.values.tolist() == [[two, 1, 0.2], [two, 2, 0.2], [one, 1, 0.3], [one, 2, 0.3]]


def test_a_newer_option_that_changes_nothing_is_no_difference() -> None:
    every = configured(results(seeds=4))
    old, new = every[every["seed"] < 2], every[every["seed"] > 1]
    newer = [
        text.replace('"epochs": 3', '"epochs": 3, "kernels": "dense"').replace(
            '"label": "magnitude"', '"label": "magnitude", "power": 3.0'
        )
        for text in new["config"]
    ]
    for folders in (
        [("old", old), ("new", new.assign(config=newer))],
        [("new", new.assign(config=newer)), ("old", old)],
    ):
        found = joined(folders, without_inert)
        assert found.lines == []
        assert {cell.accuracy.n for cell in reports.build(found.results, "t").tasks[0].cells.values()} == {4}
    sparse = [text.replace('"kernels": "dense"', '"kernels": "sparse"') for text in newer]
    assert joined([("old", old), ("new", new.assign(config=sparse))], without_inert).lines == [
        "new: tasks on 'data' not as in old (training.kernels: sparse instead of nothing): kept apart"
    ]


def test_a_name_that_is_taken_is_given_to_nothing_else() -> None:
    one = configured(results())
    again = configured(results(["magnitude"]), strength=0.1).replace(
        {"label": {"magnitude": "magnitude (two)"}}
    )
    one = pd.concat([one, again.assign(trial_id=again["trial_id"] + "x")])
    two = configured(results(), strength=0.2)
    found = joined([("one", one), ("two", two.assign(trial_id=two["trial_id"] + "y"))])
    assert found.labels == [{}, {"magnitude": "magnitude (two, 2)"}]


def test_a_table_that_was_put_together_of_what_differs_is_named() -> None:
    every = configured(results(seeds=4))
    one, two = versioned(every.query("seed < 2")), every.query("seed > 1")
    again = configured(two, strength=0.1)
    for other, said in (
        (two, []),
        (
            versioned(two, method="2"),
            ["label 'magnitude' stands for trials that differ (version: 2 instead of 1)"],
        ),
        (
            again,
            ["label 'magnitude' stands for trials that differ (method.strength: 0.1 instead of nothing)"],
        ),
        (again.query("label != 'magnitude'"), []),
    ):
        lines = mixed(pd.concat([one, other]))
        assert lines == [f"{line}: report them from folders of their own" for line in said]
    newer = two.assign(config=two["config"].str.replace('"epochs": 3', '"epochs": 3, "kernels": "dense"'))
    assert mixed(pd.concat([one, newer]), without_inert) == []
    assert mixed(pd.concat([one, newer])) != []
    for odd in ("x", "[]", "{}", '{"network": "mlp"}', None):
        assert mixed(one.assign(config=odd, versions=odd)) == []


def test_one_label_of_two_methods_without_configs_is_refused() -> None:
    one = results(["dense", "a"], seeds=4)
    other = one.replace({"method": {"a": "b"}})
    every = joined([("one", one[one["seed"] < 2]), ("two", other[other["seed"] > 1])]).results
    with pytest.raises(
        InputError, match="results: label 'a' is that of 'a' and 'b'; report them from folders"
    ):
        reports.build(every, "t")


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


def test_a_control_that_is_kept_apart_is_compared_with_the_method_of_its_folder() -> None:
    one = configured(results(["magnitude", "random"])).assign(control_of=None)
    one.loc[one["label"] == "random", "control_of"] = "magnitude"
    other = [text.replace('"method": {', '"method": {"strength": 0.1, ') for text in one["config"]]
    found = joined([("one", one), ("two", one.assign(config=other, trial_id=one["trial_id"] + "x"))])
    (task,) = reports.build(found.results, "t").tasks
    assert [(each.label, each.against) for each in task.contrasts] == [
        ("magnitude", "random"),
        ("magnitude (two)", "random (two)"),
    ]


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


def test_what_changed_says_which_names_stand_for_something_else() -> None:
    before, after = configured(results()), configured(results(spread=0.002), strength=0.1)
    notes = changes(before, after.assign(trial_id=after["trial_id"] + "x"), ("old", "new")).notes
    assert notes[1:] == ["new: label 'magnitude' not as in old (method.strength: 0.1 instead of nothing)"]


def test_reports_of_folders(tmp_path: Path) -> None:
    table = configured(results(seeds=4))
    one = folder(tmp_path / "one", table[table["seed"] < 2])
    two = folder(tmp_path / "two", table[table["seed"] >= 1])
    missed = {
        "network": "net-0",
        "dataset": "data",
        "scope": "fc",
        "method": "str",
        "density": 0.1,
        "strength": None,
    }
    (two / "spec.yaml").write_text(json.dumps({"name": "two", "strengths": [missed]}))
    assert len(report_joined([one, two], tmp_path / "out")) == len(table)
    text = (tmp_path / "out" / "report.md").read_text()
    assert "# one + two" in text
    assert "not reached: two: str on net-0, data, fc at 0.1" in text
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
        (ReportOptions(columns=["density"]), ["summary", "costs"]),  # in other tables it tells rows apart
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
        (["report", "--diff", "here"], "--diff: needs two folders, before and after; got 1"),
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
