"""Load plug-ins: methods, networks and data sets from installed packages and from single files.

A plug-in registers its classes when it is imported. An installed package names the modules to import in the
entry-point groups ``switchbench.methods``, ``switchbench.networks`` and ``switchbench.datasets``. Where there
is no plug-in, loading imports nothing.
"""

import importlib.util
import sys
import traceback
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from switchbench.errors import InputError, unknown

GROUPS = ("switchbench.methods", "switchbench.networks", "switchbench.datasets")


def load(files: Iterable[str | Path] = ()) -> list[ModuleType]:
    """Import every installed plug-in, then the given files.

    Args:
        files: Python files, each with its own file name. A file that is given twice is imported once.

    Returns:
        The modules of the files.

    Raises:
        InputError: A plug-in cannot be imported, or it registers a name that is already taken. The message is
            one line.
    """
    for group in GROUPS:
        for entry in entry_points(group=group):
            try:
                entry.load()
            except Exception as error:  # a plug-in may raise anything
                raise InputError(f"plug-in {entry.value}: {type(error).__name__}: {error}") from error
    paths = list(dict.fromkeys(Path(file).resolve() for file in files))
    stems = [path.stem for path in paths]
    for path in paths:
        if stems.count(path.stem) > 1:  # both would get the same module name
            raise InputError(
                f"plug-in {path}: file name {path.stem!r} is used twice; file names must be unique"
            )
    return [_load_file(path) for path in paths]


def registered_by(source: str) -> dict[str, list[str]]:
    """List the methods, networks and data sets that a source provides.

    Args:
        source: A registered name, a module to import, or a Python file.

    Returns:
        Registered names under ``method``, ``network`` and ``dataset``; at least one. For a module or file
        these are what it defines, or, if it defines nothing, the methods that it imports.

    Raises:
        InputError: The source cannot be found or imported, or it registers nothing.
    """
    from switchbench.spec.components import CHOICES  # imports torch

    registries = {choice.kind: choice.registry for choice in CHOICES}
    if named := {kind: [source] for kind, registry in registries.items() if source in registry}:
        return named
    if source.endswith((".yaml", ".yml")):
        raise InputError(f"{source}: is a spec; 'switchbench run {source} --dry-run' checks it")
    module = _load_file(Path(source).resolve()) if source.endswith(".py") else _import(source, registries)
    found = {kind: _defined_in(module, registry) for kind, registry in registries.items()}
    if not any(found.values()):
        values = [*vars(module).values()]
        found = {"method": [name for name, method in registries["method"].items() if method in values]}
    if not any(found.values()):
        raise InputError(f"plug-in {source}: registers no method, network or data set")
    return {kind: names for kind, names in found.items() if names}


def _defined_in(module: ModuleType, registry: Mapping[str, Any]) -> list[str]:
    prefix = f"{module.__name__}."
    homes = {name: getattr(entry, "loader", entry).__module__ for name, entry in registry.items()}
    return [name for name, home in homes.items() if f"{home}.".startswith(prefix)]


def _import(source: str, registries: Mapping[str, Mapping[str, Any]]) -> ModuleType:
    """Import a module by its name, also from the current folder. Raises InputError."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(source)
    except ModuleNotFoundError as error:
        if source.split(".")[0] == (error.name or "").split(".")[0]:
            names = [name for registry in registries.values() for name in registry]
            known = unknown("name", source, names)
            raise InputError(f"{known}; a module or file {source!r} does not exist either") from error
        raise InputError(f"plug-in {source}: {error}") from error
    except Exception as error:  # a plug-in may raise anything
        raise InputError(f"plug-in {source}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"plug-in {path}: no such file")
    name = f"switchbench_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"plug-in {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a plug-in may raise anything
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        where = f", line {lines[-1]}" if lines else ""
        raise InputError(f"plug-in {path}{where}: {type(error).__name__}: {error}") from error
    return module
