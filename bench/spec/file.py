"""Specs as YAML: read a file or a shipped spec, apply command-line changes, write the resolved spec."""

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, overload

from pydantic import ValidationError

from switchbench.errors import InputError, explain, nearest_of
from switchbench.spec.comparison import Spec
from switchbench.spec.components import CHOICES, Component, DatasetChoice, NetworkChoice
from switchbench.spec.shipped import shipped, shipped_text
from switchbench.spec.yaml_text import mapping, parsed, written


def load(source: str | Path, changes: Iterable[str] = ()) -> Spec:
    """Read and validate a spec.

    Args:
        source: A YAML file, or the name of a shipped spec.
        changes: Changes ``key.key=value``, as in :func:`with_changes`.

    Raises:
        InputError: The spec cannot be read or is not valid. The message is one line.
    """
    text, source_name = _read(source)
    raw = mapping(text, source_name)
    changes = [*changes]
    changed = with_changes(raw, changes)
    try:
        return parse(changed, source_name)
    except InputError as error:
        if not changes or not _is_valid(raw):
            raise
        blamed = next((change for change in changes if not _is_valid(with_changes(raw, [change]))), None)
        source = f"--set {blamed}" if blamed else " ".join(f"--set {change}" for change in changes)
        raise InputError(f"{source}: {str(error).removeprefix(f'{source_name}: ')}") from error


def with_changes(raw: dict[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """Copy a spec's plain values and apply changes.

    Args:
        raw: Plain values, as read from YAML.
        changes: Changes ``key.key=value``. The value is YAML.

    Raises:
        InputError: A change has another form, or a key on its path holds no mapping.

    >>> with_changes({"name": "x", "training": "mnist"}, ["training.epochs=2", "seeds=[0, 1]"])
    {'name': 'x', 'training': {'recipe': 'mnist', 'epochs': 2}, 'seeds': [0, 1]}
    """
    raw = copy.deepcopy(raw)
    for change in changes:
        _apply_change(raw, change)
    return raw


def parse(raw: dict[str, Any], source: str = "spec") -> Spec:
    """Validate a spec given as plain values.

    Args:
        raw: Plain values, as read from YAML.
        source: Where they come from; error messages begin with it.

    Raises:
        InputError: The spec is not valid. The message is one line.
    """
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{source}: {explain(error, Spec)}") from error


def _is_valid(raw: dict[str, Any]) -> bool:
    try:
        parse(raw)
    except InputError:
        return False
    return True


@overload
def component(kind: Literal["network"], name: str, changes: Iterable[str] = ()) -> NetworkChoice: ...
@overload
def component(kind: Literal["dataset"], name: str, changes: Iterable[str] = ()) -> DatasetChoice: ...
def component(kind: str, name: str, changes: Iterable[str] = ()) -> Component:
    """Make a network or data set from its name and options.

    Args:
        kind: ``network`` or ``dataset``.
        name: Its registered name.
        changes: Options, each as ``key=value``.

    Raises:
        InputError: The name is unknown, or an option is not valid. The message is one line.
    """
    choice_class = {choice.kind: choice for choice in CHOICES}[kind]
    try:
        return choice_class.model_validate(with_changes({kind: name}, changes))
    except ValidationError as error:
        raise InputError(explain(error, choice_class)) from error


def dump(spec: Spec | Mapping[str, Any]) -> str:
    """Return a spec, or its plain values, as YAML. A resolved spec has every default written out."""
    return written(spec.model_dump(mode="json") if isinstance(spec, Spec) else spec)


def _read(source: str | Path) -> tuple[str, str]:
    """Return the text of a spec, and a name for it in error messages."""
    path = Path(source)
    try:
        if not path.is_file() and str(source) in shipped():
            return shipped_text(str(source)), str(source)
        return path.read_text(encoding="utf-8"), str(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not YAML: not a text file") from error
    except IsADirectoryError as error:
        stored = path / "spec.yaml"
        hint = f"the spec of the results there is {stored}" if stored.exists() else "expected a YAML file"
        raise InputError(f"{path}: is a folder; {hint}") from error
    except OSError as error:
        files = [str(file) for suffix in ("yaml", "yml") for file in sorted(path.parent.glob(f"*.{suffix}"))]
        near = nearest_of(source, [*files, *shipped()], 0.6)
        hint = f"; did you mean {near!r}?" if near else ""
        raise InputError(
            f"{path}: {error.strerror or error}{hint} (shipped specs: {', '.join(shipped())})"
        ) from error


SPACE = "search.space."
"""Keys of the space have a dot of their own: a method's label and its option."""


def _path(keys: str) -> list[str]:
    """Split a dotted path.

    >>> _path("training.epochs"), _path("search.space.magnitude.end")
    (['training', 'epochs'], ['search', 'space', 'magnitude.end'])
    """
    return [*SPACE.split(".")[:-1], keys[len(SPACE) :]] if keys.startswith(SPACE) else keys.split(".")


def _apply_change(raw: dict[str, Any], change: str) -> None:
    keys, equals, value = change.partition("=")
    *parents, last = _path(keys)
    if not equals or not last:
        raise InputError(f"--set {change}: expected key.key=value")
    if parents and parents[0] in ("training", "start") and isinstance(raw.get(parents[0]), str):
        raw[parents[0]] = {"recipe": raw[parents[0]]}  # a recipe's name alone has no keys to change
    mapping = raw
    for key in parents:
        mapping = mapping.setdefault(key, {})
        if not isinstance(mapping, dict):
            raise InputError(f"--set {change}: {key!r} is not a mapping, so it has no keys")
    mapping[last] = parsed(value, f"--set {change}")
