"""Errors that end a command, and their one-line messages."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError  # commands without a spec do not wait for its import


class ExitCode(IntEnum):
    """Exit codes of the command line."""

    DONE = 0
    """Everything is done."""
    INPUT = 2
    """Bad input; nothing was changed."""
    FAILED = 3
    """Some trials failed, or a check does."""
    CLUSTER_LOST = os.EX_UNAVAILABLE
    """The Ray cluster, the database of a search or the driver was lost; the same command continues."""
    NOT_WRITABLE = os.EX_IOERR
    """Results cannot be written, as on a full disk; the same command continues once there is room."""
    PREEMPTED = os.EX_TEMPFAIL
    """A batch system has stopped the run, which should be queued again: the same command continues."""
    INTERRUPTED = 130
    """Ctrl-C; the same command continues."""

    @classmethod
    def of(cls, interrupt: KeyboardInterrupt) -> "ExitCode":
        """Return the code of a run that a signal has stopped."""
        return cls.PREEMPTED if isinstance(interrupt, Preempted) else cls.INTERRUPTED


class InputError(Exception):
    """The user's input is not valid. The message is one line that names what to change."""


class RunStopped(Exception):
    """A run cannot go on: a signal, a full disk, a lost cluster. The message says how to continue."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Preempted(KeyboardInterrupt):
    """A batch system takes the machine away (SIGTERM, SIGUSR1), or the terminal was closed (SIGHUP)."""


SURE = 0.7
"""Similarity of a name that is suggested beside the one that is most similar."""
MOST_NAMES = 20
"""Known names that a message lists where it suggests one of them; of more it gives the number."""


def unknown(kind: str, name: object, known: Iterable[str], nested: Mapping[str, str] | None = None) -> str:
    """Describe an unknown name, with the most similar known names, and all known names unless they are many.

    Args:
        kind: What the name stands for, such as ``method``.
        name: The unknown name.
        known: All known names.
        nested: Names that are known elsewhere, with what to write instead. They are suggested as well.

    Returns:
        A part of an error message.

    >>> unknown("method", "magnitud", ["random", "magnitude"])
    "unknown method 'magnitud'; did you mean 'magnitude'? known: magnitude, random"
    """
    names = sorted(set(known))
    options = {**(nested or {}), **{each: each for each in names}}
    nearest = options.get(nearest_of(name, options) or "")
    near = [each for each in (nearest_of(name, names, SURE), nearest) if each]
    hint = f"; did you mean {' or '.join(map(repr, dict.fromkeys(near)))}?" if near else ";"
    if near and len(names) > MOST_NAMES:
        return f"unknown {kind} {name!r}{hint} {len(names)} names are known"
    return f"unknown {kind} {name!r}{hint} known: {', '.join(names) or 'none'}"


def without_passwords(text: str) -> str:
    """Hide the user and the password of every URL in a text.

    >>> without_passwords("no answer from http://me:secret@host:5000/x")
    'no answer from http://…@host:5000/x'
    """
    return re.sub(r"://[^\s/?#]*@", "://…@", text)


def printable(text: str) -> str:
    """Replace white space by spaces, and other characters that are not printable by their code points.

    >>> printable("a\\x1b[31m\\tb")
    'aU+001B[31m b'
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else f"U+{ord(c):04X}" for c in text)


def nearest_of(name: object, known: Iterable[str], least: float = 0.5) -> str | None:
    """Return the known name that is most similar to a name, or is its initials; None if none is similar.

    Args:
        name: What was given.
        known: Known names.
        least: Least similarity, from 0 to 1.

    >>> nearest_of("neurons", ["unstructured", "neuron"])
    'neuron'
    >>> nearest_of("learning_rate", ["lr", "schedule"])
    'lr'
    """
    names = [*known]
    initials = "".join(word[:1] for word in re.split("[-_]", str(name)))
    if len(initials) > 1 and initials in names:
        return initials
    return next(iter(difflib.get_close_matches(str(name), names, n=1, cutoff=least)), None)


def explain(error: "ValidationError", model: "type[BaseModel]", other_keys: Iterable[str] = ()) -> str:
    """Describe all errors of a failed validation in one line: the field, the value, and what is allowed.

    Args:
        error: The error of pydantic.
        model: The model that was validated.
        other_keys: Keys that may stand beside the model's own, for suggestions.

    Returns:
        The error message, with `` | `` between errors.
    """
    return " | ".join(_explain_one(problem, model, [*other_keys]) for problem in error.errors())


def _explain_one(problem: Any, model: "type[BaseModel]", other_keys: list[str]) -> str:
    location, kind, given = problem["loc"], problem["type"], problem["input"]
    where = _path(location)
    if kind == "extra_forbidden":
        parent = _path(location[:-1])
        inner = _model_at(model, location[:-1])
        known = [*inner.model_fields, *(other_keys if inner is model else [])]
        clause = unknown("key", location[-1], known, _nested_keys(inner))
        return f"{parent}: {clause}" if parent else clause
    if kind == "missing":
        return f"{where}: is required"
    message = plain(problem)
    if kind in ("input", "value_error"):
        return f"{where}: {message}" if where else message
    return f"{where}: {given!r} {message}" if where else f"{given!r} {message}"


def plain(problem: Any) -> str:
    """Return what pydantic says is wrong, in words that name no type of Python."""
    match problem["type"]:
        case "list_type" | "tuple_type":
            return f"should be a list, such as [{problem['input']}]"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "should be a mapping of keys and values"
        case "too_short":
            return f"should have {problem['ctx']['min_length']} or more entries"
        case "too_long":
            return f"should have {problem['ctx']['max_length']} or fewer entries"
        case "float_parsing":
            percent = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%", str(problem["input"]))
            return "should be a number" + (f", such as {float(percent[1]) / 100:g}" if percent else "")
        case "int_parsing" | "int_from_float" | "int_type":
            return "should be a whole number"
        case "string_type":
            return "should be text"
    message: str = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return message


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, str) and ("[" in part or part.startswith("constrained-")):
            continue  # pydantic's name for a member of a union
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _model_at(model: "type[BaseModel]", location: tuple[int | str, ...]) -> "type[BaseModel]":
    """Return the nested model at a location. A part that is no field names one of a union's models."""
    inner, union = model, [model]
    for part in location:
        if part in inner.model_fields:
            union = _models(inner.model_fields[str(part)].annotation) or [inner]
            inner = union[0]
        else:
            inner = next((each for each in union if each.__name__ == part), inner)
    return inner


def _nested_keys(model: "type[BaseModel]") -> dict[str, str]:
    """Return the keys of models that are fields of a model, with their dotted names. Lists have none."""
    return {
        key: f"{name}.{key}"
        for name, field in reversed(model.model_fields.items())
        if list not in [get_origin(each) for each in (field.annotation, *get_args(field.annotation))]
        for nested in _models(field.annotation)
        for key in nested.model_fields
    }


def _models(annotation: Any) -> "list[type[BaseModel]]":
    from pydantic import BaseModel

    return [cls for cls in _classes(annotation) if issubclass(cls, BaseModel)]


def _classes(annotation: Any) -> Iterator[type]:
    """Yield the classes in an annotation: itself, or the members of its union or list."""
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for inner in get_args(annotation):
        yield from _classes(inner)
