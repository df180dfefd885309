"""Specs as YAML: read, changed from the command line, shipped with the package, written resolved."""

import copy
import difflib
import io
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Literal, overload

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from switchbench.errors import InputError, explain
from switchbench.spec.comparison import Spec
from switchbench.spec.components import CHOICES, Component, DatasetChoice, NetworkChoice

SHIPPED = resources.files("switchbench.configs")


def load(source: str | Path, changes: Iterable[str] = ()) -> Spec:
    """Read a spec from a YAML file, or a shipped spec by name, with ``key.key=value`` changes.

    Raises InputError with one line on anything that is wrong.
    """
    text, shown = _read(source)
    try:
        raw = _yaml().load(text)
    except YAMLError as error:
        raise InputError(f"{shown}: not YAML: {_one_line(error)}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{shown}: not a spec: expected keys and values, found {type(raw).__name__}")
    return parse(changed(raw, changes), shown)


def changed(raw: dict[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """A copy of a spec's plain values with ``key.key=value`` changes. Raises InputError."""
    raw = copy.deepcopy(raw)
    for change in changes:
        _change(raw, change)
    return raw


def parse(raw: dict[str, Any], source: str = "spec") -> Spec:
    """Validate a spec given as plain values. Raises InputError."""
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{source}: {explain(error, Spec)}") from error


@overload
def component(kind: Literal["network"], name: str, changes: Iterable[str] = ()) -> NetworkChoice: ...
@overload
def component(kind: Literal["dataset"], name: str, changes: Iterable[str] = ()) -> DatasetChoice: ...
def component(kind: str, name: str, changes: Iterable[str] = ()) -> Component:
    """A network or data set by name, with options given as key=value. Raises InputError."""
    choice = {choice.kind: choice for choice in CHOICES}[kind]
    try:
        return choice.model_validate(changed({kind: name}, changes))
    except ValidationError as error:
        raise InputError(explain(error, choice)) from error


def shipped() -> dict[str, str]:
    """Names of the shipped specs with their first comment line."""
    files = sorted(path.name for path in SHIPPED.iterdir())
    names = [file.removesuffix(".yaml") for file in files if file.endswith(".yaml")]
    return {name: shipped_text(name).splitlines()[0].removeprefix("# ") for name in names}


def shipped_text(name: str) -> str:
    """The YAML of a shipped spec."""
    return SHIPPED.joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def dump(spec: Spec) -> str:
    """The resolved spec as YAML, every default spelled out."""
    stream = io.StringIO()
    _yaml().dump(spec.model_dump(mode="json"), stream)
    return stream.getvalue()


def _read(source: str | Path) -> tuple[str, str]:
    path = Path(source)
    try:
        if not path.is_file() and str(source) in shipped():
            return shipped_text(str(source)), str(source)
        return path.read_text(encoding="utf-8"), str(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not YAML: not a text file") from error
    except OSError as error:
        nearest = difflib.get_close_matches(str(source), shipped(), n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise InputError(
            f"{path}: {error.strerror or error}{hint} (shipped specs: {', '.join(shipped())})"
        ) from error


def _change(raw: dict[str, Any], change: str) -> None:
    """Apply one ``key.key=value``; the value is YAML."""
    keys, equals, value = change.partition("=")
    *parents, last = keys.split(".")
    if not equals or not last:
        raise InputError(f"--set {change}: expected key.key=value")
    place = raw
    if parents and parents[0] in ("training", "start") and isinstance(raw.get(parents[0]), str):
        raw[parents[0]] = {"recipe": raw[parents[0]]}  # the short form has no keys to change
    for key in parents:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise InputError(f"--set {change}: {key!r} holds no keys")
    try:
        place[last] = _yaml().load(value)
    except YAMLError as error:
        raise InputError(f"--set {change}: not YAML: {_one_line(error)}") from error


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.width = 100
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    return yaml


def _one_line(error: YAMLError) -> str:
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"{problem or str(error).splitlines()[0]}{place}"
