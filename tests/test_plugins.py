"""Other people's methods: an installed package of ten lines, and `switchbench check`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from switchbench.cli.app import main
from switchbench.store.ledger import Ledger

METHOD = '''
from switchbench.methods import Magnitude, register


@register("smallest")
class Smallest(Magnitude):
    """Keep the smallest weights, which nobody should."""

    def scores(self):
        return {name: -weight.detach().abs() for name, weight in self.weights.items()}
'''
UNSEEDED = '''
import random
from switchbench.methods import Dense, register


@register("unseeded")
class Unseeded(Dense):
    """Draws from a generator that nobody seeds."""

    def after_step(self, progress):
        for weight in self.weights.values():
            weight.data.add_(1e-3 * random.random())
'''
SPEC = """
name: others
networks: [{network: mlp, hidden: [20]}]
datasets: [digits]
methods: [dense, smallest]
densities: [0.2]
seeds: 2
training: {epochs: 3}
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of installed packages as pip leaves it: a module, and metadata with an entry point."""
    site = tmp_path / "site"
    (site / "smallest_method").mkdir(parents=True)
    (site / "smallest_method" / "__init__.py").write_text(METHOD)
    metadata = site / "smallest_method-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: smallest-method\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[switchbench.methods]\nsmallest = smallest_method\n")
    return site


def switchbench(*arguments: str, site: Path | None = None, cwd: Path | None = None) -> tuple[int, str]:
    environment = os.environ | ({"PYTHONPATH": str(site)} if site else {})
    done = subprocess.run(
        [sys.executable, "-m", "switchbench", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
        cwd=cwd,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_an_installed_method_is_listed(installed: Path, tmp_path: Path) -> None:
    code, listed = switchbench("list", "methods", site=installed)
    assert code == 0
    assert "smallest" in listed
    assert "Keep the smallest weights" in listed


@pytest.mark.slow  # above it is found, and test_run.py runs a method in a file on Ray
@pytest.mark.cluster
def test_an_installed_method_is_run_and_reported(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    code, said = switchbench("run", "spec.yaml", "--mlflow-uri", "none", site=installed, cwd=tmp_path)
    assert code == 0, said
    results = Ledger(tmp_path / "results" / "others").results()
    smallest = results[results["label"] == "smallest"]
    assert smallest["status"].tolist() == ["ok", "ok"]
    assert smallest["density"].tolist() == pytest.approx([0.2, 0.2], abs=1e-3)
    assert "| smallest |" in (tmp_path / "results" / "others" / "report" / "report.md").read_text()


@pytest.mark.slow  # below, a method in a file is checked
def test_an_installed_method_is_checked(installed: Path) -> None:
    code, checked = switchbench("check", "smallest_method", site=installed)
    assert code == 0, checked
    assert "passes  meets its target" in checked
    assert "fails" not in checked


@pytest.mark.slow  # test_extension.py changes a plug-in file, which has the same identity
def test_an_installed_method_that_changes_runs_anew(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    _, planned = switchbench("run", "spec.yaml", "--dry-run", site=installed, cwd=tmp_path)
    (installed / "smallest_method" / "__init__.py").write_text(METHOD + "# another idea\n")
    _, again = switchbench("run", "spec.yaml", "--dry-run", site=installed, cwd=tmp_path)
    ids = [
        {words[0] for line in said.splitlines() if (words := line.split())[1:2] == ["smallest"]}
        for said in (planned, again)
    ]
    assert len(ids[0]) == len(ids[1]) == 2
    assert not ids[0] & ids[1]


def test_check_says_what_a_method_breaks(tmp_path: Path) -> None:
    (tmp_path / "unseeded.py").write_text(UNSEEDED)
    code, said = switchbench("check", "unseeded.py", cwd=tmp_path)
    assert code == 3
    assert "fails   repeats itself" in said
    assert "a second run ended with a different" in said
    assert "passes  declares its options" in said


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("magnitud", "unknown name 'magnitud'; did you mean 'magnitude'?"),
        ("nowhere.py", "nowhere.py: no such file"),
        ("json", "plug-in json: registers no method"),
        ("no_package.method", "a module or file 'no_package.method' does not exist either"),
    ],
)
def test_check_of_nothing_is_one_line(
    what: str,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["switchbench", "check", what])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert said.out == ""
    assert line.replace("nowhere.py", str(tmp_path / "nowhere.py")) in said.err
    assert len(said.err.strip().splitlines()) == 1


def test_two_plugin_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(METHOD)
    code, said = switchbench(
        "list", "methods", "--plugin", "a/mine.py", "--plugin", "b/mine.py", cwd=tmp_path
    )
    assert code == 2
    assert "file name 'mine' is used twice" in said
