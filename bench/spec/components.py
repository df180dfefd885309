"""Methods, networks and data sets as a spec names them: a name, a label and resolved options."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from switchbench import datasets
from switchbench.datasets import DATASETS, Data, DatasetEntry, Facts
from switchbench.errors import InputError, explain, unknown
from switchbench.methods import METHODS, Method, Options
from switchbench.networks import NETWORKS, InputShape, Network
from switchbench.spec.training import BUDGET, TrainingConfig
from switchbench.spec.types import Density

CPU = torch.device("cpu")


class Component(BaseModel):
    """A registered thing by name, written ``name`` or ``{kind: name, label: …, option: …}``.

    Validation looks the name up and fills in every default, so that an instance says all
    there is to know; it is written back in the same form.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    kind: ClassVar[str]
    registry: ClassVar[dict[str, Any]]
    """What is registered of this kind, by name."""
    entry_keys: ClassVar[tuple[str, ...]] = ("label",)
    """Keys of an entry that are no options of what is registered."""

    name: str
    label: str = Field(pattern=r"^\S(.*\S)?$", description="one line of text, not empty")
    options: dict[str, Any]

    @property
    def registered(self) -> Any:
        """What the registry holds under the name: a class, or a :class:`DatasetEntry`."""
        return self.registry[self.name]

    @property
    def config(self) -> Any:
        """The options, validated: an instance of :meth:`config_class`."""
        return self.config_class(self.name)(**self.options)

    @classmethod
    def config_class(cls, name: str) -> type[BaseModel]:
        """The type of the options of what is registered under a name."""
        config_class: type[BaseModel] = cls.registry[name].Config
        return config_class

    @classmethod
    def definition(cls, name: str) -> Any:
        """The class or function that is registered under a name. It has the docstring and the module."""
        return cls.registry[name]

    def identity(self) -> dict[str, Any]:
        """What makes results of this component comparable: everything but the label. A plug-in
        module's content counts as well: its author changes it without raising a version."""
        config = self.config
        options = config.identity() if hasattr(config, "identity") else self.options
        identity = {"name": self.name, "version": self.registered.version, "options": options}
        source = self.registered.plugin_source
        return identity | ({"source": source} if source else {})

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, raw: Any) -> Any:
        if isinstance(raw, cls):
            return {"name": raw.name, "options": raw.options} | {
                key: getattr(raw, key) for key in cls.entry_keys
            }
        entry = {cls.kind: raw} if isinstance(raw, str) else raw
        if not isinstance(entry, dict) or cls.kind not in entry:
            raise _problem(f"{raw!r} should be a name or a mapping with the key {cls.kind!r}")
        options = {str(key): value for key, value in entry.items()}
        name = options.pop(cls.kind)
        own = {"label": name} | {key: options.pop(key) for key in cls.entry_keys if key in options}
        if not isinstance(name, str) or name not in cls.registry:
            raise _problem(unknown(cls.kind, name, cls.registry))
        config_class = cls.config_class(name)
        try:
            resolved = config_class(**options)
        except ValidationError as error:
            raise _problem(f"{cls.kind} {name!r}: {explain(error, config_class)}") from error
        return {"name": name, "options": resolved.model_dump(mode="json")} | own

    @model_serializer
    def _write(self) -> dict[str, Any]:
        own = {key: value for key in self.entry_keys if (value := getattr(self, key)) is not None}
        return {self.kind: self.name, **own, **self.options}


class MethodChoice(Component):
    """A sparsification method with its options, and where it has them with densities and changes of the
    training of its own."""

    kind = "method"
    registry = METHODS
    entry_keys = ("label", "against", "densities", "training")

    against: str | None = None
    """Label of the method that the report compares this one with, paired by seed."""
    densities: Annotated[list[Density], Field(min_length=1)] | None = None
    """Target densities of this method alone, in place of the comparison's."""
    training: dict[str, Any] | None = None
    """Changes of the comparison's training for this method alone, such as its learning rate."""

    @field_validator("densities", "training")
    @classmethod
    def _as_fair(cls, given: Any, info: ValidationInfo) -> Any:
        decisive = BUDGET | {"recipe"}
        unequal = decisive.intersection(given) if info.field_name == "training" and given else ()
        if unequal:
            names = ", ".join(sorted(unequal))
            raise ValueError(f"{names}: are the same for every method, so that budgets are equal")
        return given

    @model_validator(mode="after")
    def _densities_of_use(self) -> Self:
        if self.densities and not self.takes_target():
            raise ValueError(f"densities: {self.name!r} takes no target density")
        return self

    def alone(self) -> "MethodChoice":
        """The method and its options, without what a comparison says of it."""
        return self.model_copy(update={"against": None, "densities": None, "training": None})

    def trained(self, training: TrainingConfig) -> TrainingConfig:
        """A comparison's training with this method's changes. Raises ValidationError."""
        if not self.training:
            return training
        return TrainingConfig.model_validate(training.model_dump(mode="json") | self.training)

    def takes_target(self) -> bool:
        """Whether the method, with these options, meets a target density."""
        method: type[Method] = self.registered
        return method.takes_target(self.config)

    def control_of(self) -> str | None:
        """Name of the method that this one is a control of, if it is one."""
        method: type[Method] = self.registered
        return method.control_of(self.config)


class NetworkChoice(Component):
    """A task network with its options."""

    kind = "network"
    registry = NETWORKS

    def build(self, input_shape: InputShape, classes: int) -> nn.Module:
        """A freshly initialised network. Raises ValueError if it cannot take such images."""
        network: type[Network] = self.registered
        return network.build(input_shape, classes, self.config)

    def sketch(self, input_shape: InputShape, classes: int) -> tuple[nn.Module, Tensor]:
        """A network without memory for its weights, and an image that it has looked at; one with memory
        where its code cannot do without. Raises InputError if it cannot take such images."""

        def look(device: str) -> tuple[nn.Module, Tensor]:
            with torch.device(device), torch.random.fork_rng(devices=[]), torch.no_grad():
                built, image = self.build(input_shape, classes).eval(), torch.zeros(1, *input_shape)
                built(image)
            return built, image

        try:
            return look("meta")
        except Exception:  # anybody's code, for which "meta" may be no device
            try:
                return look("cpu")
            except Exception as error:
                raise InputError(f"network {self.label!r}: {error or type(error).__name__}") from error


class DatasetChoice(Component):
    """A data set."""

    kind = "dataset"
    registry = DATASETS

    @classmethod
    def config_class(cls, name: str) -> type[BaseModel]:
        return DATASETS[name].config or Options

    @classmethod
    def definition(cls, name: str) -> Any:
        return DATASETS[name].loader

    def facts(self) -> Facts:
        """Sizes of the data. The data are loaded only if they are not registered. Raises MissingData."""
        entry: DatasetEntry = self.registered
        if entry.facts:
            return entry.facts
        data = self.load()
        return Facts(len(data.train), data.input_shape, data.classes)

    def load(self, folder: Path | None = None, device: torch.device = CPU) -> Data:
        """The data, loaded once per process and device. Raises MissingData."""
        return datasets.load(self.name, folder, self.config, device)


def _problem(message: str) -> PydanticCustomError:
    return PydanticCustomError("input", "{message}", {"message": message})


CHOICES: tuple[type[Component], ...] = (MethodChoice, NetworkChoice, DatasetChoice)
