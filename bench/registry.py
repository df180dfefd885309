"""Registration by decorator: one class per name, described by the first line of its docstring."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=type[Any])


def registrar(kind: str, registry: dict[str, Any]) -> Callable[[str], Callable[[T], T]]:
    """A function ``register(name)`` that makes class decorators; they put a class into the registry
    under the name and set its ``name``.

    The decorators raise ValueError if another class holds the name or the class has no docstring.
    """

    def register(name: str) -> Callable[[T], T]:
        def decorate(cls: T) -> T:
            if not cls.__doc__:
                raise ValueError(f"{kind} {name!r} needs a docstring: its first line describes it")
            holder = registry.get(name, cls)
            if (holder.__module__, holder.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ValueError(f"the {kind} name {name!r} is taken by {holder.__module__}")
            cls.name = name
            registry[name] = cls
            return cls

        return decorate

    return register
