"""Join the results of several folders into one table: each trial once, and nothing pooled that differs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from switchbench.reports.cells import ACCURACY
from switchbench.row import Status

PARTS = {"network": "network", "dataset": "dataset", "label": "method"}
"""Columns that name a part of a trial, and that part in its config. All else belongs to the method."""
APART = {"network", "dataset", "scope", "density", "seed", "validation_seed"}
"""Parts of a config that are columns of their own, or name a part."""


def joined(folders: Sequence[tuple[str, pd.DataFrame]]) -> tuple[pd.DataFrame, list[str]]:
    """Join tables of results.

    A trial that several folders hold stands once: a measured row before one that is not, then the earliest
    folder. If folders use one name for different networks, data sets or methods, the later name gets the
    folder's name, so that they are never averaged.

    Args:
        folders: Name and table of results of each folder.

    Returns:
        The joined table, and lines that name conflicts: equal trials with different measurements, and names
        that were changed.
    """
    lines: list[str] = []
    known: dict[tuple[str, ...], str] = {}
    tables: list[pd.DataFrame] = []
    for name, table in folders:
        renamed, said = _renamed(table, name, known)
        tables.append(renamed.assign(_order=len(tables)))
        lines += said
    every = pd.concat(tables, ignore_index=True)
    lines += _conflicts(every, [name for name, _ in folders])
    settled = every["status"].map({Status.OK: 0, Status.MISSING: 2}).fillna(1)
    place = pd.Series(range(len(every))).groupby(every["trial_id"]).transform("min")
    ordered = every.assign(_settled=settled, _at=place).sort_values(["_settled", "_order"], kind="stable")
    kept = ordered.drop_duplicates("trial_id").sort_values("_at")
    return kept.drop(columns=["_order", "_settled", "_at"]).reset_index(drop=True), lines


def _renamed(
    table: pd.DataFrame, folder: str, known: dict[tuple[str, ...], str]
) -> tuple[pd.DataFrame, list[str]]:
    """Rename what an earlier folder uses for something else; add to ``known`` what each name stands for."""
    lines, changed = [], table.copy()
    for column, part in PARTS.items():
        meanings = _meanings(changed, column, part)
        apart = {key[0] for key, meaning in meanings.items() if known.get((column, *key), meaning) != meaning}
        changes = {name: f"{name} ({folder})" for name in apart}
        for (name, *task), meaning in meanings.items():
            known.setdefault((column, changes.get(name, name), *task), meaning)
        if changes:
            changed[column] = changed[column].replace(changes)
            named = ", ".join(map(repr, sorted(changes)))
            lines.append(f"{folder}: {column} {named} is another than that of an earlier folder: kept apart")
    return changed, lines


def _meanings(table: pd.DataFrame, column: str, part: str) -> dict[tuple[str, ...], str]:
    """Return what each name of a column stands for, as JSON, by name and, for methods, by task.

    The first config counts. A method's training may depend on the data set, so its task is part of the key.
    """
    keys = [column] if part != "method" else [column, "network", "dataset"]
    first = table.dropna(subset=["config"]).drop_duplicates(keys)
    names = zip(*(first[key].astype(str) for key in keys), strict=True)
    return {
        name: _meaning(json.loads(config), part) for name, config in zip(names, first["config"], strict=True)
    }


def _meaning(config: Mapping[str, Any], part: str) -> str:
    if part != "method":
        return json.dumps(_unlabelled(config[part]), sort_keys=True)
    rest = {key: _unlabelled(value) for key, value in config.items() if key not in APART}
    return json.dumps(rest, sort_keys=True)


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
