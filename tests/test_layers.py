"""The architecture: imports run one way, and each outside library has one room."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from draw_architecture import PAGE, ROOT, drawn, imported, layers, leaves, packages

ONE_ROOM = {
    "ray": {"cluster"},
    "mlflow": {"observe"},
    "pyarrow": {"store"},
    "optuna": {"tuning", "reports"},
}
"""The packages that may import a library."""
PACKAGES = packages()
FILES = [file for package in PACKAGES.values() for file in package.files]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_imports_what_it_says(name: str) -> None:
    """No more, lazily or for type checkers, and no less: else its docstring says too much."""
    imports = PACKAGES[name].imports()
    unknown = imports.keys() - PACKAGES.keys() - leaves().keys()
    assert not unknown, f"{name} imports {unknown}, which is no package of the project"
    assert imports.keys() & PACKAGES.keys() == PACKAGES[name].may_import, f"{PACKAGES[name].folder}"


def test_imports_run_one_way() -> None:
    """Raises CycleError if they do not. The bottom knows nothing of the engine."""
    order = layers()
    assert order[0] == ["cli"]
    assert {*order[-1]} == {"datasets", "methods", "reports"}


@pytest.mark.parametrize("name", leaves())
def test_leaves_import_nothing(name: str) -> None:
    assert not leaves()[name].imports()


@pytest.mark.parametrize("name", PACKAGES)
def test_modules_of_a_package_import_in_no_circle(name: str) -> None:
    from graphlib import TopologicalSorter

    package = PACKAGES[name]
    modules = {_module(file, package.folder, name): file for file in package.files}
    graph = {}
    for module, file in modules.items():
        if file.name != "__init__.py":  # these only gather names for the outside
            found = {
                imports if imports in modules else imports.rpartition(".")[0] for imports in imported(file)
            }
            graph[module] = (found & modules.keys()) - {f"switchbench.{name}", module}
    TopologicalSorter(graph).prepare()


def _module(file: Path, folder: Path, name: str) -> str:
    parts = file.relative_to(folder).with_suffix("").parts
    return ".".join(["switchbench", name, *(part for part in parts if part != "__init__")])


@pytest.mark.parametrize("library", ONE_ROOM)
def test_libraries_with_one_room(library: str) -> None:
    rooms = {
        name
        for name, package in PACKAGES.items()
        for file in package.files
        if any(imports.split(".")[0] == library for imports in imported(file))
    }
    assert rooms == ONE_ROOM[library]


def test_every_module_says_what_lives_there() -> None:
    assert [path for path in FILES if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_every_package_is_installed() -> None:
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {
        _module(file, package.folder, name)
        for name, package in PACKAGES.items()
        for file in package.files
        if file.name == "__init__.py"
    }
    assert {*listed} == there | {"switchbench", "switchbench.configs"}


def test_the_drawing_is_the_codes() -> None:
    assert drawn() in PAGE.read_text(encoding="utf-8"), "run make docs"


def test_the_public_names_are_there_and_torch_is_not_loaded_before_they_are_used() -> None:
    program = (
        "import sys, switchbench, switchbench.cli.app; assert 'torch' not in sys.modules; "
        "[getattr(switchbench, name) for name in switchbench.__all__]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
