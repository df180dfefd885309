"""The contract between a sparsification method and the one training loop.

A method is a class with typed options. The loop calls it at fixed points; every default does
nothing, so a method overrides only the points that it needs. The loop never asks which method
it is serving.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from switchbench.errors import unknown
from switchbench.methods.options import Options, invalid_default
from switchbench.methods.parts import state
from switchbench.methods.parts.layers import Layers
from switchbench.methods.parts.pruning_schedules import Window, due
from switchbench.registration import registrar

Granularity = Literal["connection", "neuron", "block"]
"""What a method switches off: single connections, neurons with all of theirs, or blocks of weights."""
Units = Literal["connection", "neuron"]
"""Type of an option that says what one gate switches."""

WEIGHTS = "weights"
"""Group of the weights in scope."""
OTHERS = "others"
"""Group of the network's remaining parameters: biases, norms, layers out of scope."""
Optimizer = Literal["sgd", "adam", "adamw"]
"""What may update parameters: the network's, or those that a method adds."""

P = TypeVar("P", bound=nn.Module)
C_co = TypeVar("C_co", bound=Options, covariant=True)


def _no_step_yet(parameter: Tensor) -> Tensor | float:
    raise RuntimeError("step_size is known only after an optimiser step")


def _no_training(index: int) -> tuple[Tensor, Tensor]:
    raise RuntimeError("fresh batches are known only in training")


@dataclass(frozen=True)
class Progress:
    """Where training stands at one gradient step."""

    step: int
    """Number of this step, from 1 to ``steps``."""
    steps: int
    """Number of gradient steps in the whole training."""
    epoch: int
    """Number of the running epoch, from 0."""
    step_size: Callable[[Tensor], Tensor | float] = field(default=_no_step_yet, compare=False)
    """Step size that the optimiser applied to each entry of a parameter: the learning rate
    for SGD, lr / (sqrt(v) + eps) for Adam. Before ``after_step`` it is that of the step before."""
    fresh: Callable[[int], tuple[Tensor, Tensor]] = field(default=_no_training, compare=False)
    """Batch number 0, 1, … of this step beside the one that the weights learn from: training images as they
    are stored, and labels. Only the seed, the step and the number decide which, so that a method that draws
    some changes nothing else."""

    @property
    def fraction(self) -> float:
        """Share of training done once this step is over, in (0, 1]."""
        return self.step / self.steps

    def every(self, steps: int, start: int = 0) -> bool:
        """Tell whether this step is one in every ``steps``, counted from ``start``.

        >>> [step for step in range(1, 8) if Progress(step, 10, epoch=0).every(3)]
        [3, 6]
        >>> [step for step in range(1, 8) if Progress(step, 10, epoch=0).every(3, start=1)]
        [1, 4, 7]
        """
        return (self.step - start) % steps == 0

    def due(self, window: Window) -> bool:
        """Tell whether one of the window's updates falls on this step (:func:`pruning_schedules.due`).

        >>> [step for step in range(1, 11) if Progress(step, 10, epoch=0).due(Window(0.2, 0.6, 2))]
        [4, 6]
        """
        return due(self.step, self.steps, window.begin, window.end, window.updates)

    def past(self, share: float) -> bool:
        """Tell whether an earlier step reached a share of training, such as the end of a window.

        >>> [step for step in range(1, 11) if Progress(step, 10, epoch=0).past(0.75)]
        [9, 10]
        """
        return (self.step - 1) / self.steps >= share


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that a method learns beside the network's own, with their optimiser.

    Momentum and weight decay of the network's optimiser are not theirs; the learning-rate
    schedule is.
    """

    name: str
    parameters: list[nn.Parameter]
    optimizer: Optimizer
    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for what an optimiser cannot learn, or learns wrongly without a word."""
        group = f"parameter group {self.name!r}"
        if self.optimizer not in get_args(Optimizer):
            raise ValueError(f"{group}: {unknown('optimizer', self.optimizer, get_args(Optimizer))}")
        for name in ("lr", "momentum", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{group}: {name} {getattr(self, name)} should be at least 0")
        if not all(isinstance(parameter, Tensor) and parameter.is_leaf for parameter in self.parameters):
            raise ValueError(f"{group}: parameters should be tensors that no operation has computed")
        if len({id(parameter) for parameter in self.parameters}) < len(self.parameters):
            raise ValueError(f"{group} has a parameter twice")


class _WithOptions(Protocol[C_co]):
    """A method as :attr:`Method.config` sees it: the type of its options is that of its ``Config``."""

    _config: Any

    @property
    def Config(self) -> type[C_co]: ...  # noqa: N802


class Method:
    """A way to find which connections a network needs. Subclass and :func:`register` it.

    The loop calls, in this order: :meth:`attach` once, which calls :meth:`setup`; at every step
    :meth:`learning`, :meth:`before_step`, forward, :meth:`penalty`, backward, :meth:`after_backward`,
    optimiser, :meth:`after_step`; after every epoch :meth:`before_evaluation`; :meth:`rewind` between rounds;
    :meth:`finalise` once. Randomness comes from ``self.generator`` or, within a step, from torch's
    global generator; both are seeded.
    """

    class Config(Options):
        """Options of the method; subclasses add fields with :func:`option`."""

    name: ClassVar[str]
    """Set by :func:`register`."""
    version: ClassVar[int] = 1
    """Raise it when results change: stored results of older versions are then not reused."""

    plugin_source: ClassVar[str | None] = None
    """Hash of the module of a plug-in's method, set by :func:`register`."""
    learns_density: ClassVar[bool] = False
    """Whether the density is what the method finds, so that it takes no target."""
    unit: ClassVar[Granularity] = "connection"
    """What the method switches off."""

    def __init__(self, config: Any, density: float | None, generator: torch.Generator) -> None:
        """Keep what the method is given.

        Args:
            config: The options, an instance of the class's ``Config``.
            density: The target over the layers in scope, None if the method takes no target.
            generator: The method's own source of random numbers, seeded.
        """
        self._config = config
        self.density = density
        self.generator = generator
        self.network: nn.Module
        self.layers: Layers = {}
        self.weights: dict[str, nn.Parameter] = {}

    @property
    def config(self: _WithOptions[C_co]) -> C_co:
        """The method's options. Their type is the ``Config`` of the class, without a declaration."""
        config: C_co = self._config
        return config

    @property
    def target(self) -> float:
        """The target density. Raises RuntimeError if the method was given none."""
        if self.density is None:
            raise RuntimeError(f"{type(self).__name__} has no target density")
        return self.density

    @classmethod
    def takes_target(cls, config: Any) -> bool:
        """Tell whether the method, with these options, meets a target density.

        Without a target it runs once per seed. Override it where an option decides.
        """
        return not cls.learns_density

    @classmethod
    def granularity(cls, config: Any) -> Granularity:
        """Say what the method, with these options, switches off.

        Connections meet a target density exactly; neurons and blocks do not exceed it. Override it
        where an option decides.
        """
        return cls.unit

    @classmethod
    def control_of(cls, config: Any) -> str | None:
        """Name the method that this one is a control of, None for other methods.

        A control is the same method without some of its parts. The report shows the difference, paired by
        seed: it is what these parts are worth.
        """
        return None

    @classmethod
    def skip(cls, config: Any, network: nn.Module, layers: Layers) -> str | None:
        """Return the reason why the method cannot handle this network, or None."""
        return None

    @classmethod
    def never_acts(cls, config: Any, steps: int, epochs: int) -> str | None:
        """Return what the method would never do in so short a training, with the reason, or None.

        Its row and the report then say so: the result is not the method's as it is meant.

        Args:
            config: The options.
            steps: Gradient steps of a round.
            epochs: Epochs of a round, the last of which may be cut short.
        """
        return None

    def attach(self, network: nn.Module, layers: Layers, batch: tuple[Tensor, Tensor]) -> None:
        """Take the network, then call :meth:`setup`. Methods override that one.

        Args:
            network: The untrained network.
            layers: Its layers in scope; ``weights`` then holds their raw parameters by layer name.
            batch: A calibration batch of training data: images and labels.

        Raises:
            TypeError: A layer's weight is no plain parameter.
        """
        self.network = network
        self.layers = layers
        self.weights = {name: _raw_weight(layer) for name, layer in layers.items()}
        self.setup(batch)

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        """Prepare: register parametrizations, choose a mask, score at initialisation.

        ``network``, ``layers`` and ``weights`` are set. ``batch`` is a calibration batch of training
        data: images and labels.
        """

    def parametrize(self, make: Callable[[nn.Parameter], P]) -> dict[str, P]:
        """Put a parametrization in front of every layer's weight.

        Args:
            make: Makes a layer's parametrization from its raw weight.

        Returns:
            The parametrizations by layer name.
        """
        made = {name: make(weight) for name, weight in self.weights.items()}
        for name, parametrization in made.items():
            parametrize.register_parametrization(self.layers[name], "weight", parametrization)
        return made

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return what the method learns beside the network's own parameters."""
        return []

    def learning(self, progress: Progress) -> Collection[str] | None:
        """Name the groups that learn in this step; None for all of them.

        Groups are :data:`WEIGHTS`, :data:`OTHERS` and the method's own.
        """
        return None

    def before_step(self, progress: Progress) -> None:
        """Act before the forward pass, e.g. recompute gates."""

    def penalty(self, progress: Progress) -> Tensor | None:
        """Return a scalar that is added to the task loss, or None."""
        return None

    def after_backward(self, progress: Progress) -> None:
        """Act between backward and the optimiser, e.g. read or mask gradients."""

    def after_step(self, progress: Progress) -> None:
        """Act after the optimiser, e.g. update masks, apply a proximal step."""

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor] | None:
        """Return the masks if all that the method does in this step is to keep weights at zero where they
        are; None if it does more.

        In a training with sparse kernels, such a step computes on the kept weights alone. It calls neither
        :meth:`before_step` nor :meth:`penalty`, :meth:`after_backward` or :meth:`after_step`.

        Returns:
            0/1 masks in the weights' shapes, by layer; the same object as long as they are the same masks.
        """
        return None

    def before_evaluation(self) -> None:
        """Act before the network is evaluated, in eval mode. Training must not depend on it."""

    @property
    def rounds(self) -> int:
        """Number of times that the whole training is run.

        More than one round costs more than other methods spend. The report shows it.
        """
        return 1

    def rewind(self) -> int:
        """Act between two rounds, e.g. prune and restore earlier weights. Optimisers are made anew.

        Returns:
            The step of the schedule after which the next round begins, 0 for the start.
        """
        return 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs beside the network.

        By default it is every attribute: tensors, modules, generators and plain values, alone or in
        dicts, lists and tuples. Left out is what :meth:`attach` makes again: what the method is given
        (options, target, network, layers, weights), hook handles, and every
        :class:`~switchbench.methods.parts.state.Constant`.

        Raises:
            TypeError: An attribute is of another type.
        """
        return {name: state.capture(value) for name, value in vars(self).items() if name not in _GIVEN}

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """Undo :meth:`state_dict` in a method that has just been attached in the same way."""
        for name, value in stored.items():
            setattr(self, name, state.restore(getattr(self, name, None), value))

    def found(self) -> Mapping[str, float]:
        """Return numbers that the method has learned, by name, such as thresholds. The row stores them.

        Asked for once, at the end of training, before :meth:`finalise`.
        """
        return {}

    def finalise(self) -> None:
        """Leave a plain network: exact zeros in ordinary weights, and nothing attached.

        The network is in eval mode. The default writes every parametrization's output into its
        weight and removes it. Methods that register hooks remove them here.
        """
        for layer in self.layers.values():
            if parametrize.is_parametrized(layer, "weight"):
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


_GIVEN = ("_config", "density", "network", "layers", "weights")
"""Attributes that a method is given anew when training resumes."""

METHODS: dict[str, type[Method]] = {}
"""Every registered method by name."""


def _problem(cls: type[Any]) -> str | None:
    if not issubclass(cls, Method):
        return "should derive from switchbench.methods.Method"
    return invalid_default(cls.Config)


register = registrar("method", METHODS, _problem)
"""Class decorator ``@register(name)``: make a method known under a name."""


def _raw_weight(layer: nn.Module) -> nn.Parameter:
    weight = layer.weight
    if not isinstance(weight, nn.Parameter):
        raise TypeError(f"{type(layer).__name__} has no plain weight parameter")
    return weight
