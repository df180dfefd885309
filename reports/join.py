"""Join the results of several folders into one table: each trial once, and nothing pooled that differs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from switchbench.reports.cells import ACCURACY
from switchbench.reports.meanings import WithoutInert
from switchbench.reports.names import Folders, consistent
from switchbench.row import Status
from switchbench.words import plural

MOST_LINES = 10
"""Most lines of one kind."""


@dataclass(frozen=True)
class Joined:
    """Results of several folders."""

    results: pd.DataFrame
    """One row per trial."""
    lines: list[str]
    """What was kept apart or has two names, and which trials have different measurements or cells."""
    labels: list[dict[str, str]]
    """For each folder: new labels of methods, by their labels in the folder."""


def joined(folders: Folders, without_inert: WithoutInert = dict) -> Joined:
    """Join tables of results.

    A trial that several folders hold stands once: a measured row before one that is not, then the earliest
    folder. If folders use one name for different networks, data sets or methods, the later name gets the
    folder's name, so that they are never averaged. If they have two names for one, the first replaces the
    later one, so that its seeds are not split.

    Args:
        folders: Name and table of results of each folder.
        without_inert: Returns parts of a config without the settings that change nothing.

    Returns:
        The joined table, and what it took.
    """
    found = consistent(folders, without_inert=without_inert)
    names = [name for name, _ in folders]
    every = pd.concat([table.assign(_order=at) for at, table in enumerate(found.tables)], ignore_index=True)
    settled = every["status"].map({Status.OK: 0, Status.MISSING: 2}).fillna(1)
    place = pd.Series(range(len(every))).groupby(every["trial_id"]).transform("min")
    ordered = every.assign(_settled=settled, _at=place).sort_values(["_settled", "_order"], kind="stable")
    kept = ordered.drop_duplicates("trial_id").sort_values("_at")
    lines = [
        *(f"{line}: kept apart" for line in found.apart),
        *(f"{line}: shown under one name" for line in found.same),
        *_conflicts(every, names),
        *_places(every, kept, names),
    ]
    labels = [found.changed(at, "label") for at in range(len(folders))]
    return Joined(kept.drop(columns=["_order", "_settled", "_at"]).reset_index(drop=True), lines, labels)


def _conflicts(every: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Name the trials that were measured more than once with different results."""
    measured = every[every["status"] == Status.OK]
    repeated = measured[measured.duplicated("trial_id", keep=False)]
    spread = repeated.groupby("trial_id", sort=False)[ACCURACY].agg(["min", "max"])
    differing = spread[spread["min"] != spread["max"]]
    return _some(
        [
            f"trial {trial_id} has different test accuracies, {low:.4%} to {high:.4%}; that of "
            f"{names[repeated.loc[repeated['trial_id'] == trial_id, '_order'].min()]} counts"
            for trial_id, low, high in differing.head(MOST_LINES).itertuples()
        ],
        len(differing),
        "trial",
    )


def _places(every: pd.DataFrame, kept: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Name the trials that folders have in different cells: each counts in one alone."""
    repeated = every[every.duplicated("trial_id", keep=False)]
    stands = dict(_cells(kept[kept["trial_id"].isin(repeated["trial_id"])]))
    pairs = ((own, stands[trial_id]) for trial_id, own in _cells(repeated))
    moved = Counter((own, other) for own, other in pairs if own[0] != other[0])
    return _some(
        [
            f"{names[at]}: {plural(number, 'trial')} of {cell} shown as {other} alone, as in {names[by]}"
            for ((cell, at), (other, by)), number in [*moved.items()][:MOST_LINES]
        ],
        len(moved),
        "cell",
    )


def _cells(table: pd.DataFrame) -> Iterator[tuple[str, tuple[str, int]]]:
    """Yield the id of each trial, its cell in words, and the number of its folder."""
    columns = table[["trial_id", "label", "network", "dataset", "target_density", "_order"]]
    for trial_id, label, network, dataset, target, at in columns.itertuples(index=False):
        density = "" if pd.isna(target) else f" at {target:.9g}"
        yield trial_id, (f"{label!r} on {network}, {dataset}{density}", at)


def _some(lines: list[str], number: int, noun: str) -> list[str]:
    more = number - len(lines)
    return [*lines, *([f"and {plural(more, f'other {noun}')}"] if more else [])]
