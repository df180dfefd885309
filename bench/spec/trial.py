"""The config of one trial: everything that decides its result, and the hash that identifies it."""

import hashlib
import json
from functools import cached_property
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from switchbench.errors import InputError, explain
from switchbench.row import PlannedTrial
from switchbench.spec.components import DatasetChoice, MethodChoice, NetworkChoice
from switchbench.spec.scope import Scope
from switchbench.spec.training import TrainingConfig
from switchbench.spec.types import Density, Seed

SCHEMA_VERSION = 2
"""Part of every trial's identity: raise it when the engine changes what a config measures."""


class TrialConfig(BaseModel):
    """Everything that decides a trial's result, and nothing else (but the labels).

    ``density`` is None exactly where the method takes no target. Build one by hand with
    :meth:`of`, which turns bad values into one clear line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    network: NetworkChoice
    dataset: DatasetChoice
    scope: Scope = Scope(layers="fc")
    method: MethodChoice
    density: Density | None = None
    seed: Seed = 0
    validation: float = Field(0.1, gt=0, lt=1, description="share of training images held out")
    training: TrainingConfig
    start: TrainingConfig | None = None
    """Where given, the method starts from a dense network that has been trained in this way."""

    @model_validator(mode="after")
    def _resolved(self) -> Self:
        if self.method != self.method.alone():
            raise ValueError("method: against, densities and training of a method are for comparisons")
        augment = self.dataset.registered.augmentation
        for name in ("training", "start"):
            training = getattr(self, name)
            if training is not None and training.augment is None:
                self.__dict__[name] = training.model_copy(update={"augment": augment})
        return self

    @classmethod
    def of(cls, **fields: Any) -> "TrialConfig":
        """Build a config from plain values.

        Args:
            fields: As in a spec: names, or mappings with options.

        Raises:
            InputError: A value cannot be used; the message is one line that names it.
        """
        try:
            config = cls.model_validate(fields)
        except ValidationError as error:
            raise InputError(explain(error, cls)) from error
        if config.method.takes_target() != (config.density is not None):
            need = "needs a density" if config.density is None else "takes no target density"
            raise InputError(f"density: method {config.method.name!r} {need}")
        return config

    @cached_property
    def trial_id(self) -> str:
        """Hash of the canonical, fully resolved config, with the versions of what it names."""
        identity = {
            "schema": SCHEMA_VERSION,
            "network": self.network.identity(),
            "dataset": self.dataset.identity(),
            "scope": self.scope.model_dump(mode="json"),
            "method": self.method.identity(),
            "density": self.density,
            "seed": self.seed,
            "validation": self.validation,
            "training": self.training.identity(),
        }
        if self.start:
            identity["start"] = self.start.identity()
        canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @cached_property
    def start_trial(self) -> "TrialConfig | None":
        """The trial whose finished network this one starts from: dense, and the same for every method,
        density and scope."""
        if not self.start:
            return None
        dense = MethodChoice.model_validate("dense")
        return TrialConfig(
            network=self.network,
            dataset=self.dataset,
            scope=Scope(),
            method=dense,
            seed=self.seed,
            validation=self.validation,
            training=self.start,
        )

    @cached_property
    def planned(self) -> PlannedTrial:
        """What tells the trial's row from others."""
        return PlannedTrial(
            trial_id=self.trial_id,
            method=self.method.name,
            control_of=self.method.control_of(),
            label=self.method.label,
            network=self.network.label,
            dataset=self.dataset.label,
            scope=str(self.scope),
            seed=self.seed,
            target_density=self.density,
            start=self.start_trial.trial_id if self.start_trial else None,
        )
