"""Join the results of several folders into one table: each trial once, and nothing pooled that differs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from switchbench.reports.cells import ACCURACY
from switchbench.reports.controls import DENSE
from switchbench.row import Status

PARTS = {"network": "network", "dataset": "dataset", "label": "method"}
"""Columns that name a part of a trial, and that part in its config. All else belongs to the method."""
TASKS = {"network": "network", "dataset": "dataset"}
"""Those of a task."""
NAMED = 3
"""Most differences that a line names."""
APART = {"network", "dataset", "scope", "density", "seed", "aim"}
"""Parts of a config that are columns of their own, name a part, or say how its strength was found."""


@dataclass(frozen=True)
class Joined:
    """Results of several folders."""

    results: pd.DataFrame
    """One row per trial."""
    lines: list[str]
    """What was kept apart, and which trials have different measurements."""
    labels: list[dict[str, str]]
    """For each folder: new labels of methods, by their labels in the folder."""


def joined(
    folders: Sequence[tuple[str, pd.DataFrame]],
) -> Joined:
    """Join tables of results.

    A trial that several folders hold stands once: a measured row before one that is not, then the earliest
    folder. If folders use one name for different networks, data sets or methods, the later name gets the
    folder's name, so that they are never averaged.

    Args:
        folders: Name and table of results of each folder.

    Returns:
        The joined table, and what it took.
    """
    lines: list[str] = []
    labels: list[dict[str, str]] = []
    versioned = all(_has_versions(table) for _, table in folders)
    known: Names = {}
    tables: list[pd.DataFrame] = []
    for name, table in folders:
        changes, apart = _changes(table, name, known, versioned, PARTS)
        tables.append(table.replace(changes).assign(_order=len(tables)))
        labels.append(changes["label"])
        lines += apart
    every = pd.concat(tables, ignore_index=True)
    lines += _conflicts(every, [name for name, _ in folders])
    settled = every["status"].map({Status.OK: 0, Status.MISSING: 2}).fillna(1)
    place = pd.Series(range(len(every))).groupby(every["trial_id"]).transform("min")
    ordered = every.assign(_settled=settled, _at=place).sort_values(["_settled", "_order"], kind="stable")
    kept = ordered.drop_duplicates("trial_id").sort_values("_at")
    return Joined(kept.drop(columns=["_order", "_settled", "_at"]).reset_index(drop=True), lines, labels)


def same_tasks(folders: Sequence[tuple[str, pd.DataFrame]]) -> tuple[list[pd.DataFrame], list[str]]:
    """Keep networks and data sets of one name apart where their options or versions differ.

    Unlike in :func:`joined`, trainings and methods may differ, and each table stays by itself.

    Args:
        folders: Name and table of results of each folder.

    Returns:
        The tables, in which the later network or data set of a name has the folder's name, and what was kept
        apart.
    """
    versioned = all(_has_versions(table) for _, table in folders)
    known: Names = {}
    tables: list[pd.DataFrame] = []
    lines: list[str] = []
    for name, table in folders:
        bare = table.assign(config=table["config"].map(_without_recipe, na_action="ignore"))
        changes, apart = _changes(bare, name, known, versioned, TASKS)
        tables.append(table.replace(changes))
        lines += apart
    return tables, lines


def _without_recipe(text: str) -> str:
    return json.dumps({key: value for key, value in json.loads(text).items() if key in TASKS.values()})


def _has_versions(table: pd.DataFrame) -> bool:
    """Return whether all rows name the versions of their parts; those of older versions do not."""
    texts = table.dropna(subset=["config"])["versions"].fillna("{}").unique()
    return all({*PARTS.values()} <= json.loads(text).keys() for text in texts)


@dataclass(frozen=True)
class Known:
    """What a name stands for."""

    meaning: dict[str, Any]
    folder: str
    """The folder that uses it so first."""


Names = dict[tuple[str, ...], Known]
"""What each name stands for, by column, name and task."""


def _changes(
    table: pd.DataFrame, folder: str, known: Names, versioned: bool, parts: Mapping[str, str]
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return, by column, the new names of what an earlier folder uses for something else, and lines on it.

    ``known`` is added to. A name that an earlier folder got for the same thing is used again. Versions count
    if all folders have them.
    """
    changes: dict[str, dict[str, str]] = {}
    lines = []
    for column, part in parts.items():
        new = table.replace(changes)  # tasks may have new names by now
        meanings = _meanings(new, column, part, versioned)
        others: dict[str, str] = {}
        why: dict[tuple[str, str], list[str]] = {}
        for key, meaning in meanings.items():
            first = known.get((column, *key))
            differences = first and _differences(first.meaning, meaning)
            if first and differences and key[0] not in others:
                others[key[0]] = _other_name(key[0], column, folder, meanings, known)
                why.setdefault((first.folder, differences), []).append(key[0])
        for (name, *task), meaning in meanings.items():
            known.setdefault((column, others.get(name, name), *task), Known(meaning, folder))
        changes[column] = others
        lines += [
            f"{folder}: {_subject(column, differences)} {', '.join(map(repr, sorted(names)))} not as in "
            f"{earlier} ({differences}): kept apart"
            for (earlier, differences), names in why.items()
        ]
    return changes, lines


def _subject(column: str, differences: str) -> str:
    """Name what differs: tasks on a data set also differ in their training."""
    return "tasks on" if column == "dataset" and "dataset." not in differences else column


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name what differs between two meanings, in the words of a spec; empty: nothing."""
    one, other = dict(_flat(before)), dict(_flat(now))
    keys = [key for key in dict.fromkeys([*one, *other]) if one.get(key) != other.get(key)]
    named = [f"{key}: {_given(other, key)} instead of {_given(one, key)}" for key in keys[:NAMED]]
    return "; ".join([*named, *([f"{len(keys) - NAMED} more"] if len(keys) > NAMED else [])])


def _flat(part: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values, without those that are None: older versions lack newer options."""
    for key, value in part.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, value


def _given(flat: Mapping[str, Any], key: str) -> str:
    value = flat.get(key, "nothing")
    return value if isinstance(value, str) else json.dumps(value)


def _other_name(
    name: str,
    column: str,
    folder: str,
    meanings: Mapping[tuple[str, ...], dict[str, Any]],
    known: Names,
) -> str:
    """Return the name of an earlier folder for the same thing, or a new one."""
    own = {tuple(task): meaning for (each, *task), meaning in meanings.items() if each == name}
    others = dict.fromkeys(other for of, other, *_ in known if of == column and other.startswith(f"{name} ("))
    same = (
        other
        for other in others
        if all(
            (found := known.get((column, other, *task))) is None or not _differences(found.meaning, meaning)
            for task, meaning in own.items()
        )
    )
    return next(same, f"{name} ({folder})")


def _meanings(
    table: pd.DataFrame, column: str, part: str, versioned: bool
) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return what each name of a column stands for, by name and, for methods, by task.

    The first config counts; for a data set, that of the dense control, whose training is the recipe of the
    task. A method's training may depend on the data set, so its task is part of the key; its options may not,
    and stand under its name alone as well.
    """
    keys = [column] if part != "method" else [column, "network", "dataset"]
    known = table.dropna(subset=["config"])
    if part == "dataset":
        known = known.sort_values("method", key=lambda methods: methods != DENSE, kind="stable")
    first = known.drop_duplicates(keys)
    names = [*zip(*(first[key].astype(str) for key in keys), strict=True)]
    configs = [*map(json.loads, first["config"])]
    versions = [json.loads(text)[part] if versioned else None for text in first["versions"]]
    found = {
        name: _meaning(config, part) | {"version": version}
        for name, config, version in zip(names, configs, versions, strict=True)
    }
    if part == "method":
        for (name, *_), config in zip(names, configs, strict=True):
            found.setdefault((name,), {"method": {**_meaning(config, part)["method"], "training": None}})
    return found


def _meaning(config: Mapping[str, Any], part: str) -> dict[str, Any]:
    if config.get("aim"):  # the strength was found for one density and task, and is no choice of the method
        method = {key: value for key, value in config["method"].items() if key != "strength"}
        config = {**config, "method": method}
    rest = {key: _unlabelled(value) for key, value in config.items() if key not in APART}
    if part == "network":
        rest = {}
    elif (
        part == "dataset"
    ):  # methods under different training are no rivals, and have no dense control in common
        rest.pop("method", None)
    own = {} if part == "method" else {part: _unlabelled(config[part])}
    return rest | own


def _unlabelled(part: Any) -> Any:
    """Leave out what names a part and does not change it."""
    if not isinstance(part, dict):
        return part
    return {key: value for key, value in part.items() if key not in ("label", "path")}


def _conflicts(every: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Name the trials that were measured more than once with different results."""
    measured = every[every["status"] == Status.OK]
    repeated = measured[measured.duplicated("trial_id", keep=False)]
    spread = repeated.groupby("trial_id", sort=False)[ACCURACY].agg(["min", "max"])
    differing = spread[spread["min"] != spread["max"]]
    return [
        f"trial {trial_id} has different test accuracies, {low:.4%} to {high:.4%}; that of "
        f"{names[repeated.loc[repeated['trial_id'] == trial_id, '_order'].min()]} counts"
        for trial_id, low, high in differing.head(10).itertuples()
    ] + ([f"and {len(differing) - 10} other trials"] if len(differing) > 10 else [])
