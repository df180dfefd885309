"""Join the results of several folders into one table: each trial once, and nothing pooled that differs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from switchbench.reports.cells import ACCURACY
from switchbench.reports.controls import DENSE
from switchbench.row import Status

PARTS = {"network": "network", "dataset": "dataset", "label": "method"}
"""Columns that name a part of a trial, and that part in its config. All else belongs to the method."""
DIFFERS = {
    "network": "has other options, or another version",
    "dataset": "has other options, another version, or another training",
    "label": "stands for another method, other options, or another version",
}
"""Why a name is kept apart."""
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
    known: dict[tuple[str, ...], str] = {}
    tables: list[pd.DataFrame] = []
    for name, table in folders:
        changes = _changes(table, name, known, versioned)
        tables.append(table.replace(changes).assign(_order=len(tables)))
        labels.append(changes["label"])
        lines += [
            f"{name}: {column} {', '.join(map(repr, sorted(names)))} {DIFFERS[column]} than in an earlier "
            "folder: kept apart"
            for column, names in changes.items()
            if names
        ]
    every = pd.concat(tables, ignore_index=True)
    lines += _conflicts(every, [name for name, _ in folders])
    settled = every["status"].map({Status.OK: 0, Status.MISSING: 2}).fillna(1)
    place = pd.Series(range(len(every))).groupby(every["trial_id"]).transform("min")
    ordered = every.assign(_settled=settled, _at=place).sort_values(["_settled", "_order"], kind="stable")
    kept = ordered.drop_duplicates("trial_id").sort_values("_at")
    return Joined(kept.drop(columns=["_order", "_settled", "_at"]).reset_index(drop=True), lines, labels)


def _has_versions(table: pd.DataFrame) -> bool:
    """Return whether all rows name the versions of their parts; those of older versions do not."""
    texts = table.dropna(subset=["config"])["versions"].fillna("{}").unique()
    return all({*PARTS.values()} <= json.loads(text).keys() for text in texts)


def _changes(
    table: pd.DataFrame, folder: str, known: dict[tuple[str, ...], str], versioned: bool
) -> dict[str, dict[str, str]]:
    """Return, by column, the new names of what an earlier folder uses for something else.

    ``known`` holds what each name stands for, by column, name and task, and is added to. A name that an
    earlier folder got for the same thing is used again. Versions count if all folders have them.
    """
    changes: dict[str, dict[str, str]] = {}
    for column, part in PARTS.items():
        new = table.replace(changes)  # tasks may have new names by now
        meanings = _meanings(new, column, part, versioned)
        apart = {key[0] for key, meaning in meanings.items() if known.get((column, *key), meaning) != meaning}
        changes[column] = {name: _other_name(name, column, folder, meanings, known) for name in apart}
        for (name, *task), meaning in meanings.items():
            known.setdefault((column, changes[column].get(name, name), *task), meaning)
    return changes


def _other_name(
    name: str,
    column: str,
    folder: str,
    meanings: dict[tuple[str, ...], str],
    known: dict[tuple[str, ...], str],
) -> str:
    """Return the name of an earlier folder for the same thing, or a new one."""
    own = {tuple(task): meaning for (each, *task), meaning in meanings.items() if each == name}
    others = dict.fromkeys(other for of, other, *_ in known if of == column and other.startswith(f"{name} ("))
    same = (
        other
        for other in others
        if all(known.get((column, other, *task), meaning) == meaning for task, meaning in own.items())
    )
    return next(same, f"{name} ({folder})")


def _meanings(table: pd.DataFrame, column: str, part: str, versioned: bool) -> dict[tuple[str, ...], str]:
    """Return what each name of a column stands for, as JSON, by name and, for methods, by task.

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
        name: json.dumps([_meaning(config, part), version], sort_keys=True)
        for name, config, version in zip(names, configs, versions, strict=True)
    }
    if part == "method":
        for (name, *_), config in zip(names, configs, strict=True):
            options = {**_meaning(config, part)["method"], "training": None}
            found.setdefault((name,), json.dumps(options, sort_keys=True))
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
