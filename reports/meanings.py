"""What names of networks, data sets and methods stand for in a table of results, and how two differ."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from switchbench.reports.controls import DENSE

if TYPE_CHECKING:
    import pandas as pd  # which takes a second to import, before `pull` has asked any server

PARTS = {"network": "network", "dataset": "dataset", "label": "method"}
"""Columns that name a part of a trial, and that part in its config. All else belongs to the method."""
NAMED = 3
"""Most differences that a line names."""
APART = {"network", "dataset", "scope", "density", "seed", "aim"}
"""Parts of a config that are columns of their own, name a part, or say how its strength was found."""
VERSION = "version"
"""Key of the version of a part in its meaning. Rows of older versions of switchbench do not name it."""

Meaning = dict[str, Any]
"""The parts of a config that decide what a name stands for, and the version of the named one."""
Name = tuple[str, ...]
"""A name, and for a method also network and data set: its training may depend on the task."""
WithoutInert = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Returns parts of a config without the settings that change nothing."""


def meanings(table: "pd.DataFrame", column: str, with_recipe: bool) -> dict[Name, Meaning]:
    """Return what each name of a column stands for.

    The first config counts; for a data set, that of the dense control, whose training is the recipe of the
    task. A method's options do not depend on the task, and stand under its name alone as well.

    Args:
        table: A table of results.
        column: One of :data:`PARTS`.
        with_recipe: Whether the training belongs to a data set: then methods of two recipes never meet.
    """
    part = PARTS[column]
    keys = [column] if part != "method" else [column, "network", "dataset"]
    known = table.dropna(subset=["config"])
    if part == "dataset":
        known = known.sort_values("method", key=lambda methods: methods != DENSE, kind="stable")
    first = known.drop_duplicates(keys)
    names = [*zip(*(first[key].astype(str) for key in keys), strict=True)]
    versions = _versions(known, keys, part)
    found: dict[Name, Meaning] = {}
    for name, text in zip(names, first["config"], strict=True):
        found[name] = meaning_of(json.loads(text), part, with_recipe) | {VERSION: versions.get(name)}
        if part == "method":
            alone = found.setdefault(name[:1], {part: found[name][part], VERSION: None})
            alone[VERSION] = alone[VERSION] or versions.get(name)
    return found


def _versions(known: "pd.DataFrame", keys: list[str], part: str) -> dict[Name, str]:
    """Return the first version that rows of a name have of its part, without names that have none."""
    parsed = {text: json.loads(text).get(part) for text in known["versions"].dropna().unique()}
    marked = known.assign(**{VERSION: known["versions"].map(parsed)}).dropna(subset=[VERSION])
    first = marked.drop_duplicates(keys)
    names = zip(*(first[key].astype(str) for key in keys), strict=True)
    return dict(zip(names, first[VERSION], strict=True))


def meaning_of(config: Mapping[str, Any], part: str, with_recipe: bool) -> Meaning:
    """Return what a config says of one of its parts, without its version."""
    if config.get("aim"):  # the strength was found for one density and task, and is no choice of the method
        method = {key: value for key, value in config["method"].items() if key != "strength"}
        config = {**config, "method": method}
    recipe = {key: _unlabelled(value) for key, value in config.items() if key not in APART}
    if part == "method":
        return recipe
    own = {part: _unlabelled(config[part])}
    if part == "network" or not with_recipe:
        return own
    del recipe["method"]  # methods under different training are no rivals, and share no dense control
    return recipe | own


def _unlabelled(part: Any) -> Any:
    """Leave out what names a part and does not change it."""
    if not isinstance(part, dict):
        return part
    return {key: value for key, value in part.items() if key not in ("label", "path")}


def differences(before: Mapping[str, Any], now: Mapping[str, Any], without_inert: WithoutInert = dict) -> str:
    """Name what differs between two meanings, in the words of a spec; empty: nothing.

    A version that one of them lacks is no difference.

    Args:
        before: Nested plain values.
        now: The others.
        without_inert: Called only if they differ, as it may import much.
    """
    if not _differing(before, now):
        return ""
    before, now = without_inert(before), without_inert(now)
    one, other, keys = dict(_flat(before)), dict(_flat(now)), _differing(before, now)
    named = [f"{key}: {_given(other, key)} instead of {_given(one, key)}" for key in keys[:NAMED]]
    return "; ".join([*named, *([f"{len(keys) - NAMED} more"] if len(keys) > NAMED else [])])


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    one, other = dict(_flat(before)), dict(_flat(now))
    keys = [key for key in dict.fromkeys([*one, *other]) if one.get(key) != other.get(key)]
    return [key for key in keys if key != VERSION or (key in one and key in other)]


def _flat(part: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values, without those that are None: older versions lack newer options."""
    for key, value in part.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, value


def _given(flat: Mapping[str, Any], key: str) -> str:
    value = flat.get(key, "nothing")
    return value if isinstance(value, str) else json.dumps(value)
