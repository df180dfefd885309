"""Compute an analysis of a task or report once: tables, figures, sentences and the page all ask for it."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar


class Remembers(Protocol):
    """What keeps the results of analyses of itself."""

    @property
    def memory(self) -> dict[Any, Any]:
        """Results by name of the function and arguments: names, so that a report can be pickled."""


OwnerT = TypeVar("OwnerT", bound=Remembers)
P = ParamSpec("P")
ResultT = TypeVar("ResultT")


def remembered(
    analysis: Callable[Concatenate[OwnerT, P], ResultT],
) -> Callable[Concatenate[OwnerT, P], ResultT]:
    """Decorate an analysis, so that each owner computes it once for the same arguments."""

    name = f"{analysis.__module__}.{analysis.__qualname__}"

    @wraps(analysis)
    def once(owner: OwnerT, /, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        key = (name, args, tuple(kwargs.items()))
        if key not in owner.memory:
            owner.memory[key] = analysis(owner, *args, **kwargs)
        result: ResultT = owner.memory[key]
        return result

    return once
