"""Tables say what was measured, with n, and what was not."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import written
from rich.console import Console

from switchbench import reports
from switchbench.compare.choices import split_pair
from switchbench.errors import InputError
from switchbench.reports.cells import Task
from switchbench.reports.formats.terminal import show
from switchbench.reports.grouping import _by_layer
from switchbench.reports.tables import catalogue
from switchbench.reports.tables.table import Entry, Number, Table
from switchbench.row import columns


def rows() -> pd.DataFrame:
    """Two densities, three seeds: one trial failed, one is missing, one method has one seed."""
    records: list[dict[str, Any]] = []

    def add(label: str, seed: int, target: float, accuracy: float, **more: Any) -> None:
        density = 1.0 if np.isnan(target) else target
        record = dict.fromkeys(columns()) | {
            "trial_id": f"{label}-{seed}-{target}", "label": label, "method": more.pop("method", label),
            "network": "net_a", "dataset": "data", "scope": "fc", "seed": seed, "target_density": target,
            "status": "ok", "test_accuracy": accuracy, "density": density, "density_prunable": density,
            "density_network": density, "macs": int(1000 * density), "macs_dense": 1000, "macs_shrunk": 500, "train_seconds": 2.0,
            "method_seconds": 1.0, "train_flops": 3e6, "method_flops": 1e6, "steps": 10, "parameters": 1000, "method_parameters": 0, "test_top5": 1.0, "test_loss": 0.1,
            "val_accuracy": 0.9, "density_layers": f'{{"first": {density / 2}, "last": {density * 2}}}',
        } | more  # fmt: skip
        records.append(record)

    for seed, accuracy in enumerate((0.90, 0.92, 0.94)):
        add("dense", seed, float("nan"), accuracy, train_seconds=1.0)
        add("prune", seed, 0.1, accuracy - 0.1)
        status = {2: {"status": "failed", "error": "Boom: 100% & _more_", "test_accuracy": None}}.get(
            seed, {}
        )
        add("prune", seed, 0.05, accuracy - 0.2, **status)
    add("once", 0, 0.1, 0.5)
    add("once", 0, 0.05, 0.4, status="missing", test_accuracy=None)
    return pd.DataFrame(records)


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    written(rows(), tmp_path, "title")
    return tmp_path


def test_markdown(drawn: Path) -> None:
    text = (drawn / "report.md").read_text()
    lines = [line.replace(" ", "") for line in text.splitlines()]
    assert "|method|0.1|0.05|notarget|n|" in lines
    assert "|dense|||92.00±4.97@100.00%|3|" in lines
    assert "|prune|82.00±4.97|71.00±12.71(2of3)||2–3|" in lines
    assert "|once|50.00|nonemeasured||0–1|" in lines  # one seed: no interval
    assert (
        r"- failed: prune at density 0.05, net_a on data, scope fc, seed 2 (trial prune-2-0.05): Boom: 100% & \_more\_"
        in text
    )
    assert "- missing: once at density 0.05, net_a on data, scope fc, seed 0" in text


def test_layers_without_a_connection_are_named() -> None:
    table = rows()
    hit = (table["label"] == "prune") & (table["target_density"] == 0.1) & (table["seed"] > 0)
    table.loc[hit, "density_layers"] = '{"first": 0.2, "last": 0.0}'
    lines = reports.text(reports.build(table, "title")).splitlines()
    assert "- prune: no connection is left in layer last at 0.1 (2 of 3 seeds)" in lines
    assert not [line for line in lines if "no connection is left" in line and "prune" not in line]


def test_cost_table(drawn: Path) -> None:
    text = (drawn / "report.md").read_text().replace(" ", "")
    assert "|prune|0.05|5.000%|5.000%|5.000%|100.00%|50|20.0×|500|10|0|1.50×|2×|" in text


def test_a_table_is_one_function(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def seeds(task: Task) -> Table:
        rows: list[list[Entry]] = [
            [cell.label, Number(cell.planned, digits=0)] for cell in task.cells.values()
        ]
        return Table("seeds", "How many seeds were planned.", ["method", "planned seeds"], rows)

    monkeypatch.setattr(catalogue, "TASK_TABLES", (*catalogue.TASK_TABLES, seeds))
    written(rows(), tmp_path, "title")
    text = (tmp_path / "report.md").read_text()
    assert "| method | planned seeds |" in text
    assert "| dense | 3 |" in text
    assert "How many seeds were planned." in text


def test_layer_table(drawn: Path) -> None:
    text = (drawn / "report.md").read_text()
    assert "| method | target | first | last |" in text
    assert "| prune | 0.05 | 2.500% | 10.000% |" in text


def test_csv_has_every_number(drawn: Path) -> None:
    table = pd.read_csv(drawn / "cells.csv").set_index(["label", "target_density"])
    prune, once = table.xs(("prune", 0.1)), table.xs(("once", 0.1))
    assert prune["test_accuracy_mean"] == pytest.approx(0.82)
    assert prune["test_accuracy_ci95"] == pytest.approx(4.302653 * 0.02 / 3**0.5)
    assert (prune["n"], prune["planned"]) == (3, 3)
    assert (prune["time_over_plain_min"], prune["time_over_plain_max"]) == (2, 2)
    assert prune["flops_over_plain"] == 1.5
    assert np.isnan(once["test_accuracy_ci95"])
    assert len(table) == 5


def test_training_flops_are_compared_with_those_of_plain_training() -> None:
    """Rows of older versions have only the difference, which was negative where sparse kernels saved."""
    older = rows().assign(train_flops=3e6, method_flops=-9e6, plain_flops=None)
    newer = older.assign(method_flops=1e6, plain_flops=12e6)
    for table in (older, newer, older.drop(columns="plain_flops"), pd.concat([older[:5], newer[5:]])):
        (task,) = reports.build(table, "title").tasks
        assert task.cells["prune", 0.1].flops == 0.25


def test_latex_is_escaped_and_balanced(drawn: Path) -> None:
    text = (drawn / "report.tex").read_text()
    assert "net\\_a on data" in text
    assert "prune & 82.00 & $\\pm$ 4.97 & 71.00 & $\\pm$ 12.71 (2 of 3) & " in text
    assert text.count("\\begin{") == text.count("\\end{") > 10
    body = [line for line in text.splitlines() if line and not line.startswith("%")]
    assert not any("%" in line.replace("\\%", "") for line in body)


def test_unknown_macs_are_no_number() -> None:
    text = reports.text(reports.build(rows().assign(macs=np.nan, macs_dense=np.nan), "title"))
    assert "nan" not in text
    assert "| – | –" in text


def test_macs_of_the_shrunk_network_stand_where_rows_have_them() -> None:
    assert "| MACs without dead units |" in (text := reports.text(reports.build(rows(), "title")))
    assert "| 500 |" in text
    older = rows().assign(macs_shrunk=np.nan)
    assert "| MACs without dead units |" not in reports.text(reports.build(older, "title"))


def test_a_dense_start_is_said_where_there_is_one() -> None:
    said = "started from the same trained dense network"
    assert said not in reports.text(reports.build(rows(), "title"))
    assert said in reports.text(reports.build(rows().assign(start="abc"), "title"))


def test_the_same_results_draw_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        reports.write(reports.compose(rows(), "title"), tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert {"report.md", "report.tex", "index.html", "cells.csv"} <= {str(path) for path in files}
    assert len([path for path in files if path.suffix == ".pdf"]) > 3
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_numbers_are_never_cut_on_a_narrow_terminal() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=30)
    reports.show(reports.compose(rows(), "title"), console)
    assert "92.00 ± 4.97 @ 100.00%" in stream.getvalue()
    assert "…" not in stream.getvalue()
    assert "Boom: 100% & _more_" in stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_the_best_is_marked_where_bold_cannot_be_seen(terminal: bool) -> None:
    stream = io.StringIO()
    best = Table("t", "caption", ["method", "a"], [["m", Number(0.5, best=True)], ["n", Number(0.25)]])
    show(best, "title", Console(file=stream, width=80, force_terminal=terminal))
    assert ("\x1b[1m" in stream.getvalue().split("0.50")[0][-8:]) == terminal
    assert ("**0.50**" in stream.getvalue()) == (not terminal)
    assert "**0.25**" not in stream.getvalue()


def test_brackets_are_text(tmp_path: Path) -> None:
    table = rows().replace({"label": {"prune": "prune [strong] x[/x]"}})
    stream = io.StringIO()
    reports.show(written(table, tmp_path, "title"), Console(file=stream, width=200))
    assert "prune [strong] x[/x]" in stream.getvalue()


def test_every_connection_off_is_an_infinite_compression() -> None:
    table = rows()
    table.loc[table["label"] == "once", ["density", "macs"]] = 0
    assert "inf×" in reports.text(reports.build(table, "title"))


def test_a_missed_target_is_marked(tmp_path: Path) -> None:
    table = rows()
    table.loc[(table["label"] == "prune") & (table["target_density"] == 0.1), "density"] = 1.0
    written(table, tmp_path, "title")
    assert "| prune | 82.00 ± 4.97 @ 100.00% | 71.00" in (tmp_path / "report.md").read_text()


def test_reports_of_nothing_but_failures(tmp_path: Path) -> None:
    table = rows().assign(status="failed", error="no", test_accuracy=None)
    written(table, tmp_path, "title")
    assert "none measured" in (tmp_path / "report.md").read_text()


def with_controls() -> pd.DataFrame:
    """``prune`` with a control that lies 0, 0 and 3 points below it, and another that lies 5 below."""
    table = rows()[lambda table: (table["label"] == "prune") & (table["target_density"] == 0.1)]
    near = table.assign(label="near", method="near", control_of="prune")
    near["test_accuracy"] -= np.array([0.0, 0.0, 0.03])
    far = table.assign(
        label="far", method="far", control_of="prune", test_accuracy=table["test_accuracy"] - 0.05
    )
    alone = far[far["seed"] == 1].assign(label="alone", method="alone")
    joined: pd.DataFrame = pd.concat([table.assign(label="variant"), table, near, far, alone])
    return joined.sample(frac=1, random_state=0)


def test_controls_are_paired_by_seed_and_ties_are_named() -> None:
    table = with_controls().sort_values("label", ascending=False)  # "variant" is the method's first label
    (task,) = reports.build(table, "title").tasks
    found = {contrast.against: contrast for contrast in task.contrasts}
    assert set(found) == {"near", "far", "alone"}
    assert {contrast.label for contrast in task.contrasts} == {"variant"}
    near, far, alone = (found[name].differences[0.1].summary for name in ("near", "far", "alone"))
    assert (near.n, far.n, alone.n) == (3, 3, 1)
    assert near.mean == pytest.approx(0.01)
    assert near.interval == pytest.approx(4.302653 * 0.03 / 3**0.5 / 3**0.5)
    assert far.mean == alone.mean == pytest.approx(0.05)
    assert np.isnan(far.interval)  # of a spread of zero
    assert found["near"].verdict == "variant: undecided against near at 0.1 (+23 seeds)"
    assert found["far"].verdict == "variant: no spread over seeds, no verdict against far at 0.1"
    assert found["alone"].verdict == "variant: one seed, no verdict against alone at 0.1"
    text = reports.text(reports.build(table, "title"))
    assert "| variant | near | +1.00 ± 4.30 (n = 3) |" in text
    assert "- variant: no spread over seeds, no verdict against far at 0.1" in text


def test_differences_are_tested_as_one_family() -> None:
    table = rows()
    table.loc[table["label"] == "prune", "test_accuracy"] -= table["seed"] * 1e-4  # some spread over seeds
    report = reports.build(table, "title", [("prune", "dense")], 0.005)
    (contrast,) = report.tasks[0].contrasts
    tested = [each for each in contrast.differences.values() if each.p == each.p]
    smallest = min(tested, key=lambda each: each.p)
    assert smallest.p_corrected == pytest.approx(min(1, len(tested) * smallest.p))
    lines = reports.text(report).splitlines()
    start = lines.index(
        "| method | against | density | n | difference | p | p Holm | p equal | p equal Holm | verdict | seeds |"
    )
    assert lines[start + 2].startswith("| prune | dense | 0.1 | 3 | -10.0")
    assert len([line for line in lines[start:] if line.startswith("| prune | dense |")]) == len(tested)
    assert "a difference of at least 0.5 points" in reports.text(report)


def test_a_control_without_its_method_is_no_contrast() -> None:
    table = with_controls()
    (task,) = reports.build(table[table["method"] != "prune"], "title").tasks
    assert task.contrasts == []


def test_any_two_methods_can_be_compared() -> None:
    table = rows()
    (task,) = reports.build(table, "title", [("prune", "dense"), ("once", "prune"), ("once", "absent")]).tasks
    over_dense, once = task.contrasts
    assert over_dense.differences[0.1].summary.mean == pytest.approx(-0.1)
    assert over_dense.differences[0.1].summary.n == 3
    assert over_dense.differences[0.05].summary.n == 2  # one of prune's seeds failed
    assert once.verdict == "once: one seed, no verdict against prune at 0.1"
    (task,) = reports.build(table, "title", [("dense", "dense")]).tasks
    assert task.contrasts == []  # both without a target: nothing to pair at
    later = table[table["label"] == "once"].assign(label="later", seed=7)
    (task,) = reports.build(pd.concat([table, later]), "title", [("later", "prune")]).tasks
    assert (
        task.contrasts[0].verdict
        == "later: not compared with prune: no seed in common, or denser than the target"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:b", ("a", "b")),
        ("x:y:b", ("x:y", "b")),
        ("b:x:y", ("b", "x:y")),
        ("x:y:x:y", ("x:y", "x:y")),
        ("x:y:c", ("x:y", "c")),
    ],
)
def test_a_pair_is_split_at_the_colon_between_labels(text: str, expected: tuple[str, str]) -> None:
    assert split_pair(text, {"a", "b", "x:y"}) == expected


def test_a_pair_that_may_name_several_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        split_pair("a:b:c", {"a", "b:c", "a:b", "c"})
    assert str(caught.value) == (
        "--pair 'a:b:c': may name 'a' and 'b:c' or 'a:b' and 'c'; use against in the spec"
    )
    with pytest.raises(InputError, match="--pair 'a:': should be the labels of two methods as A:B"):
        split_pair("a:", {"a"})


def test_densities_of_layers_that_are_no_numbers_are_unknown() -> None:
    stored = ['{"1": "x", "3": 0.5}', '{"1": null, "3": "0"}', '{"3": 0, "5": [1]}']
    assert {name: values.tolist() for name, values in _by_layer(stored).items()} == {"3": [0.5, 0]}
