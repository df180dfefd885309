"""The section ``search`` of a spec: how options are searched before the comparison."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from switchbench.errors import unknown
from switchbench.row import used_as, uses
from switchbench.spec.ranges import DensityRange
from switchbench.spec.types import Density, Seed, seeds_from

PER_EPOCH_OBJECTIVES = {"val_accuracy", "val_loss"}
"""Objectives that are measured after every epoch. Only with these can a pruner stop a training early."""
FIRST_SEED = 1_000
"""First seed of a search. Seeds of a comparison start at 0."""
DEFAULT_POINTS = 30


class SearchConfig(BaseModel):
    """How options are searched on validation images, with the same budget for each method."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    methods: list[str] | None = Field(
        None,
        min_length=1,
        description="labels of the searched methods; default: all with hyperparameters",
    )
    objectives: list[str] = Field(
        ["val_accuracy"], min_length=1, description=f"one or several of {', '.join(used_as('objective'))}"
    )
    density: Density | DensityRange | None = Field(
        None,
        description="target density, or a range of targets to search; methods that learn their density "
        "must end within a tenth of the target. Default: the comparison's density, if it has only one",
    )
    points: int | None = Field(None, ge=1, description=f"points per method; default: {DEFAULT_POINTS}")
    steps: int | None = Field(None, ge=1, description="gradient steps per method, instead of points")
    minutes: float | None = Field(
        None,
        gt=0,
        description="time after which no new point starts; the best points until then are compared, and the "
        "same command continues the search",
    )
    seeds: Annotated[list[Seed], Field(min_length=1), seeds_from(FIRST_SEED)] = Field(
        [FIRST_SEED],
        description=f"seeds of each point: their number, counted from {FIRST_SEED}, or a list without the "
        "seeds of the comparison",
    )
    training: dict[str, Any] = Field({}, description="settings of the training that differ in the search")
    space: dict[str, Any] = Field(
        {},
        description="range, choices or value of LABEL.option or training.setting",
    )
    sampler: Literal["tpe", "nsga2", "gp", "random", "grid", "cmaes"] = Field(
        "tpe", description="Optuna's sampler, which proposes the points"
    )
    sampler_seed: Seed = Field(0, description="seed of the sampler")
    grid: int = Field(3, ge=2, description="for sampler grid: number of values per range")
    pruner: Literal["none", "median", "asha", "hyperband"] = Field(
        "none", description="whether points that look bad are stopped before their end, and by which rule"
    )
    parallel: int | None = Field(
        None, ge=1, description="points that run at the same time; default: as many as the resources allow"
    )
    top: int | None = Field(
        None, ge=1, description="number of best points to train again; default: 1, or the Pareto set"
    )

    @field_validator("objectives")
    @classmethod
    def _check_objectives(cls, objectives: list[str]) -> list[str]:
        for name in objectives:
            if name not in used_as("objective"):
                raise ValueError(unknown("objective", name, used_as("objective")))
        return objectives

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.points is not None and self.steps is not None:
            raise ValueError(
                f"give either points or steps, not both (points: {self.points}, steps: {self.steps})"
            )
        if self.points is None and self.steps is None:
            self.__dict__["points"] = DEFAULT_POINTS
        for name in ("objectives", "seeds"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name}: {getattr(self, name)} has a value twice; {name} must be unique")
        if self.pruner != "none" and (
            len(self.objectives) > 1 or self.objectives[0] not in PER_EPOCH_OBJECTIVES
        ):
            raise ValueError(f"pruner: {self.pruner!r} needs a single objective, val_accuracy or val_loss")
        if self.sampler == "cmaes" and len(self.objectives) > 1:
            raise ValueError(f"sampler: 'cmaes' takes a single objective, not {len(self.objectives)}")
        if isinstance(self.density, DensityRange) and len(self.objectives) == 1:
            raise ValueError("density: a range needs a second objective, such as density")
        return self

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """The direction of each objective, in the words of Optuna."""
        return ["maximize" if uses(name).higher_is_better else "minimize" for name in self.objectives]
