"""The spec of a comparison, validated and fully resolved, and the trials that it plans."""

from itertools import product
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from switchbench.errors import InputError, explain, unknown
from switchbench.spec.components import Component, DatasetChoice, MethodChoice, NetworkChoice
from switchbench.spec.scope import Scope
from switchbench.spec.search import SearchConfig
from switchbench.spec.training import LENGTHS, TrainingConfig
from switchbench.spec.trial import TrialConfig
from switchbench.spec.types import Density, Seed, seeds_from


class Resources(BaseModel):
    """What one trial gets; no part of its identity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cpus: int = Field(1, ge=1, description="processor cores, which is also torch's thread count")
    gpus: float = Field(0, ge=0, description="GPUs: a whole number, or a fraction of one to share it")
    minutes: float | None = Field(None, gt=0, description="a trial that takes longer has failed")

    @field_validator("gpus")
    @classmethod
    def _whole_or_part(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(f"{gpus:g} should be a whole number, or a fraction of one GPU")
        return gpus


class Spec(BaseModel):
    """A comparison: methods × networks × data sets × densities × seeds under one training."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    networks: list[NetworkChoice] = Field(min_length=1)
    datasets: list[DatasetChoice] = Field(min_length=1)
    scope: Annotated[list[Scope], Field(min_length=1)] = [Scope(layers="fc")]  # one, or several
    methods: list[MethodChoice] = Field(min_length=1)
    densities: list[Density] = Field(min_length=1)
    seeds: Annotated[list[Seed], Field(min_length=1), seeds_from(0)]
    validation: float = Field(0.1, gt=0, lt=1, description="share of training images held out")
    training: TrainingConfig
    start: TrainingConfig | None = Field(
        None, description="how a dense network is trained, once per seed, that all methods start from"
    )
    keep_networks: bool = Field(False, description="whether finished networks are stored, for export")
    resources: Resources = Resources()
    search: SearchConfig | None = Field(None, description="how options are chosen before all this")

    @field_validator("scope", mode="before")
    @classmethod
    def _one_or_several(cls, scope: Any) -> Any:
        return scope if isinstance(scope, list) else [scope]

    @field_validator("densities", "seeds", "scope")
    @classmethod
    def _no_repeats(cls, values: list[Any]) -> list[Any]:
        return _distinct(values, "value")

    @field_validator("networks", "datasets", "methods")
    @classmethod
    def _own_labels(cls, choices: list[Component]) -> list[Component]:
        _distinct([choice.label for choice in choices], "label")
        return choices

    @model_validator(mode="after")
    def _trainings_of_methods(self) -> Self:
        for method in self.methods:
            try:
                method.trained(self.training)
            except ValidationError as error:
                raise ValueError(f"methods: {method.label!r}: {explain(error, TrainingConfig)}") from error
        return self

    @model_validator(mode="after")
    def _against_others(self) -> Self:
        labels = [method.label for method in self.methods]
        for method in self.methods:
            if method.against is not None and method.against not in labels:
                raise ValueError(
                    f"methods: {method.label!r}: against: {unknown('method', method.against, labels)}"
                )
            if method.against == method.label:
                raise ValueError(f"methods: {method.label!r}: against: should be another method")
        return self

    @model_validator(mode="after")
    def _search_of_one_task(self) -> Self:
        if not self.search:
            return self
        for name in ("networks", "datasets", "scope"):
            if len(getattr(self, name)) > 1:
                raise ValueError(f"{name}: a search takes one, not {len(getattr(self, name))}")
        if used := set(self.search.seeds) & set(self.seeds):
            raise ValueError(f"search.seeds: {min(used)} is a seed of the comparison, which needs fresh ones")
        labels = [method.label for method in self.methods]
        for label in self.search.methods or []:
            if label not in labels:
                raise ValueError(f"search.methods: {unknown('method', label, labels)}")
        if self.search.density is None and len(self.densities) > 1:
            raise ValueError("search.density: is required, because the comparison has several densities")
        self.search_training()
        return self

    def search_training(self) -> TrainingConfig:
        """The training while searching."""
        assert self.search
        given = self.search.training
        own = {} if "recipe" in given else self.training.model_dump(mode="json")
        if LENGTHS & given.keys():
            own = {key: value for key, value in own.items() if key not in LENGTHS}
        try:
            return TrainingConfig.model_validate(own | given)
        except ValidationError as error:
            raise ValueError(f"search.training: {explain(error, TrainingConfig)}") from error

    def trials(self) -> list[TrialConfig]:
        """The plan: every trial of the comparison, all methods of a seed before the next seed.

        A method that takes no target density runs once per seed. Raises InputError if two
        labels stand for the same trial.
        """
        configs: dict[str, TrialConfig] = {}
        tasks = product(self.seeds, self.networks, self.datasets, self.scope, self.methods)
        for seed, network, dataset, scope, method in tasks:
            targets = method.densities or self.densities
            for density in targets if method.takes_target() else [None]:
                config = TrialConfig(
                    network=network,
                    dataset=dataset,
                    scope=scope,
                    method=method.alone(),
                    density=density,
                    seed=seed,
                    validation=self.validation,
                    training=method.trained(self.training),
                    start=self.start,
                )
                twin = configs.setdefault(config.trial_id, config)
                if twin is not config:
                    raise InputError(f"methods: {_names(twin)} and {_names(config)} are the same")
        return list(configs.values())


def _distinct(values: list[Any], what: str) -> list[Any]:
    repeated = [value for i, value in enumerate(values) if value in values[:i]]
    if repeated:
        raise ValueError(f"the {what} {str(repeated[0])!r} stands twice; each needs its own")
    return values


def _names(config: TrialConfig) -> str:
    return f"{config.method.label!r} on {config.network.label!r}"
