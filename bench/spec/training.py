"""The training of a trial: length, optimiser, learning-rate schedule, augmentation and precision."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from switchbench.datasets.augment import NO_AUGMENTATION, Augmentation
from switchbench.errors import unknown
from switchbench.methods.contract import Optimizer
from switchbench.spec.recipes import RECIPES

Share = Annotated[float, Field(gt=0, lt=1)]

LENGTH_KEYS = {"epochs", "steps"}
BUDGET_KEYS = LENGTH_KEYS | {"batch_size"}
"""Settings that decide the number of examples and steps of a training."""
INERT_DEFAULTS = {
    "augment": NO_AUGMENTATION.model_dump(mode="json"),
    "precision": "float32",
    "compile": False,
    "kernels": "dense",
}
"""Newer settings, at the value that changes nothing. At this value they are left out of trial ids."""


def without_inert_settings(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain settings without those at their value in :data:`INERT_DEFAULTS`."""
    return {name: value for name, value in training.items() if value != INERT_DEFAULTS.get(name, ...)}


class TrainingConfig(BaseModel):
    """The training of every trial of a comparison. Its length is the budget of every method."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int | None = Field(None, ge=1, description="passes over the training images")
    steps: int | None = Field(None, ge=1, description="gradient steps, instead of epochs")
    batch_size: int = Field(128, ge=1, description="images in a gradient step")
    optimizer: Optimizer = Field("adam", description="optimiser of the weights")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    momentum: float = Field(0.0, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float = Field(0.0, ge=0, description="weight decay of all parameters of the network")
    schedule: Literal["constant", "cosine", "linear", "step"] = Field(
        "cosine", description="cosine to 0; constant, then linear to 0; or ÷10 at each milestone"
    )
    decay: float = Field(
        0.3,
        gt=0,
        le=1,
        description="for linear: share of training, at its end, in which the learning rate decays",
    )
    milestones: tuple[Share, ...] = Field((0.5, 0.75), description="for step: shares of training")
    augment: Augmentation | None = Field(None, description="variation of images; default: the data set's")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="number format of forward and backward passes in training (bfloat16: autocast)"
    )
    compile: Literal[False, True, "reduce-overhead"] = Field(
        False,
        description="whether torch.compile compiles the network; reduce-overhead: with CUDA graphs as well, "
        "for small networks on a GPU (on a CPU it is the same as true)",
    )
    kernels: Literal["dense", "sparse"] = Field(
        "dense",
        description="sparse: compute with the kept weights alone, while masks no longer change and few "
        "weights are left (CPU)",
    )

    @model_validator(mode="before")
    @classmethod
    def _expand_recipe(cls, raw: Any) -> Any:
        """Replace a recipe's name by its values. Other given values override the recipe's."""
        given = {"recipe": raw} if isinstance(raw, str) else raw
        if not isinstance(given, dict) or "recipe" not in given:
            return raw
        changes = {key: value for key, value in given.items() if key != "recipe"}
        name = given["recipe"]
        if not isinstance(name, str) or name not in RECIPES:
            raise PydanticCustomError("input", "{message}", {"message": unknown("recipe", name, RECIPES)})
        values = RECIPES[name].training
        if changes.keys() & LENGTH_KEYS:  # steps also override a recipe's epochs, and the reverse
            values = {key: value for key, value in values.items() if key not in LENGTH_KEYS}
        return values | changes

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            given = f"epochs: {self.epochs}, steps: {self.steps}"
            raise ValueError(f"give exactly one: epochs or steps ({given})")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum: {self.momentum:g} needs optimizer sgd, not {self.optimizer}")
        if self.kernels == "sparse" and (self.compile or self.precision != "float32"):
            compiled = f"compile: {str(self.compile).lower()}"
            given = compiled if self.compile else f"precision: {self.precision}"
            raise ValueError(f"kernels: sparse does not go together with {given}")
        return self

    def identity(self) -> dict[str, Any]:
        """Return the settings that count in a trial's id, as plain values.

        Settings at their value in :data:`INERT_DEFAULTS` are left out, so that ids from before the setting
        existed stay valid.
        """
        return without_inert_settings(self.model_dump(mode="json"))

    def length(self, examples: int) -> tuple[int, int]:
        """Return the length of the training in gradient steps.

        Args:
            examples: Number of training images.

        Returns:
            Steps of the whole training, and steps of one epoch. The last batch of an epoch may be smaller.

        >>> TrainingConfig(epochs=2, batch_size=64).length(129)
        (6, 3)
        """
        per_epoch = math.ceil(examples / self.batch_size)
        return self.steps or (self.epochs or 0) * per_epoch, per_epoch
