"""What ends a command early, said in one clear line."""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


class InputError(Exception):
    """The user's input cannot be used; the message is one line that names what to change."""


class Interrupted(Exception):
    """A run was stopped by Ctrl-C; the message says how to go on."""


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """One clause on a name that is not known: the nearest name, and all of them."""
    names = sorted(set(known))
    nearest = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ";"
    return f"unknown {kind} {name!r}{hint} known: {', '.join(names) or 'none'}"


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """All problems of a failed validation in one line: where, what was given, what is allowed."""
    return " | ".join(_explain_one(problem, model) for problem in error.errors())


def _explain_one(problem: Any, model: type[BaseModel]) -> str:
    location, kind, given = problem["loc"], problem["type"], problem["input"]
    where = _path(location)
    if kind == "extra_forbidden":
        parent = _path(location[:-1])
        clause = unknown("key", location[-1], _fields(model, location[:-1]))
        return f"{parent}: {clause}" if parent else clause
    if kind == "missing":
        return f"{where}: is required"
    said = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if kind in ("input", "value_error"):
        return f"{where}: {said}" if where else said
    return f"{where}: {given!r} {said}" if where else f"{given!r} {said}"


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _fields(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys that the (nested) model at ``location`` allows."""
    inner: type[BaseModel] = model
    for part in location:
        if isinstance(part, str):
            annotation = inner.model_fields[part].annotation
            inner = next(kind for kind in _kinds(annotation) if issubclass(kind, BaseModel))
    return list(inner.model_fields)


def _kinds(annotation: Any) -> Iterator[type]:
    """The classes in an annotation: itself, or those of its union or list."""
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for inner in get_args(annotation):
        yield from _kinds(inner)
