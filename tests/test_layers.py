"""The architecture: imports run one way, and each outside library has one room."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ONE_ROOM = {
    "ray": {"bench/distribution.py"},
    "mlflow": {"bench/tracking.py"},
    "pyarrow": {"bench/ledger.py"},
    "optuna": {"bench/study.py", "reports/pictures.py"},
}
ORDER = [
    {
        "errors",
        "seeds",
        "recipes",
        "networks",
        "scope",
        "evaluation",
        "components",
        "optimisers",
        "checkpoint",
        "storage",
    },
    {"shrink"},
    {"accounting"},
    {"forward"},
    {"yardstick"},
    {"training"},
    {"trial"},
    {"estimate", "space"},
    {"searchspec"},
    {"spec", "study"},
    {"specfile"},
    {"ledger"},
    {"worker", "tracking", "plugins", "listing", "progress", "conformance", "stock"},
    {"finished", "sparse"},
    {"latency"},
    {"inspection", "export", "distribution"},
    {"compare"},
    {"tuning"},
    {"show"},
    {"cli"},
]
FILES = [
    path for folder in ("bench", "methods", "datasets", "reports") for path in (ROOT / folder).rglob("*.py")
]


def imported(path: Path) -> set[str]:
    """Full names of all modules that a file imports, wherever it does."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def within(path: Path) -> set[str]:
    """First parts of the names that a file imports from switchbench."""
    return {name.split(".")[1] for name in imported(path) if name.startswith("switchbench.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    folder, module = path.relative_to(ROOT).parts[0], path.relative_to(ROOT).parts[1].removesuffix(".py")
    if folder != "bench":
        assert within(path) <= {folder}, "imports something of another layer"
        return
    level = {name: number for number, names in enumerate(ORDER) for name in names}
    if module in ("__init__", "__main__"):
        return
    for name in within(path) & level.keys():
        assert level[name] <= level[module], f"{module} imports {name}, which is above it"


@pytest.mark.parametrize("library", ONE_ROOM)
def test_libraries_with_one_room(library: str) -> None:
    rooms = {
        str(path.relative_to(ROOT))
        for path in FILES
        if any(name.split(".")[0] == library for name in imported(path))
    }
    assert rooms == ONE_ROOM[library]


def test_every_module_says_what_lives_there() -> None:
    assert [path for path in FILES if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_the_public_names_are_there_and_torch_is_not_loaded_before_they_are_used() -> None:
    program = (
        "import sys, switchbench, switchbench.cli; assert 'torch' not in sys.modules; "
        "[getattr(switchbench, name) for name in switchbench.__all__]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
