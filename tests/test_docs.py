"""The documents keep their word: the snippet runs, the spec is valid, tables are the stored ones."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from switchbench.cli.app import main
from switchbench.methods import METHODS
from switchbench.spec import file as specfile
from switchbench.store.ledger import Ledger
from switchbench.tuning.plan import plan

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Contents of the code blocks of a language, or of none."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [content for name, content in fences if name == language]


def test_a_method_in_ten_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_ray: None, shipped_methods: None
) -> None:
    (snippet,) = blocks("python")
    assert len([line for line in snippet.splitlines() if line.strip()]) <= 10
    (tmp_path / "travelled.py").write_text(snippet)
    (command,) = [block for block in blocks("sh") if "--plugin travelled.py" in block]
    words = shlex.split(command)
    assert words[0] == "switchbench"
    short = ["--set", "training.epochs=4", "--set", "seeds=1", "--mlflow-uri", "none"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [*words, *short])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    results = Ledger(tmp_path / "results" / "travelled").results()
    mine = results[results["label"] == "travelled"]
    assert mine["status"].tolist() == ["ok"] * 3
    assert mine["density"].tolist() == pytest.approx([0.1, 0.05, 0.02], abs=1e-4)
    assert "| travelled |" in (tmp_path / "results" / "travelled" / "report" / "report.md").read_text()


def test_the_specs_are_valid(tmp_path: Path) -> None:
    compared, searched = (YAML(typ="safe").load(text) for text in blocks("yaml"))
    assert len(specfile.parse(compared).trials()) == 2 * 5 * (2 + 2 * 5)  # two take no target
    spaces = plan(searched, tmp_path).spaces
    assert [*spaces] == ["magnitude", "l1", "switcher"]
    assert all("training.lr" in map(str, space.dimensions) for space in spaces.values())


def test_tables_are_the_stored_ones() -> None:
    tool = [sys.executable, str(ROOT / "tools" / "fill_docs.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == "changed: none\n", done.stderr


def test_a_table_is_filled_whatever_stood_in_it() -> None:
    spec = importlib.util.spec_from_file_location("fill_docs", ROOT / "tools" / "fill_docs.py")
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    row = re.search(r"^\| magnitude \|.*$", README, re.MULTILINE)
    assert row
    assert tool.filled(README.replace(row[0], "| magnitude | 99.99 | |")) == README
    with pytest.raises(ValueError, match=r"no such row: \| magnitud \|"):
        tool.filled(README.replace(row[0], "| magnitud | |"))


def test_the_layout_names_the_folders_that_are_there() -> None:
    (layout,) = blocks("")
    named = {line.split("/")[0] for line in layout.splitlines() if not line.startswith(" ")}
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert named == {line.split("/")[0] for line in tracked.splitlines() if "/" in line} - {".ci"}


def test_the_table_of_methods_names_them_all() -> None:
    section = README.split("## Methods")[1].split("## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert sorted(re.findall(r"`([\w-]+)`", "\n".join(rows))) == sorted(
        name for name, method in METHODS.items() if method.__module__.startswith("switchbench.")
    )
