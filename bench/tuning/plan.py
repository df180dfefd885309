"""The plan of a search: the methods to search, their spaces, budgets and costs."""

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from switchbench import datasets
from switchbench.compare.plan import SpecLike, check_layers, resolve
from switchbench.datasets import MissingData
from switchbench.errors import InputError, explain, unknown
from switchbench.row import MATCHED, tolerance
from switchbench.spec.comparison import Spec
from switchbench.spec.search import SearchConfig
from switchbench.spec.strength import distance
from switchbench.spec.training import TrainingConfig
from switchbench.spec.trial import SCHEMA_VERSION, TrialConfig
from switchbench.store.ledger import RESULTS, Ledger
from switchbench.store.search import SearchLedger
from switchbench.trial.estimate import Estimate, estimate, estimates, total
from switchbench.tuning.space import Space, make_space
from switchbench.tuning.storage import check_storage
from switchbench.tuning.values import TRAINING, Values, Variable
from switchbench.words import plural

DEFAULTS, START = "defaults", "start"
"""Origins of a study's first point: ``defaults`` if it is the unchanged method; ``start`` if some default is
outside the space."""


@dataclass(frozen=True)
class SearchPlan:
    """A search with its spec resolved."""

    spec: Spec
    config: SearchConfig
    comparison: Ledger
    """The ledger of the comparison of the best points."""
    training: TrainingConfig
    """The training of the search."""
    spaces: dict[str, Space]
    """The space of each method that is searched, by label."""
    epochs: int
    """Epochs of a trial of a method that trains in one round."""
    steps: int
    """Gradient steps of the same trial."""

    @property
    def ledger(self) -> SearchLedger:
        """The ledger of the points and their trials."""
        return SearchLedger(self.comparison)

    @property
    def steps_per_point(self) -> int:
        """Gradient steps of a point of a method that trains in one round."""
        return self.steps * len(self.config.seeds)

    @property
    def budget_steps(self) -> int:
        """Budget of each method, in gradient steps."""
        return self.config.steps or (self.config.points or 0) * self.steps_per_point

    @cached_property
    def data_identity(self) -> dict[str, Any]:
        """What the data set contributes to ids. A user's files are looked at once, so that a trial can tell
        whether they have changed since. Raises MissingData."""
        return self.spec.datasets[0].identity()

    @cached_property
    def weights(self) -> int:
        """Number of weights in scope. Raises MissingData and InputError."""
        facts = self.spec.datasets[0].facts()
        network, _ = self.spec.networks[0].sketch(facts.shape, facts.classes)
        return self.spec.scope[0].weights_of(network)

    def costs(self) -> dict[str, Estimate]:
        """Estimate the costs of the search.

        Returns:
            Costs by a description: the points of each method, then the comparison of the best; and under
            ``all`` their total.

        Raises:
            InputError: A data set whose size is not known is not on this machine, or a check of the spec
                fails, as for :func:`switchbench.compare.plan.check`.
        """
        try:
            check_layers(self.spec)
            costs = {}
            for label in self.spaces:
                point = self._cost_of_point(label)
                number = min(self.config.points or sys.maxsize, self.budget_steps // point.steps)
                costs[f"{plural(number, 'point')} of {label}"] = total(number * [point])
            searched = [method for method in self.spec.methods if method.label in self.spaces]
            before, tuned = (
                self.spec.model_copy(update={"methods": m}) for m in (self.spec.methods, searched)
            )
            after = [cost for spec in (before, tuned) for cost in estimates(spec.trials()).values()]
        except MissingData as error:
            raise InputError(str(error)) from error
        costs["the comparison of the best, at most"] = total(after)
        return costs | {"all": total(costs.values())}

    def trials(self, label: str, number: int, values: Values) -> list[TrialConfig]:
        """Return the trials of a point, one per seed.

        Args:
            label: Label of the method.
            number: Number of the point in the method's study.
            values: Values of the point.

        Raises:
            InputError: The values cannot be combined, in the search or in the comparison.
        """
        space = self.spaces[label]
        choice = space.choice(values, f"{label} #{number}")
        target = space.density if values.density is None else values.density
        try:
            choice.merged_training(self.spec.training)
        except ValidationError as error:
            raise InputError(f"with the comparison's training: {explain(error, TrainingConfig)}") from error
        return [
            TrialConfig.of(
                network=self.spec.networks[0],
                dataset=self.spec.datasets[0],
                scope=self.spec.scope[0],
                method=choice.for_trial(),
                density=target if choice.takes_target() else None,
                seed=seed,
                validation=self.spec.validation,
                training=choice.merged_training(self.training),
                start=self.spec.start,
            ).with_data(self.data_identity)
            for seed in self.config.seeds
        ]

    @property
    def starts(self) -> list[TrialConfig]:
        """Trials whose dense networks the points start from, without those whose network is stored."""
        label = next(iter(self.spaces))  # a start knows no method
        starts = [trial.start_trial for trial in self._default_trials(label)]
        networks = self.ledger.networks
        return [start for start in starts if start and not networks.has(start.trial_id)]

    def steps_of_point(self, label: str) -> int:
        """Return the gradient steps of a point of a method, over all rounds and seeds. Raises InputError."""
        try:
            return self._cost_of_point(label).steps
        except MissingData as error:
            raise InputError(str(error)) from error

    def _cost_of_point(self, label: str) -> Estimate:
        return total(estimate(trial) for trial in self._default_trials(label))

    def _default_trials(self, label: str) -> list[TrialConfig]:
        return self.trials(label, 0, self.spaces[label].defaults())

    def origin(self, label: str) -> str:
        """Return the origin of a study's first point: :data:`DEFAULTS` or :data:`START`."""
        space = self.spaces[label]
        defaults = space.defaults()
        choice = space.choice(defaults, label)
        (before,) = [method for method in self.spec.methods if method.label == label]
        same = choice.identity() == before.identity() and space.is_complete(defaults)
        same = same and choice.merged_training(self.training) == before.merged_training(self.training)
        return DEFAULTS if same else START

    def identity(self, label: str) -> str:
        """Return everything that must stay the same for a study to continue, as JSON."""
        space, (trial, *_) = self.spaces[label], self._default_trials(label)
        same = {
            "schema": SCHEMA_VERSION,
            "network": trial.network.identity(),
            "dataset": self.data_identity,
            "scope": trial.scope.model_dump(mode="json"),
            "method": space.method.identity(),
            "training": space.method.merged_training(self.training).identity(),
            "start": self.spec.start and self.spec.start.identity(),
            "density": space.density,
            "space": {str(variable): str(dimension) for variable, dimension in space.dimensions.items()},
            "objectives": self.config.objectives,
            "seeds": self.config.seeds,
            "validation": self.spec.validation,
        }
        if space.density and _finds_density(space):
            same["within"] = MATCHED
        return json.dumps(same, sort_keys=True)

    def densities(self, label: str) -> tuple[float, float]:
        """Return the lowest and the highest density that :meth:`infeasibility` allows a method."""
        space = self.spaces[label]
        if space.density is None or "density" in self.config.objectives:
            return 0.0, math.inf
        if space.method.takes_target():
            return 0.0, space.density * (1 + tolerance(space.density, self.weights))
        if not _finds_density(space):
            return 0.0, math.inf
        return space.density / (1 + MATCHED), space.density * (1 + MATCHED)

    def infeasibility(self, density: float, label: str) -> float:
        """Return how far the density of a point is from what is allowed; 0 or less if the point is feasible.

        A method that takes a target must not exceed it. One that learns its density must land at the
        target, neither above nor below: then the distance is one of logarithms, in which strengths act. Every
        point is feasible if density is an objective, if there is no target, and for a method that has no
        options, such as ``dense``.

        Args:
            density: Mean density over the seeds of the point.
            label: Label of the method.
        """
        lowest, highest = self.densities(label)
        if math.isinf(highest):
            return 0.0
        if not lowest:
            return density - highest
        return max(distance(density, highest), -distance(density, lowest))


def plan(
    spec: SpecLike,
    out: str | Path | None = None,
    changes: Iterable[str] = (),
    storage: str | None = None,
) -> SearchPlan:
    """Resolve the spec of a search. Nothing is written.

    Args:
        spec: A spec, its plain values, a file, or the name of a shipped one.
        out: Folder of the results; default: ``results/NAME``.
        changes: Changes of the spec, ``key.key=value``.
        storage: URL of a database for the studies; None: a file in the folder.

    Raises:
        InputError: The spec cannot be used, it has no part ``search``, or the folder cannot hold a study.
    """
    resolved = resolve(spec, changes)
    config = resolved.search
    if config is None:
        raise InputError(
            f"{resolved.name}: search: is required, as in --set 'search={{points: 10}}'; without it a spec "
            "is for switchbench run"
        )
    training = resolved.search_training()
    try:
        facts = resolved.datasets[0].facts()
        examples = datasets.training_size(facts.train, resolved.validation)
        resolved.trials()  # refuses two labels of one trial: after the search it would be late
    except (MissingData, ValueError) as error:
        raise InputError(str(error)) from error
    steps, per_epoch = training.length(examples)
    comparison = Ledger(out or RESULTS / resolved.name)
    check_storage(comparison.folder, storage)
    spaces = _spaces(resolved, config, training)
    planned = SearchPlan(resolved, config, comparison, training, spaces, -(-steps // per_epoch), steps)
    _check_budgets(planned)
    return planned


def _check_budgets(planned: SearchPlan) -> None:
    """Raise InputError if the budget of each method is less than one point of some method."""
    steps = {label: planned.steps_of_point(label) for label in planned.spaces}
    label = max(steps, key=lambda label: steps[label])
    if steps[label] <= planned.budget_steps:
        return
    if planned.config.steps:
        problem = f"steps: {planned.config.steps} should be {steps[label]} or more"
    else:
        fewest = -(-steps[label] // planned.steps_per_point)
        problem = f"points: {planned.config.points} should be {fewest} or more"
    why = f"the budget is in gradient steps, and a point of {label!r} takes {steps[label]:,}"
    raise InputError(f"search.{problem}: {why}; or leave it out of search.methods")


def _spaces(spec: Spec, config: SearchConfig, training: TrainingConfig) -> dict[str, Space]:
    """Make the space of every method that is searched. Raises InputError."""
    labels = [method.label for method in spec.methods]
    changes, keys = _changes(config, labels)
    spaces: dict[str, Space] = {}
    for method in spec.methods:
        if method.label not in (config.methods or labels):
            continue
        densities = method.densities or spec.densities
        if config.density is None and len(densities) > 1 and method.takes_target():
            raise InputError(f"search.density: is required, because {method.label!r} has several densities")
        density = densities[0] if config.density is None else config.density
        try:
            space = make_space(method, training, density, changes[method.label])
        except InputError as error:
            raise InputError(f"search.space: {method.label}: {error}") from error
        if _has_own_variables(space) or (config.methods and not space.is_empty):
            spaces[method.label] = space
        elif config.methods:
            raise InputError(f"search.methods: {method.label!r} has no hyperparameters to search")
    for label, key in keys.items():
        if label not in spaces:
            raise InputError(f"search.space: {key}: {label!r} is not searched; searched: {', '.join(spaces)}")
    if not spaces:
        raise InputError(f"search.methods: none of {', '.join(labels)} has hyperparameters to search")
    return spaces


def _changes(config: SearchConfig, labels: list[str]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Read the keys of ``search.space``.

    Returns:
        By the label of each method, the names of its variables with their changes; and a key of each method
        that is named there.

    Raises:
        InputError: A key names no method and no setting of the training.
    """
    changes: dict[str, dict[str, Any]] = {label: {} for label in labels}
    keys: dict[str, str] = {}
    for key, change in config.space.items():
        label, dot, name = key.rpartition(".")
        if dot and label == TRAINING:
            for of_method in changes.values():
                of_method[key] = change
        elif dot and label in labels:
            changes[label][name] = change
            keys[label] = key
        else:
            options = [*(f"{label}.OPTION" for label in labels), f"{TRAINING}.SETTING"]
            if not dot:
                raise InputError(f"search.space: {key!r} should be one of {', '.join(options)}")
            raise InputError(f"search.space: {key}: {unknown('label', label, [*labels, TRAINING])}")
    return changes, keys


def _finds_density(space: Space) -> bool:
    """Return whether the density of the method's networks follows from its options."""
    return not space.method.takes_target() and bool(space.method.options)


def _has_own_variables(space: Space) -> bool:
    """Return whether the space varies an option of the method, or a target density that the method takes.

    Training settings do not count: a method without options is only searched if the spec names it.
    """

    def own(variable: Variable) -> bool:
        return variable.part == "option" or (variable.part == "density" and space.method.takes_target())

    return any(map(own, space.dimensions))
