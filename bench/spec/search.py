"""The part of a spec that says how options are searched, before the comparison of what was found."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from switchbench.row import uses
from switchbench.spec.ranges import DensityRange
from switchbench.spec.types import Density, Seed, seeds_from

Objective = Literal[
    "val_accuracy", "val_loss", "density", "macs", "macs_shrunk", "train_flops", "train_seconds"
]
"""Columns of a trial's row. A search knows nothing of test images."""
WATCHED = {"val_accuracy", "val_loss"}
"""Objectives that show while a training goes on, so that a pruner can stop it."""
FIRST_SEED = 1_000
"""Of a search; comparisons count from 0."""
POINTS = 30


class SearchConfig(BaseModel):
    """How each method's options are chosen on validation images, with an equal budget for each."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    methods: list[str] | None = Field(
        None, min_length=1, description="labels of what is searched; default: all with something to search"
    )
    objectives: list[Objective] = Field(["val_accuracy"], min_length=1)
    density: Density | DensityRange | None = Field(
        None,
        description="target, or a range of targets to search; methods that find their own density "
        "must end at or below the target. Default: the comparison's, if it has one",
    )
    points: int | None = Field(None, ge=1, description=f"points per method; default: {POINTS}")
    steps: int | None = Field(None, ge=1, description="gradient steps per method, instead of points")
    seeds: Annotated[list[Seed], Field(min_length=1), seeds_from(FIRST_SEED)] = [FIRST_SEED]
    training: dict[str, Any] = Field({}, description="changes of the training while searching")
    space: dict[str, Any] = Field({}, description="LABEL.option or training.setting: what is searched")
    sampler: Literal["tpe", "nsga2", "gp", "random", "grid", "cmaes"] = "tpe"
    sampler_seed: Seed = 0
    grid: int = Field(3, ge=2, description="values of a range, for sampler grid")
    pruner: Literal["none", "median", "asha", "hyperband"] = "none"
    parallel: int | None = Field(
        None, ge=1, description="points at once; default: all that there is room for"
    )
    top: int | None = Field(
        None, ge=1, description="how many of the best are trained again; default: 1, or the Pareto set"
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.points is not None and self.steps is not None:
            raise ValueError(f"give points or steps, one of them ({self.points} and {self.steps})")
        if self.points is None and self.steps is None:
            self.__dict__["points"] = POINTS
        for name in ("objectives", "seeds"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name}: {getattr(self, name)} should not repeat")
        if self.pruner != "none" and (len(self.objectives) > 1 or self.objectives[0] not in WATCHED):
            raise ValueError(f"pruner {self.pruner}: needs one objective, val_accuracy or val_loss")
        if self.sampler == "cmaes" and len(self.objectives) > 1:
            raise ValueError("sampler cmaes: is for one objective")
        if isinstance(self.density, DensityRange) and len(self.objectives) == 1:
            raise ValueError("density: a range needs a second objective, such as density")
        return self

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """Of the objectives, in Optuna's words."""
        return ["maximize" if uses(name).higher_is_better else "minimize" for name in self.objectives]
