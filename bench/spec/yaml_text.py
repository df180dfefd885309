"""YAML as plain values, without a look at what they mean: nothing here imports the parts of a spec."""

import io
import warnings
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import ReusedAnchorWarning, YAMLError

from switchbench.errors import InputError

MOST_VALUES = 100_000
"""Largest number of values in a spec."""


def read_plain(content: bytes, source: str) -> dict[str, Any]:
    """Read the plain values of a spec without validation.

    Args:
        content: Content of the file.
        source: Its name, for messages.

    Returns:
        The values.

    Raises:
        InputError: It is no YAML, or no mapping.
    """
    try:
        return mapping(content.decode(), source)
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: not YAML: not a text file") from error


def mapping(text: str, source: str) -> dict[str, Any]:
    """Read the plain values of a spec. Raises InputError."""
    raw = parsed(text, source)
    if raw is None:
        raise InputError(f"{source}: is empty; a spec has keys and values, such as name: mine")
    if not isinstance(raw, dict):
        raise InputError(f"{source}: not a spec: expected keys and values, found {type(raw).__name__}")
    return raw


def parsed(text: str, source: str) -> Any:
    """Read YAML. Raises InputError, also on what would take all memory or time: aliases that multiply."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML allows it
            raw = yaml().load(text)
        _count(raw, MOST_VALUES)
    except YAMLError as error:
        raise InputError(f"{source}: not YAML: {_one_line(error)}") from error
    except RecursionError as error:
        raise InputError(f"{source}: nested too deeply, or holds itself") from error
    except (ValueError, TypeError) as error:  # numbers of thousands of digits, keys that are no text
        raise InputError(f"{source}: {str(error).splitlines()[0]}") from error
    return raw


def written(values: Mapping[str, Any]) -> str:
    """Return plain values as YAML."""
    stream = io.StringIO()
    yaml().dump(values, stream)
    return stream.getvalue()


def _count(value: Any, most: int) -> int:
    """Count the values in nested mappings and lists, those of an alias each time. Raises ValueError."""
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    left = most - 1
    for each in value if isinstance(value, list) else ():
        left = _count(each, left)
        if left <= 0:
            raise ValueError(f"holds more than {MOST_VALUES:,} values; aliases count each time")
    return left


def yaml() -> YAML:
    """Return a reader and writer of YAML 1.2 that refuses duplicate keys."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.width = 100
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    return yaml


def _one_line(error: YAMLError) -> str:
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    position = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"{problem or str(error).splitlines()[0]}{position}"
