"""What several results folders that sent to one experiment agree on; what differs is left out, with a line.

Else a table would average two things that have one name.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from switchbench.compare.inert import without_inert
from switchbench.reports.meanings import PARTS, differences
from switchbench.row import PlannedTrial, Row
from switchbench.spec.yaml_text import read_plain
from switchbench.words import plural

Sent = tuple[bytes, list[PlannedTrial]]
"""Spec and plan of a results folder; the spec is empty where there is none."""
Claims = dict[str, dict[str, Any]]
"""What is known of the recipe and of each name, in the form of a trial's config."""

RECIPE = ("training", "validation", "start")
"""Keys of a spec in which all trials of one comparison agree."""
BUDGET = ("epochs", "steps", "batch_size")
"""Settings of the training that no method changes, as in ``spec.training``, which imports torch."""
ENTRIES = {"networks": "network", "datasets": "dataset", "methods": "method"}
"""Keys of a spec whose entries have labels, and the key of the name in an entry."""
NEUTRAL = ("label", "path", "against", "densities")
"""Keys of an entry that do not change what is trained under its name."""


@dataclass(frozen=True)
class _Part:
    """A plan, or that part of one without a spec whose rows one run has stored."""

    name: str
    number: int
    """Place of the plan."""
    spec: bytes
    trials: list[PlannedTrial]


def agreeing(plans: list[Sent], rows: Mapping[str, Row]) -> tuple[list[Sent], list[str]]:
    """Leave out what differs from an earlier plan.

    Args:
        plans: The plans, oldest first. One without a spec may be of several folders.
        rows: The known rows, by the id of the trial.

    Returns:
        The plans without trials that differ, and lines on what was left out.
    """
    parts: list[_Part] = []
    lines: list[str] = []
    known: Claims = {}
    names: dict[str, PlannedTrial] = {}
    for part in _parts(plans, rows):
        claims = _claims_of_spec(read_sent(part.spec)) if part.spec else _claims_of_rows(part, rows)
        if why := _difference(known, claims) or _other_name(names, part):
            trials = plural(len(part.trials), "trial")
            what, later = ("specs", "one") if part.spec else ("rows", "run")
            remedy = f"{trials} of the later {later} left out; give it a name of its own"
            lines.append(f"{what} in MLflow differ in {why}: {remedy}")
            continue
        known = claims | known
        names = {trial.trial_id: trial for trial in part.trials} | names
        parts.append(part)
    kept = _of_one_meaning(parts, rows, lines)
    filtered = (
        (spec, [trial for trial in plan if (number, trial.trial_id) in kept])
        for number, (spec, plan) in enumerate(plans, 1)
    )
    return [(spec, plan) for spec, plan in filtered if plan], lines


def read_sent(spec: bytes) -> dict[str, Any]:
    """Return the plain values of a spec that was sent. Raises InputError."""
    return read_plain(spec, "spec.yaml in MLflow")


def entries(plain: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
    """Return the entries of a spec's list by label.

    >>> entries({"methods": ["dense", {"method": "set", "label": "mine"}]}, "methods")
    {'dense': {'method': 'dense'}, 'mine': {'method': 'set', 'label': 'mine'}}
    """
    kind, given = ENTRIES[key], plain.get(key)
    found = [{kind: each} if isinstance(each, str) else each for each in given or ()]
    return {str(each.get("label", each.get(kind))): each for each in found if isinstance(each, dict)}


def _parts(plans: list[Sent], rows: Mapping[str, Row]) -> Iterator[_Part]:
    for number, (spec, plan) in enumerate(plans, 1):
        if spec:
            yield _Part(f"folder {number}", number, spec, plan)
            continue
        runs: dict[str | None, list[PlannedTrial]] = {}
        for trial in plan:
            row = rows.get(trial.trial_id)
            runs.setdefault(row.run if row else None, []).append(trial)
        for run, trials in runs.items():
            yield _Part(f"run {run}", number, spec, trials)


def _claims_of_spec(plain: Mapping[str, Any]) -> Claims:
    claims: Claims = {key: {key: plain.get(key)} for key in RECIPE} | {"budget": _budget(plain)}
    found = ("strength",) if plain.get("match_density") else ()  # for each density another one
    for key, kind in ENTRIES.items():
        for label, entry in entries(plain, key).items():
            own = {name: value for name, value in entry.items() if name not in (*NEUTRAL, *found)}
            claims[f"{kind} {label!r}"] = {kind: own}
    return claims


def _claims_of_rows(part: _Part, rows: Mapping[str, Row]) -> Claims:
    """Return what rows say of the recipe. A method may have changed the rest of the training."""
    for trial in part.trials:
        if (row := rows.get(trial.trial_id)) and row.config:
            config = json.loads(row.config)
            return {"validation": {"validation": config.get("validation")}, "budget": _budget(config)}
    return {}


def _budget(plain: Mapping[str, Any]) -> dict[str, Any]:
    trainings = {key: plain.get(key) for key in ("training", "start")}
    return {key: each and {name: each.get(name) for name in BUDGET} for key, each in trainings.items()}


def _difference(known: Claims, claims: Claims) -> str:
    """Name the first difference from earlier plans; empty: there is none."""
    for key in claims:
        if key in known and (found := differences(known[key], claims[key], without_inert)):
            return f"{key} ({found})"
    return ""


def _other_name(names: Mapping[str, PlannedTrial], part: _Part) -> str:
    """Name what earlier plans give another name, for the same trials; empty: nothing."""
    for trial in part.trials:
        first = names.get(trial.trial_id, trial)
        for column in PARTS:
            own, other = getattr(trial, column), getattr(first, column)
            if own != other:
                return f"{column} {own!r} ({other!r} for the same trials)"
    return ""


def _of_one_meaning(parts: list[_Part], rows: Mapping[str, Row], lines: list[str]) -> set[tuple[int, str]]:
    """Leave out the trials whose names stand for something else in the rows of an earlier plan.

    Versions are known from rows alone; so are options where there is no spec.

    Returns:
        The trials that stay: place of the plan, and id.
    """
    import pandas as pd  # takes a second

    from switchbench.reports.names import consistent

    columns = ["trial_id", *PARTS, "method", "config", "versions"]
    tables = []
    for part in parts:
        stored = [(trial, rows.get(trial.trial_id)) for trial in part.trials]
        cells = [
            asdict(trial) | ({"config": row.config, "versions": row.versions} if row else {})
            for trial, row in stored
        ]
        tables.append((part.name, pd.DataFrame(cells, columns=columns)))
    found = consistent(tables, with_recipe=False, without_inert=without_inert)
    kept, left_out = set(), 0
    for at, part in enumerate(parts):
        other = {column: found.changed(at, column) for column in PARTS}
        for trial in part.trials:
            if any(getattr(trial, column) in other[column] for column in PARTS):
                left_out += 1
            else:
                kept.add((part.number, trial.trial_id))
    if found.apart:
        lines.append(f"in MLflow, {'; '.join(found.apart)}: {plural(left_out, 'trial')} left out")
    return kept
