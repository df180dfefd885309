"""Every table compiles in a plain article, in one column and in two, without an overfull box."""

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from made_up import results, written

from switchbench.reports.formats.latex import PACKAGES, Style, floats
from switchbench.reports.tables.table import Entry, Number, Table
from switchbench.reports.view import View

needs_latex = pytest.mark.skipif(not shutil.which("pdflatex"), reason="LaTeX is not installed")
LONG = "a-method-with-a-long-name-and-an-option_of_0.001"
ODD = ["50 % & <a|b> _x_", "λ ≤ 中文 é", "x" * 80]


def compiled(folder: Path, input_: str, options: str = "") -> str:
    """Compile a file that reads another, and return LaTeX's log."""
    text = f"\\documentclass[{options}]{{article}}\n{PACKAGES}\n\\begin{{document}}\n{input_}\n\\end{{document}}\n"
    (folder / "main.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
    log = (folder / "main.log").read_text(encoding="latin-1")
    return "\n".join(
        line for line in log.splitlines() if re.search(r"^!|Overfull|Float too large|Undefined", line)
    )


@needs_latex
@pytest.mark.parametrize("options", ["", "twocolumn"])
@pytest.mark.parametrize("style", Style)
def test_all_tables_of_a_report_compile(tmp_path: Path, options: str, style: Style) -> None:
    methods = ["dense", "random", "magnitude", LONG, *ODD]
    densities = [0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002, 0.001]
    table = results(methods, densities, dataset=LONG)
    table.loc[5, ["status", "test_accuracy", "error"]] = ["failed", None, "Boom_ & % \\ {"]
    pairs = [(method, "magnitude") for method in methods[3:]]
    written(table, tmp_path, pairs=pairs, view=View(style=style))
    assert compiled(tmp_path, "\\input{report}", options) == ""


@needs_latex
def test_a_table_can_be_taken_by_its_name(tmp_path: Path) -> None:
    written(results(), tmp_path, "title")
    assert (
        compiled(tmp_path, "\\input{tables/net-0_data_fc/accuracy}\\input{tables/all-tasks/leaderboard}")
        == ""
    )


def test_a_wide_table_is_split_or_turned() -> None:
    header = ["method", *(f"column {i}" for i in range(20))]
    wide = Table("wide", "Caption.", header, [["a", *(Number(99.99, 0.25) for _ in range(20))]])
    split = floats(wide, "title")
    assert split.count("\\begin{table*}") > 2
    assert split.count("Caption.") == 1
    assert split.count("(part ") == split.count("\\begin{table*}")
    assert all(split.count(f"{{column {i}}}") + split.count(f"column\\\\{i}}}") == 1 for i in range(20))
    turned = floats(wide, "title", Style.WIDE)
    assert 0 < turned.count("\\begin{sidewaystable*}") < split.count("\\begin{table*}")


def test_numbers_are_siunitxs_and_what_follows_has_its_own_column() -> None:
    rows: list[list[Entry]] = [
        ["a", Number(9.5, 0.25, mark="†"), Number(12_345, digits=0)],
        ["b", Number(10.25, best=True), "none measured"],
        ["c", "", Number(float("nan"))],
    ]
    text = floats(Table("t", "", ["method", "accuracy", "MACs"], rows), "title")
    assert "{lS[table-format=2.2]@{\\,}lS[table-format=5.0]}" in text
    assert "a & 9.50 & $\\pm$ 0.25 $^{\\dagger}$ & 12345 \\\\" in text
    assert "b & \\bfseries 10.25 &  & \\multicolumn{1}{c}{none measured} \\\\" in text
    assert "c & \\multicolumn{2}{c}{} & \\multicolumn{1}{c}{--} \\\\" in text


def test_a_unit_that_all_share_is_in_the_heading() -> None:
    shared = Table("t", "", ["method", "share"], [["a", Number(5, unit="%")], ["b", Number(6, unit="%")]])
    assert "share\\\\(\\%)" in floats(shared, "")
    assert "\\%" not in floats(shared, "").split("\\midrule")[1]


def test_the_same_files_on_repetition(tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(results(), tmp_path / name, "title")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.tex"))
    assert len(files) > 8
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert isinstance(pd.read_parquet(tmp_path / "one" / "cells.parquet"), pd.DataFrame)
