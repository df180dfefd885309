"""Find what stands for different things within one table, as where it was put together of several folders."""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from switchbench.reports.meanings import PARTS, VERSION, Meaning, Name, WithoutInert, differences, meaning_of

OF_ONE_TRIAL = r'"(?:seed|density)":[^,}]*,?'
"""What differs between the configs of the trials of one method."""


def mixed(table: pd.DataFrame, without_inert: WithoutInert = dict) -> list[str]:
    """Return a line for each name whose trials were trained with different options or by different versions.

    Args:
        table: A table of results.
        without_inert: As for :func:`switchbench.reports.meanings.differences`.
    """
    known = table.dropna(subset=["config"])
    texts = known["config"].str.replace(OF_ONE_TRIAL, "", regex=True)
    distinct = known.assign(_text=texts).drop_duplicates([*PARTS, "_text", "versions"])
    first: dict[tuple[str, Name], Meaning] = {}
    lines: dict[tuple[str, str], str] = {}
    for column, name, meaning in _meanings(distinct):
        before = first.setdefault((column, name), meaning)
        if why := differences(before, meaning, without_inert):
            said = f"{column} {name[0]!r} stands for trials that differ ({why})"
            lines.setdefault((column, name[0]), f"{said}: report them from folders of their own")
        before[VERSION] = before[VERSION] or meaning[VERSION]
    return [*lines.values()]


def _meanings(table: pd.DataFrame) -> Iterator[tuple[str, Name, Meaning]]:
    """Yield column, name and meaning of each part of each row. Configs of foreign tables may be anything."""
    columns = table[[*PARTS, "config", "versions"]]
    for network, dataset, label, text, versions in columns.itertuples(index=False):
        config, own = _plain(text), _plain(versions)
        if not all(isinstance(config.get(part), dict) for part in PARTS.values()):
            continue
        for column, name in (
            ("network", (network,)),
            ("dataset", (dataset,)),
            ("label", (label, network, dataset)),
        ):
            part = PARTS[column]
            yield column, name, meaning_of(config, part, with_recipe=False) | {VERSION: own.get(part)}


def _plain(text: object) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}
