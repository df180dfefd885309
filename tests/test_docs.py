"""The documents keep their word: every command and snippet runs, links lead somewhere, tables are the stored ones."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

import switchbench
from switchbench.cli.app import app, main
from switchbench.store.ledger import Ledger

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
CHAINS = (
    [ROOT / "README.md"],
    [DOCS / "start.md"],
    [DOCS / "tutorials" / f"{name}.md" for name in ("compare", "tune", "report")],
    *([page] for page in sorted((DOCS / "guides").glob("*.md"))),
)
"""Pages that are run; those of a chain share a folder."""
CHECKED = [ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")), *sorted((DOCS / "science").glob("*.md"))]
"""Pages of which only the options of commands are checked: they run for hours, or on clusters."""
BLOCK = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TITLE = re.compile(r'title="([^"]+)"')
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
SHORT = ["--set", "training.epochs=2"]
"""What makes trainings short enough for a test."""


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    language: str
    title: str | None
    runs: bool
    content: str

    def commands(self) -> Iterator[list[str]]:
        """Yield the commands of switchbench in a block of a shell."""
        if self.language == "sh":
            for line in self.content.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["switchbench"]:
                    yield words[1 : words.index(">")] if ">" in words else words[1:]


def blocks(page: Path) -> list[Block]:
    """Return the blocks of code of a page."""
    found = []
    for language, more, content in BLOCK.findall(page.read_text()):
        title = TITLE.search(more)
        found.append(Block(language, title[1] if title else None, "norun" not in more, content))
    return found


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain[0].parent.name + "/" + chain[0].stem)
@pytest.mark.usefixtures("without_ray", "without_figures", "shipped_methods", "without_plugins")
def test_every_command_and_snippet_runs(
    chain: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "none")
    for block in (block for page in chain for block in blocks(page)):
        if block.title:
            Path(block.title).write_text(block.content)
        elif block.language == "python":
            exec(compile(block.content, "snippet", "exec"), {})
        for words in block.commands() if block.runs else ():
            call(monkeypatch, [with_ids(word) for word in words])


def with_ids(word: str) -> str:
    """Put the id of a trial in the place of TRIAL or ID."""
    if "TRIAL" not in word and word != "ID":
        return word
    folder = next(Path("results") / name for name in ("mine", "exported") if Path("results", name).exists())
    results = Ledger(folder).results()
    found = str(results.loc[results["status"] == "ok", "trial_id"].iloc[-1])
    return word.replace("TRIAL", found).replace("ID", found)


def call(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """Run a command, with short trainings, and few where the page does not say how many."""
    if words[0] in ("run", "search") and not any(word.startswith("training.epochs=") for word in words):
        words = [*words, *SHORT]
    if words[:2] == ["run", "quickstart"] and "seeds" not in " ".join(words):
        words = [*words, "--set", "seeds=1"]
    monkeypatch.setattr(sys, "argv", ["switchbench", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code, words


@pytest.mark.parametrize(
    "page", [*CHECKED, *(page for chain in CHAINS for page in chain)], ids=lambda page: page.name
)
def test_the_options_of_every_command_exist(page: Path) -> None:
    command: Any = typer.main.get_command(app)
    for words in (words for block in blocks(page) for words in block.commands()):
        name, *rest = words
        assert name in command.commands, words
        known: Any = command.commands[name]
        if rest and getattr(known, "commands", None):
            assert rest[0] in known.commands, words
            known, rest = known.commands[rest[0]], rest[1:]
        options = {option for parameter in known.params for option in parameter.opts} | {"--help"}
        given = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert given <= options, (words, given - options)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))], ids=str
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(BLOCK.sub("", page.read_text())):
        target, _, anchor = link.partition("#")
        if "://" in link:
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link
        if anchor and file.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, link


def test_the_readme_is_short_and_its_method_has_ten_lines() -> None:
    assert len(README.splitlines()) < 120
    (snippet,) = (block for block in blocks(ROOT / "README.md") if block.language == "python")
    assert len([line for line in snippet.content.splitlines() if line.strip()]) <= 10


def test_the_reference_is_the_codes() -> None:
    tool = [sys.executable, str(ROOT / "tools" / "write_reference.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == "changed: none\n", f"run make docs: {done.stdout}{done.stderr}"


def test_the_reference_has_every_public_name() -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text().splitlines()
    assert {line for line in page if line.startswith(":::")} == {
        f"::: switchbench.{name}" for name in switchbench.__all__
    }


def test_the_site_is_built_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "index.html").read_text()
    assert "which method finds them best" in home
    assert "switchbench.run" in (tmp_path / "reference" / "python" / "index.html").read_text()
    shown = {page: re.sub(r"<[^>]*>", "", page.read_text()) for page in tmp_path.rglob("*.html")}
    assert not [page for page, text in shown.items() if re.search(r"```|^\|[ :-]+\|", text, re.MULTILINE)]


def test_tables_are_the_stored_ones() -> None:
    tool = [sys.executable, str(ROOT / "tools" / "fill_docs.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == "changed: none\n", done.stderr


def _fill_docs() -> Any:
    spec = importlib.util.spec_from_file_location("fill_docs", ROOT / "tools" / "fill_docs.py")
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_a_table_is_filled_whatever_stood_in_it() -> None:
    tool = _fill_docs()
    row = re.search(r"^\| magnitude \|.*$", README, re.MULTILINE)
    assert row
    assert tool.filled(README.replace(row[0], "| magnitude | 99.99 | |")) == README
    with pytest.raises(ValueError, match=r"no such row: \| magnitud \|"):
        tool.filled(README.replace(row[0], "| magnitud | |"))


def test_a_table_is_corrected_for_the_pairs_of_its_own_report_alone() -> None:
    page = """
switchbench report docs/results/one --margin 0.2 --pair "a b:c" \\
  --pair c:d
switchbench report docs/results/one-again --pair e:f
"""
    options = _fill_docs()._options
    assert options(page, "docs/results/one") == ([("a b", "c"), ("c", "d")], 0.002)
    assert options(page, "docs/results/one-again") == ([("e", "f")], 0.003)
    assert options(page, "docs/results/two") == ([], 0.003)


def test_the_notebook_runs(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(DOCS / "first_results.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    html = "".join(output.get("data", {}).get("text/html", "") for output in shown)
    assert "mlp on digits, scope fc" in html
    assert '<progress value="10" max="10">' in html
    assert not [output for output in shown if output["output_type"] == "stream"]


def test_the_layout_names_the_folders_that_are_there() -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text().split("## Layout")[1].split("## ")[0]
    layout = section.split("```")[1]
    named = {line.split("/")[0] for line in layout.splitlines() if "/" in line and not line.startswith(" ")}
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert named == {line.split("/")[0] for line in tracked.splitlines() if "/" in line} - {".ci"}
