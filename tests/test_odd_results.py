"""Reports of odd results: a correct report, or one clear line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import results, written

from switchbench import reports
from switchbench.errors import InputError
from switchbench.reports.formats.flat import frame
from switchbench.reports.tables.accuracy import accuracy
from switchbench.reports.tables.catalogue import sections
from switchbench.row import Row, columns
from switchbench.store import parquet
from switchbench.store.ledger import Ledger


def numbers(table: pd.DataFrame) -> str:
    """Return the report's text, which never shows what is no number."""
    text = reports.text(reports.build(table, "title"))
    assert "nan" not in text.replace("dominan", "")
    return text


def test_no_results(tmp_path: Path) -> None:
    composed = written(results().iloc[:0], tmp_path, "title")
    assert composed.report.tasks == []
    assert (
        tmp_path / "report.md"
    ).read_text() == "# title\n\nNo trial is planned: there is nothing to report.\n"
    assert (tmp_path / "report.tex").exists()


def test_one_trial(tmp_path: Path) -> None:
    table = results(["magnitude"], [0.1], seeds=1)
    written(table, tmp_path, "title")
    text = numbers(table)
    accuracy = 100 * table["test_accuracy"].item()
    assert f"| magnitude | {accuracy:.2f} | 1 |" in text
    assert "Differences from the dense control need the method dense in every task." in text


def test_one_seed_decides_nothing() -> None:
    table = results(seeds=1)
    text = reports.text(reports.build(table, "title", [("magnitude", "random")]))
    assert "magnitude has the highest accuracy" in text
    assert "with one seed no test is possible" in text
    assert "is more accurate than" not in text
    assert "†" not in "".join(line for line in text.splitlines() if line.startswith("|"))  # there was no test
    assert "differs significantly" not in text
    assert "±" not in "".join(line for line in text.splitlines() if line.startswith("| magnitude"))


def test_nothing_but_failures() -> None:
    table = results().assign(status="failed", test_accuracy=None, error="no room")
    text = numbers(table)
    assert "none measured" in text
    assert "## Findings" not in text
    assert text.count("failed: random at density 0.1") == 3


def test_columns_of_a_newer_version_are_missing(tmp_path: Path) -> None:
    """Results of a version before MACs, top-5, memory and idle methods were stored."""
    whole = results()
    older = whole.drop(
        columns=["macs", "macs_dense", "macs_shrunk", "test_top5", "peak_memory", "idle", "run"]
    )
    older.to_parquet(tmp_path / "results.parquet")
    read = Ledger(tmp_path).results()
    assert [*read.columns] == columns()
    text = numbers(read)
    assert "| magnitude | 0.1 |" in text
    assert "top-5 is missing for dense, random, magnitude" in text
    assert "| compression and theoretical speedup, both counted from the finished network | no |" in text


def test_an_accuracy_that_is_no_number_is_no_measurement() -> None:
    table = results()
    table.loc[(table["label"] == "random") & (table["seed"] == 0), "test_accuracy"] = np.nan
    report = reports.build(table, "title")
    assert report.tasks[0].cells["random", 0.1].accuracy.n == 2
    assert len(report.problems) == 3
    assert "ok: random at density 0.1" in report.problems[0]


def test_skips_of_one_cause_are_one_line_and_count_each() -> None:
    table = results()
    hit = table["label"] == "random"
    for column, value in (("status", "skipped"), ("error", "needs batch norms"), ("test_accuracy", np.nan)):
        table.loc[hit, column] = value
    report = reports.build(table, "title")
    assert report.unmeasured == int(hit.sum()) > 1
    (line,) = report.problems
    assert line.startswith("skipped: random, ")
    assert line.endswith(f"{report.unmeasured} trials: needs batch norms")


def test_forty_methods_twelve_densities_nine_tasks() -> None:
    methods = ["dense", "random", "magnitude", *(f"method-{i}" for i in range(37))]
    table = results(methods, np.geomspace(0.5, 0.001, 12).tolist(), seeds=2, tasks=9)
    made = sections(reports.build(table, "title"))
    assert len(made) == 10
    assert len({section.folder for section in made}) == 10
    leaderboard = made[-1].tables[0]
    assert [row[0] for row in leaderboard.rows][:2] == ["method-36", "method-35"]
    for section in made:
        for each in section.tables:
            assert {len(row) for row in each.rows} == {len(each.header)}, each.name
            assert len({*each.header}) == len(each.header), each.name  # columns of its data


def test_a_network_that_died_at_density_zero() -> None:
    table = results()
    dead = table["label"] == "random"
    table.loc[dead, ["density", "density_prunable", "density_network", "macs"]] = 0.0
    assert "| random | 0.1 | 0.000% |" in numbers(table)


def test_layers_of_two_sizes_of_network_and_odd_json() -> None:
    table = results()
    table.loc[table.index[0], "density_layers"] = json.dumps({"other": 0.5, "odd": "x"})
    text = numbers(table)
    assert (
        "| method | target | other | first | last |" in text or "| method | target | first | last |" in text
    )


def test_a_status_that_nobody_knows_is_named(tmp_path: Path) -> None:
    table: Any = results()
    table.loc[0, "status"] = "odd"
    parquet.write_table(tmp_path / "results.parquet", table, Row)
    with pytest.raises(InputError, match="status 'odd' is unknown to this version"):
        Ledger(tmp_path).results()


def test_a_method_that_ended_denser_is_called_so() -> None:
    table = results(seeds=3)
    hit = (table["label"] == "magnitude") & (table["target_density"] == 0.01)
    table.loc[hit, "density"] = 0.5
    report = reports.build(table, "t", [("magnitude", "random")])
    tables = {each.name: each for section in sections(report) for each in section.tables}
    for name, keys in (("to-dense", ["magnitude"]), ("differences", ["magnitude", "random"])):
        (row,) = (row for row in tables[name].rows if row[: len(keys)] == keys)
        assert row[tables[name].header.index("0.01")] == "denser"


def test_columns_of_one_heading_are_all_kept_as_data() -> None:
    report = reports.build(results(densities=[0.3, 0.1 * 3]), "t")
    columns = frame(accuracy(report.tasks[0]))
    assert [each for each in map(str, columns) if each.strip("'") == "0.3"] == ["0.3", "0.3'"]
    assert (columns["0.3"] != columns["0.3'"]).any()
