"""What a search asks for: the methods that are searched, their spaces and budgets, and what they cost."""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from switchbench import datasets
from switchbench.compare.plan import RESULTS, SpecLike, resolve
from switchbench.datasets import MissingData
from switchbench.errors import InputError, explain
from switchbench.spec.comparison import Spec
from switchbench.spec.search import SearchConfig
from switchbench.spec.training import TrainingConfig
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.store.search import SearchLedger
from switchbench.trial.estimate import Estimate, estimate, total
from switchbench.tuning.space import Space, make_space
from switchbench.tuning.values import Values, Variable

TOLERANCE = 0.01
"""How far above its target a density may end, relative to it."""
DEFAULTS, START = "defaults", "start"
"""Origins of a study's first point: the method as it is, or as near to it as the ranges allow."""


@dataclass(frozen=True)
class SearchPlan:
    """What a search asks for."""

    spec: Spec
    config: SearchConfig
    comparison: Ledger
    """The ledger of the comparison that the search leads to."""
    training: TrainingConfig
    """While searching."""
    spaces: dict[str, Space]
    """By the labels of the methods that are searched."""
    epochs: int
    """Of a trial of a method that trains once."""
    steps: int
    """Of the same."""

    @property
    def ledger(self) -> SearchLedger:
        """The ledger of the points and their trials."""
        return SearchLedger(self.comparison)

    @property
    def steps_per_point(self) -> int:
        """Gradient steps of a point of a method that trains once."""
        return self.steps * len(self.config.seeds)

    @property
    def most_steps(self) -> int:
        """Gradient steps that each method may take."""
        return self.config.steps or (self.config.points or 0) * self.steps_per_point

    def costs(self) -> dict[str, Estimate]:
        """What the points cost, by method, and then the comparison. Raises InputError."""
        try:
            spent = {}
            for label in self.spaces:
                point = self._cost_of_point(label)
                number = min(self.config.points or sys.maxsize, self.most_steps // point.steps)
                spent[f"{number} points of {label}"] = total(number * [point])
            searched = [method for method in self.spec.methods if method.label in self.spaces]
            before, tuned = (
                self.spec.model_copy(update={"methods": m}) for m in (self.spec.methods, searched)
            )
            after = [estimate(trial) for spec in (before, tuned) for trial in spec.trials()]
        except MissingData as error:
            raise InputError(str(error)) from error
        return spent | {"the comparison of the best": total(after)}

    def trials(self, label: str, number: int, values: Values) -> list[TrialConfig]:
        """A point's trials, one per seed.

        Args:
            label: Of its method.
            number: Of the point in the method's study.
            values: What it tries.

        Raises:
            InputError: The values do not go together, while searching or in the comparison.
        """
        space = self.spaces[label]
        choice = space.choice(values, f"{label} #{number}")
        target = space.density if values.density is None else values.density
        try:
            choice.trained(self.spec.training)
        except ValidationError as error:
            raise InputError(f"with the comparison's training: {explain(error, TrainingConfig)}") from error
        return [
            TrialConfig.of(
                network=self.spec.networks[0],
                dataset=self.spec.datasets[0],
                scope=self.spec.scope[0],
                method=choice.alone(),
                density=target if choice.takes_target() else None,
                seed=seed,
                validation=self.spec.validation,
                training=choice.trained(self.training),
                start=self.spec.start,
            )
            for seed in self.config.seeds
        ]

    def steps_of_point(self, label: str) -> int:
        """Gradient steps of a point of a method, which may train in rounds. Raises InputError."""
        try:
            return self._cost_of_point(label).steps
        except MissingData as error:
            raise InputError(str(error)) from error

    def _cost_of_point(self, label: str) -> Estimate:
        return total(estimate(trial) for trial in self.trials(label, 0, self.spaces[label].defaults()))

    def origin(self, label: str) -> str:
        """Origin of a study's first point: whether it is the method as it is."""
        space = self.spaces[label]
        defaults = space.defaults()
        choice = space.choice(defaults, label)
        (before,) = [method for method in self.spec.methods if method.label == label]
        same = choice.identity() == before.identity() and space.is_complete(defaults)
        return DEFAULTS if same and choice.trained(self.training) == before.trained(self.training) else START

    def identity(self, label: str) -> str:
        """All that must stay the same for a study to go on, as JSON."""
        space, (trial, *_) = self.spaces[label], self.trials(label, 0, self.spaces[label].defaults())
        return json.dumps(
            {
                "network": trial.network.identity(),
                "dataset": trial.dataset.identity(),
                "scope": trial.scope.model_dump(mode="json"),
                "method": space.method.identity(),
                "training": space.method.trained(self.training).identity(),
                "start": self.spec.start and self.spec.start.identity(),
                "density": space.density,
                "space": {str(variable): str(dimension) for variable, dimension in space.dimensions.items()},
                "objectives": self.config.objectives,
                "seeds": self.config.seeds,
                "validation": self.spec.validation,
            },
            sort_keys=True,
        )

    def infeasibility(self, density: float, label: str) -> float:
        """How much denser a point is than it may be; at most 0 if it is not, or if density is an
        objective."""
        target = self.spaces[label].density
        if target is None or "density" in self.config.objectives:
            return 0.0
        return density - target * (1 + TOLERANCE)


def plan(spec: SpecLike, out: str | Path | None = None, changes: Iterable[str] = ()) -> SearchPlan:
    """Resolve the spec of a search; write nothing.

    Args:
        spec: A spec, its plain values, a file, or the name of a shipped one.
        out: Folder of the results; default: ``results/NAME``.
        changes: Changes of the spec, ``key.key=value``.

    Raises:
        InputError: The spec cannot be used, or asks for no search.
    """
    resolved = resolve(spec, changes)
    config = resolved.search
    if config is None:
        raise InputError("search: is required: what is searched, and how (switchbench run takes this spec)")
    training = resolved.search_training()
    try:
        facts = resolved.datasets[0].facts()
        examples = facts.train - datasets.held_out(facts.train, resolved.validation)
    except (MissingData, ValueError) as error:
        raise InputError(str(error)) from error
    steps, per_epoch = training.length(examples)
    comparison = Ledger(out or RESULTS / resolved.name)
    spaces = _spaces(resolved, config, training)
    made = SearchPlan(resolved, config, comparison, training, spaces, -(-steps // per_epoch), steps)
    if made.most_steps < made.steps_per_point:
        raise InputError(f"search.steps: {config.steps} should be {made.steps_per_point} or more: one point")
    for label, space in made.spaces.items():
        made.trials(label, 0, space.defaults())
    return made


def _spaces(spec: Spec, config: SearchConfig, training: TrainingConfig) -> dict[str, Space]:
    """The space of every method that is searched. Raises InputError."""
    labels = [method.label for method in spec.methods]
    changes = _changes(config, labels)
    asked = config.methods or labels
    spaces: dict[str, Space] = {}
    for method in spec.methods:
        if method.label not in asked:
            continue
        own = method.densities or spec.densities
        if config.density is None and len(own) > 1 and method.takes_target():
            raise InputError(f"search.density: is required, because {method.label!r} has several densities")
        density = own[0] if config.density is None else config.density
        try:
            made = make_space(method, training, density, changes[method.label])
        except InputError as error:
            raise InputError(f"search.space: {method.label}: {error}") from error
        if _has_own_variables(made) or (config.methods and not made.is_empty):
            spaces[method.label] = made
        elif config.methods:
            raise InputError(f"search.methods: {method.label!r} has no hyperparameters to search")
    for key in config.space:
        if (label := key.rpartition(".")[0]) != "training" and label in labels and label not in spaces:
            raise InputError(f"search.space: {key}: {label!r} is not searched; searched: {', '.join(spaces)}")
    if not spaces:
        raise InputError(f"search.methods: none of {', '.join(labels)} has hyperparameters to search")
    return spaces


def _changes(config: SearchConfig, labels: list[str]) -> dict[str, dict[str, Any]]:
    """What the spec says of single variables, by the label of their method. Raises InputError."""
    changes: dict[str, dict[str, Any]] = {label: {} for label in labels}
    for key, given in config.space.items():
        label, dot, name = key.rpartition(".")
        if not dot or label not in (*labels, "training"):
            known = ", ".join([*(f"{label}.option" for label in labels), "training.setting"])
            raise InputError(f"search.space: {key!r} should be one of {known}")
        for to in labels if label == "training" else [label]:
            changes[to][key if label == "training" else name] = given
    return changes


def _has_own_variables(space: Space) -> bool:
    """Whether the method has options to search, or takes a density that is searched. A training that is
    searched is no reason to search a control: that must be asked for."""

    def own(variable: Variable) -> bool:
        return variable.part == "option" or (variable.part == "density" and space.method.takes_target())

    return any(map(own, space.dimensions))
