"""The union of what several results folders have planned: their trials, and one spec."""

from typing import Any

from switchbench.compare.agreement import ENTRIES, Sent, entries, read_sent
from switchbench.compare.inert import without_inert
from switchbench.reports.meanings import differences
from switchbench.row import PlannedTrial
from switchbench.words import plural

LISTS = ("scope", "densities", "seeds")
"""Keys of a spec whose lists are united; so are those of :data:`ENTRIES`."""


def united(plans: list[Sent]) -> tuple[dict[str, PlannedTrial], list[str]]:
    """Return the trials of all plans by id, one for each method, density and seed of a task: the first.

    Returns:
        The trials, and lines on those that were left out.
    """
    trials: dict[str, PlannedTrial] = {}
    places: dict[tuple[Any, ...], str] = {}
    others: dict[str, None] = {}
    elsewhere: dict[str, None] = {}
    for trial in (trial for _, plan in plans for trial in plan):
        first = trials.get(trial.trial_id)
        if first and _place(first) != _place(trial):
            elsewhere[trial.trial_id] = None
        elif places.setdefault(_place(trial), trial.trial_id) != trial.trial_id:
            others[trial.trial_id] = None
        else:
            trials.setdefault(trial.trial_id, trial)
    lines = [
        f"{plural(len(ids), 'trial')} {what}, such as {next(iter(ids))}: the first counts"
        for ids, what in (
            (others, "of another version or with other options left out"),
            (elsewhere, "planned under two labels or densities"),
        )
        if ids
    ]
    return trials, lines


def _place(trial: PlannedTrial) -> tuple[Any, ...]:
    return (trial.network, trial.dataset, trial.scope, trial.label, trial.target_density, trial.seed)


def merged(specs: list[bytes]) -> tuple[dict[str, Any], list[str]]:
    """Return one spec for several machines that ran a part each: the first, with the lists of all.

    It may describe trials that nobody planned; the plan says which trials the report shows.

    Returns:
        The spec, and lines on keys in which the specs differ.
    """
    plain = [*map(read_sent, specs)] or [{}]
    first, *others = plain
    whole = dict(first)
    for key in LISTS:
        given = [spec[key] for spec in plain if isinstance(spec.get(key), list)]
        if others and given:
            whole[key] = _distinct([value for each in given for value in each])
    for key in ENTRIES:
        if others:
            whole[key] = _united_entries(plain, key)
    keys = dict.fromkeys(key for spec in plain for key in spec if key not in (*LISTS, *ENTRIES))
    differing = [
        key
        for key in sorted(keys)
        if any(differences({key: first.get(key)}, {key: spec.get(key)}, without_inert) for spec in others)
    ]
    lines = [f"specs in MLflow differ in {', '.join(differing)}; the first one counts"] if differing else []
    return whole, lines


def _united_entries(specs: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Return the entries of all specs, each label once: the first one, with the keys and densities of all."""
    found: dict[str, dict[str, Any]] = {}
    for spec in specs:
        for label, entry in entries(spec, key).items():
            found[label] = entry | found.get(label, {})
    for label, entry in found.items():
        if "densities" in entry:  # else it has those of the comparison, in each spec
            owners = [(own, spec) for spec in specs if (own := entries(spec, key).get(label))]
            every = [own.get("densities") or spec.get("densities") or [] for own, spec in owners]
            entry["densities"] = _distinct([value for each in every for value in each])
    return [*found.values()]


def _distinct(values: list[Any]) -> list[Any]:
    return [value for at, value in enumerate(values) if value not in values[:at]]
