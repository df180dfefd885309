"""Make names of several folders consistent: one name stands for one thing, and one thing has one name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import pandas as pd

from switchbench.reports.meanings import (
    PARTS,
    VERSION,
    Meaning,
    Name,
    WithoutInert,
    differences,
    meanings,
)
from switchbench.words import plural

Folders = Sequence[tuple[str, pd.DataFrame]]
"""Name and table of results of each folder."""


@dataclass(frozen=True)
class Consistent:
    """Tables of several folders with consistent names."""

    tables: list[pd.DataFrame]
    names: list[dict[str, dict[str, str]]]
    """For each folder and column: the new names, by the folder's own; also those that stay."""
    apart: list[str] = field(default_factory=list)
    """What an earlier folder uses a name for, and a later one uses for something else."""
    same: list[str] = field(default_factory=list)
    """What has two names: one trial stands under both."""

    def changed(self, folder: int, column: str) -> dict[str, str]:
        """Return the new names of a folder, by its own, without those that stay."""
        return {own: new for own, new in self.names[folder][column].items() if own != new}

    def rename(self, folder: int, column: str, new: Mapping[str, str]) -> None:
        """Replace names of a folder."""
        if new:
            table, names = self.tables[folder], self.names[folder]
            self.tables[folder] = table.assign(
                **{column: table[column].map(lambda name: new.get(name, name))}
            )
            names[column] = {own: new.get(name, name) for own, name in names[column].items()}


def consistent(
    folders: Folders,
    columns: Sequence[str] = tuple(PARTS),
    with_recipe: bool = True,
    without_inert: WithoutInert = dict,
) -> Consistent:
    """Make names consistent.

    If folders use one name for different things, the later name gets the folder's name. If one trial stands
    under two names, these name one thing, and the first replaces the later one in all folders.

    Args:
        folders: The folders.
        columns: Which names. What a method stands for depends on the task, whose names come before it.
        with_recipe: Whether a data set with another training is another task.
        without_inert: As for :func:`switchbench.reports.meanings.differences`.
    """
    names = [{column: {name: name for name in table[column]} for column in columns} for _, table in folders]
    found = Consistent([table for _, table in folders], names)
    for column in columns:
        apart = _keep_apart(found, folders, column, with_recipe, without_inert)
        _unite(found, folders, column, apart)
    return found


@dataclass(frozen=True)
class _Known:
    """What a name stands for."""

    meaning: Meaning
    folder: str
    """The folder that uses it so first."""


def _keep_apart(
    found: Consistent, folders: Folders, column: str, with_recipe: bool, without_inert: WithoutInert
) -> list[set[str]]:
    """Give names of a column that an earlier folder uses for something else new ones.

    A name that an earlier folder got for the same thing is used again.

    Returns:
        Pairs of names that were one.
    """
    known: dict[Name, _Known] = {}
    apart: list[set[str]] = []
    for at, (folder, _) in enumerate(folders):
        own = meanings(found.tables[at], column, with_recipe)
        others: dict[str, str] = {}
        why: dict[tuple[str, str], list[str]] = {}
        for (name, *task), meaning in own.items():
            first = known.get((name, *task))
            differing = first and differences(first.meaning, meaning, without_inert)
            if first and differing and name not in others:
                others[name] = _other_name(name, folder, own, known, without_inert)
                why.setdefault((first.folder, differing), []).append(name)
        for (name, *task), meaning in own.items():
            key = (others.get(name, name), *task)
            unversioned = key in known and known[key].meaning[VERSION] is None
            if key not in known or (unversioned and meaning[VERSION]):  # else any later version would pass
                known[key] = _Known(meaning, folder)
        found.rename(at, column, others)
        apart += ({name, other} for name, other in others.items())
        found.apart.extend(
            f"{folder}: {_subject(column, differing)} {', '.join(map(repr, sorted(names)))} not as in "
            f"{earlier} ({differing})"
            for (earlier, differing), names in why.items()
        )
    return apart


def _subject(column: str, differing: str) -> str:
    """Name what differs: tasks on a data set also differ in their training."""
    return "tasks on" if column == "dataset" and "dataset." not in differing else column


def _other_name(
    name: str,
    folder: str,
    own: Mapping[Name, Meaning],
    known: Mapping[Name, _Known],
    without_inert: WithoutInert,
) -> str:
    """Return the name of an earlier folder for the same thing, or a new one."""
    meant = {tuple(task): meaning for (each, *task), meaning in own.items() if each == name}
    taken = dict.fromkeys(other for other, *_ in known)

    def fits(other: str) -> bool:
        pairs = ((known.get((other, *task)), meaning) for task, meaning in meant.items())
        return not any(
            first and differences(first.meaning, meaning, without_inert) for first, meaning in pairs
        )

    same = (other for other in taken if other.startswith(f"{name} (") and fits(other))
    return next(same, None) or next(
        other for other in _numbered(name, folder) if other not in taken and (other,) not in own
    )


def _numbered(name: str, folder: str) -> Iterator[str]:
    yield f"{name} ({folder})"
    yield from (f"{name} ({folder}, {number})" for number in count(2))


def _unite(found: Consistent, folders: Folders, column: str, apart: list[set[str]]) -> None:
    """Replace names of a column by the first name of the same trials.

    Names that were kept apart stay, as they differ in other trials; so do two names that one folder holds.
    """
    placed = [
        table[["trial_id", column]].assign(folder=folder)
        for (folder, _), table in zip(folders, found.tables, strict=True)
    ]
    every = pd.concat(placed, ignore_index=True)
    first = every.drop_duplicates("trial_id").set_index("trial_id")
    pairs = every.join(first, on="trial_id", rsuffix="_first")
    pairs = pairs[pairs[column] != pairs[f"{column}_first"]]
    if pairs.empty:
        return
    order = [*dict.fromkeys(every[column])]
    new = {name: name for name in order}
    held = [*({*table[column]} for table in found.tables), *apart]
    counts = pairs.groupby(["folder", column, "folder_first", f"{column}_first"], sort=False).size()
    for folder, name, earlier, other, number in counts.reset_index().itertuples(index=False):
        kept, replaced = sorted((new[other], new[name]), key=order.index)
        if kept == replaced or any({kept, replaced} <= names for names in held):
            continue
        new = {own: kept if given == replaced else given for own, given in new.items()}
        held = [{new.get(each, each) for each in names} for names in held]
        trials = plural(number, "trial")
        found.same.append(f"{folder}: {column} {name!r} is {other!r} in {earlier} ({trials} in both)")
    for at in range(len(folders)):
        found.rename(at, column, new)
