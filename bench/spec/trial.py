"""The config of one trial: all settings that decide its result, and the hash that identifies it."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from switchbench.errors import InputError, explain
from switchbench.row import PlannedTrial
from switchbench.spec.components import DatasetChoice, MethodChoice, NetworkChoice
from switchbench.spec.scope import Scope
from switchbench.spec.strength import Place, Strength
from switchbench.spec.training import TrainingConfig
from switchbench.spec.types import Density, Seed

SCHEMA_VERSION = 2
"""Part of every trial's id. Raise it when the engine gives other results for the same config."""

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


class TrialConfig(BaseModel):
    """All settings that decide a trial's result, and the labels.

    ``density`` is None if the method takes no target, and only then. Build a config by hand with :meth:`of`:
    it reports bad values in one line.
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
    aim: Strength | None = None
    """How the strength of a method that learns its density was found. It is not part of the identity."""
    start: TrainingConfig | None = None
    """Training of the dense network from which the method starts. None: it starts from initial weights."""

    @model_validator(mode="after")
    def _resolve(self) -> Self:
        if self.method != self.method.for_trial():
            raise ValueError("method: against, densities and training are allowed in a comparison only")
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
            fields: The fields of the class, written as in a spec: names, or mappings with options.

        Raises:
            InputError: A value is not valid. The message is one line that names it.

        >>> config = TrialConfig.of(
        ...     network="mlp", dataset="digits", method="magnitude", density=0.1, training={"epochs": 3}
        ... )
        >>> config.method.name, config.density, config.training.epochs
        ('magnitude', 0.1, 3)
        """
        try:
            config = cls.model_validate(fields)
        except ValidationError as error:
            raise InputError(explain(error, cls)) from None  # it repeats what the line says
        if config.method.takes_target() != (config.density is not None):
            need = "needs a density" if config.density is None else "takes no target density"
            raise InputError(f"density: method {config.method.name!r} {need}")
        return config

    def as_planned(self) -> dict[str, str]:
        """Return the config as JSON with its id, for a worker. :meth:`from_plan` reads it."""
        return {"trial_id": self.trial_id, "config": self.model_dump_json()}

    @classmethod
    def from_plan(cls, planned: dict[str, str]) -> Self:
        """Undo :meth:`as_planned`. The id stays the planned one, so that :meth:`is_current` can tell."""
        config = cls.model_validate_json(planned["config"])
        config.__dict__["trial_id"] = planned["trial_id"]  # as cached_property keeps it
        return config

    def at(self, density: float | None, seed: int) -> "TrialConfig":
        """Return the same trial with another target density and seed.

        Nothing is validated, copied or hashed twice: a comparison has thousands of such trials, which differ
        in these two values alone.

        Args:
            density: A valid target density; None if the method takes no target.
            seed: A valid seed.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        fields |= {"density": density, "seed": seed}
        other = TrialConfig.model_construct(_fields_set=self.model_fields_set, **fields)
        other.__dict__ |= {"_shared_identity": self._shared_identity, "_any_start": self._any_start}
        return other

    @property
    def place(self) -> Place:
        """The labels of network, data set, scope and method. Trials that share them cost the same."""
        return (self.network.label, self.dataset.label, str(self.scope), self.method.label)

    def aimed(self, found: Strength) -> Self:
        """Return the same trial with a strength that was found for a density."""
        assert found.strength is not None
        changes = {"method": self.method.with_strength(found.strength), "aim": found}
        return self.model_copy(update=changes).with_data(self.data_identity)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the config without what was derived from its fields, such as its id, and change fields.

        Args:
            update: New values of fields. They are not validated.
            deep: Whether the values of the fields are copied too.
        """
        copied = super().model_copy(deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields:
            del copied.__dict__[name]
        return super(TrialConfig, copied).model_copy(update=update)

    def with_data(self, identity: dict[str, Any]) -> Self:
        """Set what the data set contributes to the id, and return this trial.

        The trials of a comparison share it: to identify a user's files, all of them are looked at.
        """
        self.__dict__["data_identity"] = identity
        return self

    @cached_property
    def data_identity(self) -> dict[str, Any]:
        """What the data set contributes to the id, with the content of a user's files when it was read."""
        return self.dataset.identity()

    def versions(self) -> dict[str, str]:
        """Return what decides a result beside the config: each part's version, the source of a plug-in and
        the content of a user's files, as they count in the id."""
        content = self.data_identity["options"].get("content")
        return {
            "network": self.network.version,
            "dataset": " ".join(filter(None, (self.dataset.version, content))),
            "method": self.method.version,
        }

    @cached_property
    def trial_id(self) -> str:
        """Hash of the resolved config and of the versions of its components: 16 hexadecimal digits."""
        return self._hash(self._shared_identity)

    def is_current(self) -> bool:
        """Return whether the data's files are still those that the trial's id was made from."""
        return self.trial_id == self._hash(self._identity(self.dataset.identity()))

    def _hash(self, shared: dict[str, str]) -> str:
        """Hash the canonical JSON of the identity: sorted keys, no spaces."""
        identity = shared | {"density": _canonical(self.density), "seed": _canonical(self.seed)}
        text = ",".join(f'"{key}":{identity[key]}' for key in sorted(identity))
        return hashlib.sha256(f"{{{text}}}".encode()).hexdigest()[:16]

    @cached_property
    def _shared_identity(self) -> dict[str, str]:
        return self._identity(self.data_identity)

    def _identity(self, data: dict[str, Any]) -> dict[str, str]:
        """Return the parts of the identity but density and seed, each as canonical JSON."""
        identity = {
            "schema": SCHEMA_VERSION,
            "network": self.network.identity(),
            "dataset": data,
            "scope": self.scope.model_dump(mode="json"),
            "method": self.method.identity(),
            "validation": self.validation,
            "training": self.training.identity(),
        }
        if self.start:
            identity["start"] = self.start.identity()
        return {key: _canonical(part) for key, part in identity.items()}

    @cached_property
    def start_trial(self) -> "TrialConfig | None":
        """The dense trial whose finished network this one starts from, None without ``start``.

        It is the same for every method, density and scope.
        """
        return self._any_start and self._any_start.at(None, self.seed)

    @cached_property
    def _any_start(self) -> "TrialConfig | None":
        """The dense start with any seed."""
        if not self.start:
            return None
        return TrialConfig(
            network=self.network,
            dataset=self.dataset,
            scope=Scope(),
            method=MethodChoice.model_validate("dense"),
            validation=self.validation,
            training=self.start,
        ).with_data(self.data_identity)

    @cached_property
    def planned(self) -> PlannedTrial:
        """The columns of the trial's row that are known before it runs."""
        return PlannedTrial(
            trial_id=self.trial_id,
            method=self.method.name,
            control_of=self.method.control_of(),
            label=self.method.label,
            network=self.network.label,
            dataset=self.dataset.label,
            scope=str(self.scope),
            seed=self.seed,
            target_density=self.aim.density if self.aim else self.density,
            calibration=self.aim.trainings if self.aim else None,
            start=self.start_trial.trial_id if self.start_trial else None,
        )
