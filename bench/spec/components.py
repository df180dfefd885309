"""Methods, networks and data sets as entries of a spec: a name, a label and the options."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
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
from switchbench.methods.options import unmet
from switchbench.networks import NETWORKS, InputShape, Network
from switchbench.networks.layers import check_weights
from switchbench.spec.training import BUDGET_KEYS, TrainingConfig
from switchbench.spec.types import Density
from switchbench.torch_state import TORCH_STATE

CPU = torch.device("cpu")
STRENGTH = "strength"
"""Option of methods that learn their density: the higher, the sparser."""
SMALL_NETWORK = 5_000_000
"""A network with fewer parameters is sketched on the CPU."""


class Component(BaseModel):
    """A registered method, network or data set, with its options.

    A spec writes it as ``name`` or as ``{kind: name, label: …, option: …}``, where ``kind`` is ``method``,
    ``network`` or ``dataset``. Validation looks up the name and fills in every default. An instance is
    written back as such a mapping.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    kind: ClassVar[str]
    """The key that holds the name in a spec."""
    registry: ClassVar[dict[str, Any]]
    """All registered methods, networks or data sets, by name."""
    entry_keys: ClassVar[tuple[str, ...]] = ("label",)
    """Keys of the entry itself. All other keys are options."""

    name: str
    label: str = Field(pattern=r"^\S(.*\S)?$", description="one line of text, not empty")
    options: dict[str, Any]

    @property
    def registered(self) -> Any:
        """The registered class, or the :class:`DatasetEntry` of a data set."""
        return self.registry[self.name]

    @property
    def config(self) -> Any:
        """The options, validated: an instance of :meth:`config_class`."""
        return self.config_class(self.name)(**self.options)

    @classmethod
    def config_class(cls, name: str) -> type[BaseModel]:
        """Return the type of the options of a registered name."""
        config_class: type[BaseModel] = cls.registry[name].Config
        return config_class

    @classmethod
    def definition(cls, name: str) -> Any:
        """Return the class or function with this name. It has the docstring and the module."""
        return cls.registry[name]

    @property
    def version(self) -> str:
        """The version of what is registered, and the hash of a plug-in's source."""
        source = self.registered.plugin_source
        return f"{self.registered.version} {source}" if source else str(self.registered.version)

    def identity(self) -> dict[str, Any]:
        """Return the part of a trial's identity that this component decides: everything but the label.

        For a plug-in it includes a hash of the source file, because its author may change the code without
        raising the version.

        Returns:
            Plain values: ``name``, ``version``, ``options``, and ``source`` for a plug-in.
        """
        config = self.config
        options = config.identity() if hasattr(config, "identity") else self.options
        identity = {"name": self.name, "version": self.registered.version, "options": options}
        source = self.registered.plugin_source
        return identity | ({"source": source} if source else {})

    @field_validator("label")
    @classmethod
    def _check_printable(cls, label: str) -> str:
        if not label.isprintable():
            raise ValueError(f"{label!r} should hold printable characters alone")
        return label

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
        entry_values = {"label": name} | {key: options.pop(key) for key in cls.entry_keys if key in options}
        if not isinstance(name, str) or name not in cls.registry:
            raise _problem(f"{unknown(cls.kind, name, cls.registry)} (plug-ins are given with --plugin)")
        config_class = cls.config_class(name)
        try:
            resolved = config_class(**options)
        except ValidationError as error:
            raise _problem(f"{cls.kind} {name!r}: {explain(error, config_class, cls.entry_keys)}") from error
        return {"name": name, "options": resolved.model_dump(mode="json")} | entry_values

    @model_serializer
    def _write(self) -> dict[str, Any]:
        given = {key: value for key in self.entry_keys if (value := getattr(self, key)) is not None}
        return {self.kind: self.name, **given, **self.options}


class MethodChoice(Component):
    """A sparsification method with its options.

    In a comparison it may also have its own densities and its own changes of the training.
    """

    kind = "method"
    registry = METHODS
    entry_keys = ("label", "against", "densities", "training")

    against: str | None = None
    """Label of another method. The report compares the two, paired by seed."""
    densities: Annotated[list[Density], Field(min_length=1)] | None = None
    """Target densities of this method, instead of the comparison's."""
    training: dict[str, Any] | None = None
    """Changes of the comparison's training for this method, such as the learning rate."""

    @field_validator("training")
    @classmethod
    def _keep_budget(cls, training: dict[str, Any] | None) -> dict[str, Any] | None:
        changed = (BUDGET_KEYS | {"recipe"}).intersection(training or ())
        if changed:
            names = ", ".join(sorted(changed))
            raise ValueError(f"{names} must be the same for every method, so that budgets are equal")
        return training

    @model_validator(mode="after")
    def _check_densities(self) -> Self:
        if self.densities and not self.takes_target():
            raise ValueError(f"densities: {self.name!r} takes no target density with these options")
        return self

    def for_trial(self) -> "MethodChoice":
        """Return the choice as a trial stores it: without the keys that only a comparison uses."""
        return self.model_copy(update={"against": None, "densities": None, "training": None})

    def merged_training(self, training: TrainingConfig) -> TrainingConfig:
        """Apply this method's changes to a comparison's training.

        Raises:
            ValidationError: The changed training is not valid.
        """
        if not self.training:
            return training
        return TrainingConfig.model_validate(training.model_dump(mode="json") | self.training)

    def takes_target(self) -> bool:
        """Tell whether the method, with these options, meets a target density."""
        method: type[Method] = self.registered
        return method.takes_target(self.config)

    def strength(self) -> float | None:
        """Return the option that decides which density the method learns.

        Returns:
            The value of ``strength``; None if the method takes a target, or has no such option, or it has no
            effect beside the others.
        """
        if self.takes_target() or STRENGTH not in self.options or unmet(self.config, STRENGTH):
            return None
        return float(self.options[STRENGTH])

    def with_strength(self, strength: float) -> "MethodChoice":
        """Return the method with another strength."""
        return self.model_copy(update={"options": self.options | {STRENGTH: strength}})

    def control_of(self) -> str | None:
        """Name the method that this one is a control of, None for other methods."""
        method: type[Method] = self.registered
        return method.control_of(self.config)


class NetworkChoice(Component):
    """A task network with its options."""

    kind = "network"
    registry = NETWORKS

    def build(self, input_shape: InputShape, classes: int) -> nn.Module:
        """Build the network with fresh initial weights.

        Args:
            input_shape: Channels, height and width of an image.
            classes: Number of classes.

        Raises:
            ValueError: The network does not accept images of this shape, or a layer has no weight of its own.
        """
        network: type[Network] = self.registered
        built = network.build(input_shape, classes, self.config)
        check_weights(built)
        return built

    def sketch(self, input_shape: InputShape, classes: int) -> tuple[nn.Module, Tensor]:
        """Build the network and run one image through it.

        A large network is built on the meta device, where weights take no memory. A small one is built on the
        CPU: the first forward pass on the meta device takes seconds, in which torch imports its compiler. The
        CPU is also used if the network's code does not run on the meta device.

        Args:
            input_shape: Channels, height and width of an image.
            classes: Number of classes.

        Returns:
            The network in eval mode, and the image (1, channels, height, width), on the same device.

        Raises:
            InputError: The network does not accept images of this shape.
        """

        def build_on(device: str, at_least: int = 0) -> tuple[nn.Module, Tensor] | None:
            with TORCH_STATE, torch.device(device), torch.random.fork_rng(devices=[]), torch.no_grad():
                built, image = self.build(input_shape, classes).eval(), torch.zeros(1, *input_shape)
                if sum(parameter.numel() for parameter in built.parameters()) < at_least:
                    return None
                built(image)
            return built, image

        with suppress(Exception):  # networks of plug-ins may raise anything on the meta device
            if sketched := build_on("meta", SMALL_NETWORK):
                return sketched
        try:
            sketched = build_on("cpu")
        except Exception as error:
            raise InputError(f"network {self.label!r}: {error or type(error).__name__}") from error
        assert sketched
        return sketched


class DatasetChoice(Component):
    """A data set with its options."""

    kind = "dataset"
    registry = DATASETS

    @classmethod
    def config_class(cls, name: str) -> type[BaseModel]:
        return DATASETS[name].config or Options

    @classmethod
    def definition(cls, name: str) -> Any:
        return DATASETS[name].loader

    def facts(self) -> Facts:
        """Return the sizes of the data set: training images, image shape and classes.

        The data are loaded only if the sizes are not registered.

        Raises:
            MissingData: The data are needed and cannot be loaded.
        """
        entry: DatasetEntry = self.registered
        if entry.facts:
            return entry.facts
        data = self.load()
        return Facts(len(data.train), data.input_shape, data.classes)

    def load(self, folder: Path | None = None, device: torch.device = CPU) -> Data:
        """Load the data, once per process and device.

        Args:
            folder: The local data folder; None for the default folder.
            device: Device of the tensors.

        Raises:
            MissingData: The files are neither here nor can they be fetched, or they cannot be read.
        """
        return datasets.load(self.name, folder, self.config, device)


def _problem(message: str) -> PydanticCustomError:
    return PydanticCustomError("input", "{message}", {"message": message})


CHOICES: tuple[type[Component], ...] = (MethodChoice, NetworkChoice, DatasetChoice)
"""One class for each kind of component."""
