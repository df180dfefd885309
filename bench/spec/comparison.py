"""The spec of a comparison: validated, with every default filled in, and expanded into trials."""

import json
import math
import re
from collections.abc import Iterator
from itertools import pairwise, product
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from switchbench.errors import InputError, explain, unknown
from switchbench.spec.components import STRENGTH, Component, DatasetChoice, MethodChoice, NetworkChoice
from switchbench.spec.scope import Scope
from switchbench.spec.search import SearchConfig
from switchbench.spec.strength import Strength, is_near
from switchbench.spec.training import LENGTH_KEYS, TrainingConfig
from switchbench.spec.trial import TrialConfig
from switchbench.spec.types import Density, Seed, seeds_from

MEGABYTE = 1_000_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Resources(BaseModel):
    """Resources of one trial. They are not part of its identity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cpus: int = Field(1, ge=1, description="processor cores, which is also torch's thread count")
    gpus: float = Field(0, ge=0, description="GPUs: a whole number, or a fraction of one to share it")
    memory: ByteSize | None = Field(None, description="memory that is set aside for it, as in 4GB")
    minutes: float | None = Field(None, gt=0, description="time limit; a longer trial counts as failed")

    @field_validator("memory", mode="wrap")
    @classmethod
    def _at_least_a_megabyte(cls, memory: Any, parse: ValidatorFunctionWrapHandler) -> ByteSize | None:
        try:
            size: ByteSize | None = parse(memory)
        except ValidationError:
            size = ByteSize(0)
        if isinstance(memory, bool) or (size is not None and size < MEGABYTE):
            raise ValueError(f'{memory!r} should be a size of at least 1 MB, with its unit, such as "4GB"')
        return size

    @field_validator("gpus")
    @classmethod
    def _whole_or_fraction(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(f"{gpus:g} should be a whole number, or a fraction below 1")
        return gpus


class Spec(BaseModel):
    """A comparison: methods × networks × data sets × scopes × densities × seeds with one training."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(
        description="name of the comparison, and of its folder in results",
    )
    networks: list[NetworkChoice] = Field(
        min_length=1, description="networks: a name, or {network: NAME, label: …, option: …}"
    )
    datasets: list[DatasetChoice] = Field(
        min_length=1, description="data sets: a name, or {dataset: NAME, label: …, option: …}"
    )
    scope: list[Scope] = Field(
        [Scope(layers="fc")],
        min_length=1,
        description="layers that methods may make sparse: fc, all, or {layers: all, exclude: [PATTERN]}; one "
        "or a list",
    )
    methods: list[MethodChoice] = Field(
        min_length=1,
        description="methods: a name, or {method: NAME, label: …, option: …}; an entry may also have "
        "densities, training (settings except length and batch size) and against, the label of a method to "
        "compare it with",
    )
    densities: list[Density] = Field(
        [],
        description="target densities: shares of the weights that stay; required if a method takes a target, "
        "and has no densities of its own",
    )
    seeds: Annotated[list[Seed], Field(min_length=1), seeds_from(0)] = Field(
        description="number of seeds, counted from 0, or a list of seeds"
    )
    validation: float = Field(0.1, gt=0, lt=1, description="share of the training images that is held out")
    training: TrainingConfig = Field(description="training of every trial: settings, or the name of a recipe")
    start: TrainingConfig | None = Field(
        None, description="training of a dense network, once per seed, from which all methods start"
    )
    match_density: bool = Field(
        False,
        description="whether methods that learn their density are trained at the comparison's densities, "
        "with strengths that are found by calibration runs",
    )
    strengths: list[Strength] = Field(
        [], description="strengths that were found before; others are found by calibration runs"
    )
    keep_networks: bool = Field(False, description="whether finished networks are stored, for export")
    resources: Resources = Field(Resources(), description="what one trial needs")
    search: SearchConfig | None = Field(None, description="search for options, before the comparison")

    @field_validator("networks", "datasets", "scope", "methods", "densities", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        """Take a single entry for a list of one."""
        single = isinstance(value, str | int | float | dict) and not isinstance(value, bool)
        return [value] if single else value

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            allowed = "letters, digits, '.', '_' and '-', the first a letter or a digit"
            raise ValueError(f"{name!r} should be {allowed}")
        return name

    @field_validator("densities", "seeds", "scope")
    @classmethod
    def _unique_values(cls, values: list[Any]) -> list[Any]:
        return _require_unique(values, "value")

    @field_validator("networks", "datasets", "methods")
    @classmethod
    def _unique_labels(cls, choices: list[Component]) -> list[Component]:
        _require_unique([choice.label for choice in choices], "label")
        return choices

    @model_validator(mode="after")
    def _check_training_of_methods(self) -> Self:
        for method in self.methods:
            try:
                method.merged_training(self.training)
            except ValidationError as error:
                raise ValueError(f"methods: {method.label!r}: {explain(error, TrainingConfig)}") from error
        return self

    @model_validator(mode="after")
    def _check_densities(self) -> Self:
        if self.densities:
            return self
        targets = [method.label for method in self.methods if method.takes_target() and not method.densities]
        if targets:
            raise ValueError(f"densities: is required, because {targets[0]!r} takes a target density")
        if self.match_density:
            raise ValueError("densities: is required with match_density: true")
        return self

    @model_validator(mode="after")
    def _check_against(self) -> Self:
        methods = {method.label: method for method in self.methods}
        for method in self.methods:
            field, other = f"methods: {method.label!r}: against", method.against
            if other is None:
                continue
            if other not in methods:
                raise ValueError(f"{field}: {unknown('label', other, methods)}")
            if other == method.label:
                raise ValueError(f"{field}: should be the label of another method")
            if not method.takes_target() and not methods[other].takes_target():
                raise ValueError(f"{field}: {other!r} and {method.label!r} both learn their density")
        return self

    @model_validator(mode="after")
    def _check_strengths(self) -> Self:
        if self.strengths and not self.match_density:
            raise ValueError("strengths: have no effect without match_density: true")
        _require_unique([str(strength) for strength in self.strengths], "strength of")
        learns = self.match_density and any(method.strength() is not None for method in self.methods)
        for high, low in pairwise(sorted({*self.densities}, reverse=True) if learns else ()):
            if is_near(math.sqrt(low * high), high):
                near = f"{low:g} and {high:g} are so near to each other that one strength may meet both"
                raise ValueError(f"densities: {near}; leave one out, or match_density")
        known: dict[str, str] = {}
        for method in self.methods:
            same = known.setdefault(self.beside_strength(method) or method.label, method.label)
            if same != method.label:
                pair = f"{same!r} and {method.label!r} do not differ, or in strength alone"
                raise ValueError(f"methods: {pair}, which match_density finds; remove one")
        return self

    @model_validator(mode="after")
    def _check_search(self) -> Self:
        if not self.search:
            return self
        for name in ("networks", "datasets", "scope"):
            if len(getattr(self, name)) > 1:
                raise ValueError(f"{name}: a search takes one entry, not {len(getattr(self, name))}")
        if shared := set(self.search.seeds) & set(self.seeds):
            raise ValueError(
                f"search.seeds: {min(shared)} is also a seed of the comparison; seeds must not be shared"
            )
        labels = [method.label for method in self.methods]
        for label in self.search.methods or []:
            if label not in labels:
                raise ValueError(f"search.methods: {unknown('label', label, labels)}")
        if self.search.density is None and len(self.densities) != 1:
            number = "several" if self.densities else "no"
            raise ValueError(f"search.density: is required, because the comparison has {number} densities")
        self.search_training()
        return self

    def search_training(self) -> TrainingConfig:
        """Return the training of the search: the comparison's, with the changes in ``search.training``.

        Raises:
            ValueError: The changed training is not valid.
        """
        assert self.search
        changes = self.search.training
        base = {} if "recipe" in changes else self.training.model_dump(mode="json")
        if LENGTH_KEYS & changes.keys():
            base = {key: value for key, value in base.items() if key not in LENGTH_KEYS}
        try:
            return TrainingConfig.model_validate(base | changes)
        except ValidationError as error:
            raise ValueError(f"search.training: {explain(error, TrainingConfig)}") from error

    def trials(self) -> list[TrialConfig]:
        """List every trial of the comparison.

        Returns:
            Trials by seed: all methods of one seed come before the next seed. A method that takes no target
            density runs once per seed and task; with ``match_density``, once for each density for which its
            strength is known.

        Raises:
            InputError: Two labels name the same trial.
        """
        configs: dict[str, TrialConfig] = {}
        of_one_seed = list(self._trials_of_any_seed())
        for seed, (trial, density) in product(self.seeds, of_one_seed):
            config = trial.at(density, seed)
            same = configs.setdefault(config.trial_id, config)
            if same is not config:
                raise InputError(
                    f"methods: {_describe(same)} and {_describe(config)} are the same trial; remove one"
                )
        return list(configs.values())

    def beside_strength(self, method: MethodChoice) -> str | None:
        """Return what decides the trials of a method whose strength is to match densities, without that
        strength; None for other methods."""
        if not self.match_density or method.strength() is None:
            return None
        identity = method.identity()
        options = {name: value for name, value in identity["options"].items() if name != STRENGTH}
        training = method.merged_training(self.training).identity()
        return json.dumps([identity | {"options": options}, training], sort_keys=True)

    def learners(self) -> Iterator[TrialConfig]:
        """Yield a trial of the first seed for each task and method whose strength is to match densities."""
        if self.match_density:
            yield from (trial for trial in self._templates() if trial.method.strength() is not None)

    def _trials_of_any_seed(self) -> Iterator[tuple[TrialConfig, float | None]]:
        """Yield the trials of one seed: each method on each task, with one of its densities."""
        strengths = {strength.place: strength for strength in self.strengths}
        own = {method.label: method.densities for method in self.methods}
        for trial in self._templates():
            if trial.method.takes_target():
                yield from ((trial, density) for density in own[trial.method.label] or self.densities)
            elif self.match_density and trial.method.strength() is not None:
                for density in self.densities:
                    found = strengths.get((*trial.place, density))
                    if found and found.strength is not None:
                        yield trial.aimed(found), None
            else:
                yield trial, None

    def _templates(self) -> Iterator[TrialConfig]:
        """Yield a trial of each method on each task, with one of its densities."""
        data = {dataset.label: dataset.identity() for dataset in self.datasets}
        tasks = product(self.networks, self.datasets, self.scope, self.methods)
        for network, dataset, scope, method in tasks:
            yield TrialConfig(
                network=network,
                dataset=dataset,
                scope=scope,
                method=method.for_trial(),
                density=(method.densities or self.densities)[0] if method.takes_target() else None,
                seed=self.seeds[0],
                validation=self.validation,
                training=method.merged_training(self.training),
                start=self.start,
            ).with_data(data[dataset.label])


def _require_unique(values: list[Any], what: str) -> list[Any]:
    seen = set()
    for value in values:
        if value in seen:
            remedy = ": give one entry another, as label: NAME" if what == "label" else ""
            raise ValueError(f"{what} {str(value)!r} is used twice; {what}s must be unique{remedy}")
        seen.add(value)
    return values


def _describe(config: TrialConfig) -> str:
    return f"{config.method.label!r} on {config.network.label!r}"
