"""Other people's methods, networks and data sets: installed packages and single files.

A plug-in registers its classes when it is imported. Installed packages name the modules to
import in the entry-point groups ``switchbench.methods``, ``switchbench.networks`` and
``switchbench.datasets``.
"""

import importlib.util
import sys
import traceback
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from switchbench.errors import InputError, unknown
from switchbench.methods import METHODS

GROUPS = ("switchbench.methods", "switchbench.networks", "switchbench.datasets")


def load(files: Iterable[str | Path] = ()) -> list[ModuleType]:
    """Import every installed plug-in, then the given files; return the files' modules.

    Raises InputError with one line if one cannot be imported or takes a name that is taken.
    """
    for group in GROUPS:
        for entry in entry_points(group=group):
            try:
                entry.load()
            except Exception as error:  # anything may go wrong in other people's code
                raise InputError(f"plug-in {entry.value}: {type(error).__name__}: {error}") from error
    paths = list(dict.fromkeys(Path(file).resolve() for file in files))
    stems = [path.stem for path in paths]
    for path in paths:
        if stems.count(path.stem) > 1:  # they would be one module
            raise InputError(f"plug-in {path}: another plug-in file is called {path.stem!r} too")
    return [_load_file(path) for path in paths]


def methods_of(what: str) -> list[str]:
    """Names of the methods that ``what`` stands for: a registered name, a module to import, or a file.

    Raises InputError if it is none of them or registers no method.
    """
    if what in METHODS:
        return [what]
    if what.endswith(".py"):
        module = _load_file(Path(what).resolve())
    else:
        sys.path.insert(0, str(Path.cwd()))
        try:
            module = importlib.import_module(what)
        except ModuleNotFoundError as error:
            if what.split(".")[0] == (error.name or "").split(".")[0]:
                known = unknown("method", what, METHODS)
                raise InputError(f"{known}; nor is there such a module or file") from error
            raise InputError(f"plug-in {what}: {error}") from error
        except Exception as error:  # anything may go wrong in other people's code
            raise InputError(f"plug-in {what}: {type(error).__name__}: {error}") from error
        finally:
            sys.path.pop(0)
    inside = f"{module.__name__}."
    own = [name for name, method in METHODS.items() if f"{method.__module__}.".startswith(inside)]
    names = own or [name for name, method in METHODS.items() if method in vars(module).values()]
    if not names:
        raise InputError(f"{what}: registers no method")
    return names


def _load_file(path: Path) -> ModuleType:
    name = f"switchbench_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"plug-in {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # anything may go wrong in other people's code
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        where = f", line {lines[-1]}" if lines else ""
        raise InputError(f"plug-in {path}{where}: {type(error).__name__}: {error}") from error
    return module
