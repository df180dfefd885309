"""What a comparison asks for: the resolved spec, its trials, and what its ledger lacks of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from switchbench import datasets
from switchbench.datasets import MissingData
from switchbench.errors import InputError, unknown
from switchbench.networks.layers import prunable
from switchbench.spec.comparison import Spec
from switchbench.spec.file import changed, load, parse
from switchbench.spec.scope import matches
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.trial.estimate import Estimate, estimate, total

RESULTS = Path("results")

SpecLike = Spec | Mapping[str, Any] | str | Path
"""A spec, its plain values, a file, or the name of a shipped one."""


@dataclass(frozen=True)
class Plan:
    """What a comparison asks for and what its ledger has of it."""

    spec: Spec
    ledger: Ledger
    trials: list[TrialConfig]
    todo: list[TrialConfig]
    """Trials that the ledger lacks."""

    @cached_property
    def starts(self) -> list[TrialConfig]:
        """Dense networks that these start from and that are not kept yet."""
        starts = {start.trial_id: start for trial in self.todo if (start := trial.start_trial)}
        return [start for trial_id, start in starts.items() if not self.ledger.networks.has(trial_id)]

    def costs(self) -> dict[str, Estimate]:
        """What is left to run, by network, data set and method, and in all. Raises InputError where that
        cannot run, or the size of a data set is not known."""
        grouped: dict[str, list[Estimate]] = {}
        try:
            _check_layers(self.spec)
            labelled = [(trial.method.label, trial) for trial in self.todo]
            for what, trial in [*(("dense start", start) for start in self.starts), *labelled]:
                name = f"{what} on {trial.network.label}, {trial.dataset.label}, {trial.scope}"
                grouped.setdefault(name, []).append(estimate(trial))
        except MissingData as error:
            raise InputError(str(error)) from error
        summed = {name: total(parts) for name, parts in grouped.items()}
        return summed | ({"all": total(summed.values())} if summed else {})

    @property
    def summary(self) -> str:
        """The plan in one line."""
        planned, left = len(self.trials), len(self.todo)
        counts = f"{planned} trials, {planned - left} done, {left} to run"
        starts = f", after {len(self.starts)} dense starts" if self.starts else ""
        return f"{self.spec.name}: {counts}{starts} → {self.ledger.folder}"


def resolve(spec: SpecLike, changes: Iterable[str] = ()) -> Spec:
    """The spec that somebody means. Raises InputError."""
    if isinstance(spec, str | Path):
        return load(spec, changes)
    plain = spec.model_dump(mode="json") if isinstance(spec, Spec) else dict(spec)
    return parse(changed(plain, changes))


def plan(spec: SpecLike, out: str | Path | None = None, changes: Iterable[str] = ()) -> Plan:
    """Resolve a spec and look into its ledger; writes nothing. Raises InputError."""
    resolved = resolve(spec, changes)
    if resolved.search:
        raise InputError("search: this spec is of a search: switchbench search runs it")
    ledger = Ledger(out or RESULTS / resolved.name)
    try:
        trials = resolved.trials()
        todo = [trial for trial in trials if not ledger.done(trial.trial_id)]
    except MissingData as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"output folder {ledger.folder}: {error.strerror or error}") from error
    return Plan(resolved, ledger, trials, todo)


def check(spec: Spec) -> None:
    """Raise InputError for what would fail in every trial: data that are not there, and whatever
    :func:`_check_layers` finds."""
    for dataset in spec.datasets:
        try:
            data = dataset.load()
            datasets.held_out(len(data.train), spec.validation)
        except (MissingData, ValueError) as error:
            raise InputError(str(error)) from error
    _check_layers(spec)


def _check_layers(spec: Spec) -> None:
    """Raise InputError where a network cannot take the images, or a pattern of a scope fits a layer of no
    network. Raises MissingData where a data set of unknown size is not here."""
    names: set[str] = set()
    for dataset in spec.datasets:
        facts = dataset.facts()
        for network in spec.networks:
            names |= prunable(network.sketch(facts.shape, facts.classes)[0]).keys()
    for pattern in (pattern for scope in spec.scope for pattern in scope.patterns):
        if not any(matches(name, [pattern]) for name in names):
            raise InputError(f"scope: no network has a layer like it: {unknown('layer', pattern, names)}")
