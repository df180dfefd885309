"""What is released: a wheel and an sdist that hold all that is needed, and run from anywhere."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("bench", "methods", "datasets", "reports", "configs")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
FILES = ("pyproject.toml", "README.md", "LICENSE")
BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, sys.argv[1])(sys.argv[2]))
"""


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build a wheel or an sdist from a folder."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
    return folder / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An sdist of the sources, and a wheel that is built from the sdist."""
    folder = tmp_path_factory.mktemp("release")
    source = folder / "source"
    for part in PARTS:
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, source / file)
    sdist = build("sdist", source, folder / "dist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return sdist, build("wheel", unpacked, folder / "dist")


def test_the_wheel_holds_every_file_of_the_packages(built: tuple[Path, Path]) -> None:
    _, wheel = built
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("switchbench/")}
    homes = {"bench": "switchbench"} | {part: f"switchbench/{part}" for part in PARTS[1:]}
    expected = {
        f"{home}/{file.relative_to(ROOT / part).as_posix()}"
        for part, home in homes.items()
        for file in (ROOT / part).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert names == expected


def test_the_wheel_runs_from_anywhere(built: tuple[Path, Path], tmp_path: Path) -> None:
    _, wheel = built
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "MLFLOW_TRACKING_URI": "none"}

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd="/", env=environment, capture_output=True, text=True, timeout=300, check=True
        )
        return done.stdout

    home = run("-c", "import switchbench; print(switchbench.__file__, switchbench.__version__)")
    assert home == f"{tmp_path / 'site' / 'switchbench' / '__init__.py'} {VERSION}\n"
    assert "magnitude" in run("-m", "switchbench", "list", "methods")
    out = tmp_path / "out"
    short = [
        "--set",
        "training.epochs=2",
        "--set",
        "seeds=1",
        "--set",
        "methods=[dense, magnitude]",
        "--quiet",
    ]
    run("-m", "switchbench", "run", "quickstart", "--out", str(out), *short)
    assert "| magnitude |" in (out / "report" / "report.md").read_text()
    assert "</html>" in (out / "report" / "index.html").read_text()


@pytest.mark.slow  # the test above runs the wheel with the packages that are there
def test_the_wheel_installs_in_a_clean_environment(built: tuple[Path, Path], tmp_path: Path) -> None:
    """With pip, and with what the wheel declares alone. The index must hold torch."""
    _, wheel = built
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    home = tmp_path / "venv" / "bin"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"MLFLOW_TRACKING_URI": "none"}
    short = ["--set", "training.epochs=1", "--set", "seeds=1", "--set", "methods=[dense, magnitude]"]
    for command in (
        [home / "pip", "install", "--quiet", wheel],
        [home / "switchbench", "run", "quickstart", "--out", tmp_path / "out", *short],
    ):
        subprocess.run(list(map(str, command)), cwd="/", env=environment, timeout=1_800, check=True)
    assert "| magnitude |" in (tmp_path / "out" / "report" / "report.md").read_text()


ON_REQUEST = {"IPython", "pynvml", "sqlalchemy"}
"""Imported where they are there: in a notebook, with the group ``energy``, and by MLflow, which needs it."""


def test_what_is_imported_is_declared() -> None:
    """What another package happens to bring today may be gone tomorrow."""
    distributions = packages_distributions()
    declared = {
        re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in requires("switchbench") or []
    }
    files = [file for part in PARTS[:4] for file in (ROOT / part).rglob("*.py")]
    trees = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    names = {alias.name for node in trees if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in trees if isinstance(node, ast.ImportFrom) and node.module}
    roots = (
        {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"switchbench"} - ON_REQUEST
    )
    assert len(roots) > 15
    assert not {
        root
        for root in roots
        if declared.isdisjoint(name.lower().replace("_", "-") for name in distributions.get(root, []))
    }


def test_every_file_that_names_the_version_names_this_one() -> None:
    assert f"version: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()
    for file in (
        "deploy/Dockerfile",
        "deploy/kubernetes/rayjob.yaml",
        "deploy/ray-cluster.yaml",
        "docs/cluster.md",
    ):
        assert f"switchbench:{VERSION}" in (ROOT / file).read_text()
