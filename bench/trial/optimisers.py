"""Optimisers and learning-rate schedules, and which parameter groups learn at a step."""

import math
from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from switchbench.datasets.augment import NO_AUGMENTATION, Augmentation
from switchbench.errors import unknown
from switchbench.methods import ParameterGroup
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
        """What of it decides a result. Options that were added later leave no trace where they have no
        effect, so that earlier results are found."""
        plain = self.model_dump(mode="json")
        return {name: value for name, value in plain.items() if value != WITHOUT_EFFECT.get(name, ...)}

    def length(self, examples: int) -> tuple[int, int]:
        """Gradient steps in all and in one epoch (the last batch may be smaller)."""
        per_epoch = math.ceil(examples / self.batch_size)
        return self.steps or (self.epochs or 0) * per_epoch, per_epoch

    def lr_factor(self, passed: float) -> float:
        """Learning rate over ``lr`` after the share ``passed`` of training, in [0, 1)."""
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * passed))
        if self.schedule == "linear":
            return min(1.0, (1 - passed) / self.decay)
        if self.schedule == "step":
            return 0.1 ** sum(passed >= milestone for milestone in self.milestones)
        return 1.0


class Optimisers:
    """One optimiser for the network and one per parameter group that a method adds.

    Groups that do not learn have ``requires_grad`` off, so that backward skips them and their
    optimiser state stands still.
    """

    def __init__(
        self, config: TrainingConfig, own: dict[str, list[nn.Parameter]], extra: list[ParameterGroup]
    ) -> None:
        self._config = config
        self._groups = own | {group.name: group.parameters for group in extra}
        if len(self._groups) != len(own) + len(extra):
            raise ValueError(f"parameter groups need names of their own, not {[g.name for g in extra]}")
        network = [parameter for group in own.values() for parameter in group]
        self._optimisers = [_build(config, network), *(_build(group, group.parameters) for group in extra)]
        self._served = [frozenset(own), *(frozenset([group.name]) for group in extra)]
        """Names of the groups that each optimiser moves."""
        self._learning: frozenset[str] = frozenset(self._groups)

    def select(self, names: Collection[str] | None) -> None:
        """Let the named groups learn, and no other; None: all. Raises ValueError on a bad name."""
        wanted = frozenset(self._groups) if names is None else frozenset(names)
        if wanted == self._learning:
            return
        if not wanted <= self._groups.keys():
            raise ValueError(f"no parameter group {sorted(wanted - self._groups.keys())}")
        for name in wanted ^ self._learning:
            for parameter in self._groups[name]:
                parameter.requires_grad_(name in wanted)
        self._learning = wanted

    def step(self, factor: float) -> None:
        """Take a step at ``factor`` times the peak learning rates; clear gradients."""
        for optimiser, served in zip(self._optimisers, self._served, strict=True):
            if not served & self._learning:  # it has no gradient, and finding that out takes time
                continue
            for group in optimiser.param_groups:
                group["lr"] = factor * group["peak_lr"]
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """State of every optimiser, for a checkpoint."""
        return [optimiser.state_dict() for optimiser in self._optimisers]

    def load_state_dict(self, stored: list[dict[str, Any]]) -> None:
        """Undo :meth:`state_dict`. Which groups learn is chosen at every step and not stored."""
        for optimiser, state in zip(self._optimisers, stored, strict=True):
            optimiser.load_state_dict(state)

    def step_size(self, parameter: Tensor) -> Tensor | float:
        """Step size that the last step applied to each entry of a parameter of the network."""
        optimiser = self._optimisers[0]
        group = optimiser.param_groups[0]
        lr: float = group["lr"]
        if self._config.optimizer == "sgd":
            return lr
        state = optimiser.state.get(parameter)
        if not state:
            return 0.0
        correction = 1 - group["betas"][1] ** float(state["step"])
        size: Tensor = (state["exp_avg_sq"] / correction).sqrt_().add_(group["eps"]).reciprocal_().mul_(lr)
        return size


def _build(
    settings: TrainingConfig | ParameterGroup, parameters: list[nn.Parameter]
) -> torch.optim.Optimizer:
    lr, decay = settings.lr, settings.weight_decay
    groups = [{"params": parameters, "peak_lr": lr}]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr, momentum=settings.momentum, weight_decay=decay, fused=True)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr, weight_decay=decay, fused=True)
