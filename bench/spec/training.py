"""How a trial trains: its length, optimiser, learning-rate schedule, augmentation and precision."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from switchbench.datasets.augment import NO_AUGMENTATION, Augmentation
from switchbench.errors import unknown
from switchbench.spec.recipes import RECIPES

Optimizer = Literal["sgd", "adam", "adamw"]
Share = Annotated[float, Field(gt=0, lt=1)]

LENGTHS = {"epochs", "steps"}
BUDGET = LENGTHS | {"batch_size"}
"""What decides how many examples and steps a training takes."""
WITHOUT_EFFECT = {
    "augment": NO_AUGMENTATION.model_dump(mode="json"),
    "precision": "float32",
    "compile": False,
}


class TrainingConfig(BaseModel):
    """How every trial of a comparison trains; its length is the budget of every method."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int | None = Field(None, ge=1, description="passes over the training images")
    steps: int | None = Field(None, ge=1, description="gradient steps, instead of epochs")
    batch_size: int = Field(128, ge=1)
    optimizer: Optimizer = "adam"
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    momentum: float = Field(0.0, ge=0, lt=1, description="for sgd")
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine", "linear", "step"] = Field(
        "cosine", description="cosine to 0; constant, then linear to 0; or ÷10 at each milestone"
    )
    decay: float = Field(0.3, gt=0, le=1, description="for linear: last share of training that decays")
    milestones: tuple[Share, ...] = Field((0.5, 0.75), description="for step: shares of training")
    augment: Augmentation | None = Field(None, description="how images are varied; default: the data set's")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of forward and backward passes in training (bfloat16: autocast)"
    )
    compile: bool = Field(False, description="whether torch.compile speeds the network up")

    @model_validator(mode="before")
    @classmethod
    def _by_recipe(cls, raw: Any) -> Any:
        """``NAME``, or values that change some of a recipe's: a length replaces the recipe's."""
        given = {"recipe": raw} if isinstance(raw, str) else raw
        if not isinstance(given, dict) or "recipe" not in given:
            return raw
        own = {key: value for key, value in given.items() if key != "recipe"}
        name = given["recipe"]
        if not isinstance(name, str) or name not in RECIPES:
            raise PydanticCustomError("input", "{message}", {"message": unknown("recipe", name, RECIPES)})
        values = RECIPES[name].training
        if own.keys() & LENGTHS:
            values = {key: value for key, value in values.items() if key not in LENGTHS}
        return values | own

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            given = f"epochs: {self.epochs}, steps: {self.steps}"
            raise ValueError(f"give epochs or steps, one of them ({given})")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum {self.momentum:g} is for optimizer sgd, not {self.optimizer}")
        return self

    def identity(self) -> dict[str, Any]:
        """What of it decides a result. Options at an inert default are omitted, so that ids from before the
        option existed stay valid."""
        plain = self.model_dump(mode="json")
        return {name: value for name, value in plain.items() if value != WITHOUT_EFFECT.get(name, ...)}

    def length(self, examples: int) -> tuple[int, int]:
        """The length of the training in gradient steps.

        Args:
            examples: Number of training images.

        Returns:
            Steps in all, and in one epoch. The last batch of an epoch may be smaller.

        >>> TrainingConfig(epochs=2, batch_size=64).length(129)
        (6, 3)
        """
        per_epoch = math.ceil(examples / self.batch_size)
        return self.steps or (self.epochs or 0) * per_epoch, per_epoch
