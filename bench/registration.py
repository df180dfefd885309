"""Registration by decorator: one definition per name, described by the first line of its docstring.

Methods, networks and data sets all register in this way. This module imports nothing of switchbench.
"""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T", bound=type[Any])


def registrar(
    kind: str, registry: dict[str, Any], problem: Callable[[type[Any]], str | None]
) -> Callable[[str], Callable[[T], T]]:
    """Make the decorator that registers classes of one kind.

    Args:
        kind: What the classes are, for error messages, such as ``"method"``.
        registry: The registered classes by name; the decorator adds to it.
        problem: Says what is wrong with the class of a plug-in, such as a base that it lacks, or None.

    Returns:
        A function ``register(name)`` that returns a class decorator. The decorator puts the class into the
        registry and sets its ``name`` and its ``plugin_source``. It raises ValueError if another class has
        the name, or if the class has no docstring or a problem.
    """

    def register(name: str) -> Callable[[T], T]:
        def decorate(cls: T) -> T:
            check_name(kind, name, cls, registry.get(name))
            if not is_own(cls) and (what := problem(cls)):  # ours have tests, and many take time to look at
                raise ValueError(f"{kind} {name!r}: class {cls.__name__} {what}")
            cls.name, cls.plugin_source = name, plugin_source(cls)
            registry[name] = cls
            return cls

        return decorate

    return register


def check_name(kind: str, name: str, definition: Any, holder: Any | None) -> None:
    """Check that a class or function may be registered under a name.

    Args:
        kind: What it is, for error messages.
        name: The name.
        definition: The class or function.
        holder: The class or function that has the name now, if any. A definition may replace itself: its
            module may be imported again.

    Raises:
        ValueError: The definition has no docstring, or another one has the name.
    """
    if not definition.__doc__:
        raise ValueError(f"{kind} {name!r} needs a docstring: its first line describes it")
    if holder is not None and _path(holder) != _path(definition):
        raise ValueError(f"the {kind} name {name!r} is taken by {holder.__module__}")


def is_own(definition: Any) -> bool:
    """Return whether a class or function is defined in switchbench, not in a plug-in."""
    module: str = definition.__module__
    return module.startswith("switchbench.")


def plugin_source(definition: Any) -> str | None:
    """Hash the source file of a plug-in, so that results of its earlier versions are not reused.

    Call it at registration and keep the result: the definition may be sent to a worker where the file does
    not exist.

    Args:
        definition: A class or function of a plug-in.

    Returns:
        16 hexadecimal digits; None if the definition is switchbench's own or its module has no file.
    """
    module = definition.__module__
    if is_own(definition) or module == "__main__":
        return None
    file = getattr(sys.modules.get(module), "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file else None


def _path(definition: Any) -> tuple[str, str]:
    return definition.__module__, definition.__qualname__
