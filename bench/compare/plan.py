"""Plan of a comparison: the resolved spec, its trials, and those that its ledger lacks."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from switchbench import datasets
from switchbench.compare.calibration import Calibration
from switchbench.datasets import MissingData
from switchbench.errors import InputError, unknown
from switchbench.networks.layers import prunable, unused
from switchbench.row import Status
from switchbench.spec.comparison import Spec
from switchbench.spec.file import load, parse, with_changes
from switchbench.spec.ranges import DensityRange
from switchbench.spec.scope import matches
from switchbench.spec.training import TrainingConfig
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import RESULTS, Ledger
from switchbench.store.objects import StorePath
from switchbench.trial.estimate import Estimate, estimates, total
from switchbench.trial.skips import reason_to_skip
from switchbench.words import plural

SpecLike = Spec | Mapping[str, Any] | str | Path
"""A spec, its plain values, a file, or the name of a shipped spec."""


@dataclass(frozen=True)
class Plan:
    """The trials of a comparison, and those that its ledger lacks."""

    spec: Spec
    ledger: Ledger
    trials: list[TrialConfig]
    """All planned trials."""
    todo: list[TrialConfig]
    """Trials to run."""
    failed: frozenset[str] = frozenset()
    """Ids of failed trials that are not run again."""
    calibration: Calibration = field(default_factory=Calibration)
    """The strengths that match densities, and the calibration runs that find them."""
    asked: Spec | None = None
    """The spec before strengths were found."""
    retry_failed: bool = False
    """Whether trials that failed are run again."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to train."""
        return not self.todo and not self.calibration.todo

    def again(self) -> "Plan":
        """Return the plan by what is stored now: after calibration runs, more is known. None runs twice."""
        return _planned(self.asked or self.spec, self.ledger, self.retry_failed, retry_trainings=False)

    @cached_property
    def starts(self) -> list[TrialConfig]:
        """Trials whose dense networks those to come start from, without those whose network is stored."""
        coming = [*self.calibration.most, *self.todo, *self.calibration.finals]
        starts = {start.trial_id: start for trial in coming if (start := trial.start_trial)}
        return [start for trial_id, start in starts.items() if not self.ledger.networks.has(trial_id)]

    @cached_property
    def skips(self) -> dict[str, str]:
        """Why trials of ``todo`` will be skipped, by trial id. Raises MissingData and InputError."""
        groups: dict[tuple[str, ...], str | None] = {}
        for trial in self.todo:
            if (group := trial.place) not in groups:
                facts = trial.dataset.facts()
                network, _ = trial.network.sketch(facts.shape, facts.classes)
                groups[group] = reason_to_skip(trial, network, trial.scope.of(network))
        return {trial.trial_id: reason for trial in self.todo if (reason := groups[trial.place])}

    def costs(self) -> dict[str, Estimate]:
        """Estimate the cost of the trials that are left, without those that will be skipped.

        Returns:
            Estimates by name of a group (method, network, data set and scope), and under ``all`` their total;
            empty if nothing is left.

        Raises:
            InputError: A network cannot take the images, a scope fits no layer, or the size of a data set is
                not known.
        """
        try:
            if self.todo or self.calibration.todo:
                check_layers(self.spec)
            starts = estimates(self.starts, label="dense start")
            trials = estimates(trial for trial in self.todo if trial.trial_id not in self.skips)
            calibration = estimates(self.calibration.most)
            trials |= {f"calibration runs of {name}, at most": cost for name, cost in calibration.items()}
            finals = estimates(self.calibration.finals)
        except (MissingData, ValueError) as error:
            raise InputError(str(error)) from error
        costs: dict[str, list[Estimate]] = {}
        for name, cost in (*starts.items(), *trials.items(), *finals.items()):
            costs.setdefault(name, []).append(cost)
        summed = {name: total(parts) for name, parts in costs.items()}
        return summed | ({"all": total(summed.values())} if summed else {})

    def how_to_continue(self) -> str:
        """Return how many trials are done by now, and how to run the others."""
        statuses = self.ledger.statuses([trial.trial_id for trial in self.trials])
        done = sum(status.settled() for status in statuses.values())
        stored = f"{done} of {len(self.trials)} trials are done and stored in {self.ledger.folder}"
        return f"{stored}; run the same command again to continue"

    @property
    def summary(self) -> str:
        """The plan in one line."""
        planned, left = len(self.trials), len(self.todo)
        failed = f", {len(self.failed)} failed (--retry-failed)" if self.failed else ""
        done = planned - left - len(self.failed)
        counts = f"{plural(planned, 'trial')}, {done} done{failed}, {left} to run"
        starts = f", after {plural(len(self.starts), 'dense start')}" if self.starts else ""
        left = self.calibration.left
        targets = plural(left, "density", "densities")
        more = f", and those at {targets} for which a strength is to be found" if left else ""
        return f"{self.spec.name}: {counts}{starts}{more} → {self.ledger.folder}"


def resolve(spec: SpecLike, changes: Iterable[str] = ()) -> Spec:
    """Load and validate a spec.

    Args:
        spec: A spec, its plain values, a file, or the name of a shipped spec.
        changes: Changes of the spec, ``key.key=value``.

    Returns:
        The validated spec with the changes.

    Raises:
        InputError: The spec or a change is not valid.
    """
    if isinstance(spec, str | Path):
        return load(spec, changes)
    plain = spec.model_dump(mode="json") if isinstance(spec, Spec) else dict(spec)
    return parse(with_changes(plain, changes))


def plan(
    spec: SpecLike,
    out: str | StorePath | None = None,
    changes: Iterable[str] = (),
    retry_failed: bool = False,
) -> Plan:
    """Resolve a spec, and find the trials that its ledger lacks. Nothing is written.

    Args:
        spec: A spec, its plain values, a file, or the name of a shipped spec.
        out: Folder of the results; default: ``results/NAME``.
        changes: Changes of the spec, ``key.key=value``.
        retry_failed: Whether trials that failed are run again.

    Returns:
        The plan.

    Raises:
        InputError: The spec is not valid or describes a search, a data set is missing, or the folder cannot
            be read.
    """
    changes = [*changes]
    resolved = resolve(spec, changes)
    if resolved.search:
        added = next((f", or leave out --set {each}" for each in changes if each.startswith("search.")), "")
        raise InputError(f"search: this spec describes a search; run it with 'switchbench search'{added}")
    return _planned(resolved, Ledger(out or RESULTS / resolved.name), retry_failed, retry_failed)


def _planned(spec: Spec, ledger: Ledger, retry_failed: bool, retry_trainings: bool) -> Plan:
    """Find the trials that a ledger lacks. Raises InputError."""
    try:
        before = ledger.strengths() if spec.match_density else []
        calibration = Calibration.of(spec, ledger.calibration, retry_trainings, before)
        resolved = spec.model_copy(update={"strengths": calibration.strengths})
        trials = resolved.trials()
        statuses = ledger.statuses([trial.trial_id for trial in trials])
    except MissingData as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise ledger.unwritable(error) from error
    failed = frozenset(
        trial_id for trial_id, status in statuses.items() if status == Status.FAILED and not retry_failed
    )
    final = failed | {trial_id for trial_id, status in statuses.items() if status.settled()}
    todo = [trial for trial in trials if trial.trial_id not in final]
    return Plan(resolved, ledger, trials, todo, failed, calibration, spec, retry_failed)


def check(spec: Spec) -> None:
    """Check what would fail in every trial: data sets, the validation split, networks and scopes.

    Raises:
        InputError: A data set is missing or too small for the validation split, a network cannot take the
            images, or a scope fits no layer.
    """
    for dataset in spec.datasets:
        try:
            data = dataset.load()
            datasets.held_out(len(data.train), spec.validation)
        except (MissingData, ValueError) as error:
            raise InputError(str(error)) from error
    check_layers(spec)


def check_layers(spec: Spec) -> None:
    """Check that networks can take the images, and that each pattern of a scope fits a layer of some network.

    Raises:
        InputError: One of them fails.
        MissingData: The size of a data set is unknown, and its files are missing.
    """
    names: set[str] = set()
    for dataset in spec.datasets:
        facts = dataset.facts()
        examples = datasets.training_size(facts.train, spec.validation)
        for index, network in enumerate(spec.networks):
            try:
                sketched, image = network.sketch(facts.shape, facts.classes)
            except InputError as error:
                raise InputError(f"networks[{index}], on {dataset.label}: {error}") from error
            names |= prunable(sketched).keys()
            _check_used(spec, network.label, sketched, image)
            _check_densities(spec, network.label, sketched)
            for key, training in _trainings(spec):
                if not _takes_last_batch(sketched, image, examples, training):
                    size, label = training.batch_size, network.label
                    problem = "leaves a last batch of one image, on which batch norms cannot train"
                    raise InputError(f"{key}.batch_size: {size} {problem} (network {label!r})")
    for pattern in (pattern for scope in spec.scope for pattern in scope.patterns):
        if not any(matches(name, [pattern]) for name in names):
            raise InputError(f"scope: no network has a matching layer: {unknown('layer', pattern, names)}")


def _check_used(spec: Spec, label: str, network: nn.Module, image: Tensor) -> None:
    """Check that all layers in scope take part in the output. Raises InputError."""
    idle = unused(network, image)
    for scope in spec.scope:
        if found := next((name for name in scope.of(network) if name in idle), None):
            problem = f"layer {found!r} of network {label!r} takes no part in its output"
            remedy = f"leave it out: {{layers: {scope.layers}, exclude: [{found}]}}"
            raise InputError(f"scope: {problem}; {remedy}")


def _check_densities(spec: Spec, label: str, network: nn.Module) -> None:
    """Check that every target density keeps a weight. Raises InputError."""
    targets = {f"{method.label}.densities": method.densities for method in spec.methods if method.densities}
    if spec.match_density or any(method.takes_target() and not method.densities for method in spec.methods):
        targets["densities"] = spec.densities
    if spec.search and spec.search.density is not None:
        of_search = spec.search.density
        targets["search.density"] = [of_search.low if isinstance(of_search, DensityRange) else of_search]
    for scope in spec.scope:
        weights = scope.weights_of(network)
        for key, densities in targets.items():
            for density in densities:
                if 0 < density * weights < 1 - 1e-9:
                    unit = 10.0 ** (math.floor(-math.log10(weights)) - 2)  # three digits, rounded up
                    least = f"the least is {unit * math.ceil(1 / weights / unit):.3g}"
                    problem = f"keeps less than one of the {weights:,} weights of network {label!r}"
                    raise InputError(f"{key}: {density:g} {problem} in scope {scope}; {least}")


def _trainings(spec: Spec) -> Iterator[tuple[str, TrainingConfig]]:
    """Yield every training of a spec with its key."""
    yield "training", spec.training
    if spec.start:
        yield "start", spec.start
    if spec.search:
        yield "search.training", spec.search_training()


def _takes_last_batch(network: nn.Module, image: Tensor, examples: int, training: TrainingConfig) -> bool:
    """Tell whether a network can train on the last batch of an epoch: batch norms need two values."""
    steps, per_epoch = training.length(examples)
    if (examples % training.batch_size != 1 and training.batch_size != 1) or steps < per_epoch:
        return True
    try:
        with torch.no_grad():
            network.train()(image)
    except ValueError:
        return False
    finally:
        network.eval()
    return True
