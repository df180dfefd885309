"""The contract between a sparsification method and the one training loop.

A method is a class with typed options. The loop calls it at fixed points; every default does
nothing, so a method overrides only the points that it needs. The loop never asks which method
it is serving.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from switchbench.methods.options import Options
from switchbench.methods.parts import state
from switchbench.methods.parts.layers import Layers
from switchbench.methods.registry import registrar

Granularity = Literal["connection", "neuron"]

WEIGHTS = "weights"
"""Group of the weights in scope."""
OTHERS = "others"
"""Group of the network's remaining parameters: biases, norms, layers out of scope."""

P = TypeVar("P", bound=nn.Module)


def _no_step_yet(parameter: Tensor) -> Tensor | float:
    raise RuntimeError("step_size is known only after an optimiser step")


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
    for SGD, lr / (sqrt(v) + eps) for Adam. Valid in ``after_step``."""

    @property
    def fraction(self) -> float:
        """Share of training done once this step is over, in (0, 1]."""
        return self.step / self.steps


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that a method learns beside the network's own, with their optimiser.

    Momentum and weight decay of the network's optimiser are not theirs; the learning-rate
    schedule is.
    """

    name: str
    parameters: list[nn.Parameter]
    optimizer: Literal["sgd", "adam", "adamw"]
    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0


class Method:
    """A way to find which connections a network needs. Subclass and :func:`register` it.

    The loop calls, in this order: :meth:`attach` once; at every step :meth:`learning`,
    :meth:`before_step`, forward, :meth:`penalty`, backward, :meth:`after_backward`, optimiser,
    :meth:`after_step`; after every epoch :meth:`before_evaluation`; :meth:`rewind` between rounds;
    :meth:`finalise` once. Randomness comes from ``self.generator`` or, within a step, from torch's
    global generator; both are seeded.
    """

    class Config(Options):
        """Options of the method; subclasses add fields with :func:`option`."""

    name: ClassVar[str]
    """Set by :func:`register`."""
    version: ClassVar[int] = 1
    """Raise it when results change: stored results of older versions are then not reused."""

    config: Config

    def __init__(self, config: Config, density: float | None, generator: torch.Generator) -> None:
        """``density``: the target over the layers in scope, None where no target is taken."""
        self.config = config
        self.density = density
        self.generator = generator
        self.network: nn.Module
        self.layers: Layers = {}
        self.weights: dict[str, nn.Parameter] = {}

    @classmethod
    def takes_target(cls, config: Any) -> bool:
        """Whether the method meets a target density; otherwise it runs once per seed."""
        return True

    @classmethod
    def granularity(cls, config: Any) -> Granularity:
        """What the method switches off: single connections, or neurons with all of theirs. A target
        density is met exactly by connections, and not exceeded by neurons."""
        return "connection"

    @classmethod
    def control_of(cls, config: Any) -> str | None:
        """Name of the method that this one is a control of: the same but for one thing, so that the
        difference, which the report shows paired by seed, is what that thing was worth."""
        return None

    @classmethod
    def skip(cls, config: Any, network: nn.Module, layers: Layers) -> str | None:
        """Reason why the method cannot handle this network, or None."""
        return None

    def attach(self, network: nn.Module, layers: Layers, batch: tuple[Tensor, Tensor]) -> None:
        """Prepare: keep references, register parametrizations, score at initialisation.

        ``batch`` is a calibration batch (images, labels) of training data. Overrides call this
        first: it sets ``network``, ``layers`` and ``weights`` (the raw parameters by layer name; those of
        convolutions have four dimensions).
        """
        self.network = network
        self.layers = layers
        self.weights = {name: _raw_weight(layer) for name, layer in layers.items()}

    def parametrize(self, make: Callable[[nn.Parameter], P]) -> dict[str, P]:
        """Put a parametrization, made from the raw weight, in front of every layer's weight."""
        made = {name: make(weight) for name, weight in self.weights.items()}
        for name, parametrization in made.items():
            parametrize.register_parametrization(self.layers[name], "weight", parametrization)
        return made

    def parameter_groups(self) -> list[ParameterGroup]:
        """What the method learns beside the network's own parameters."""
        return []

    def learning(self, progress: Progress) -> Collection[str] | None:
        """Names of the groups that learn in this step: :data:`WEIGHTS`, :data:`OTHERS` and the
        method's own. None: all of them."""
        return None

    def before_step(self, progress: Progress) -> None:
        """Act before the forward pass, e.g. recompute gates."""

    def penalty(self, progress: Progress) -> Tensor | None:
        """Scalar added to the task loss, or None."""
        return None

    def after_backward(self, progress: Progress) -> None:
        """Act between backward and the optimiser, e.g. read or mask gradients."""

    def after_step(self, progress: Progress) -> None:
        """Act after the optimiser, e.g. update masks, apply a proximal step."""

    def before_evaluation(self) -> None:
        """Act before the network is evaluated as it stands, in eval mode; training must not notice."""

    @property
    def rounds(self) -> int:
        """How many times the whole training is gone through. More than one costs more than others
        spend, which the report shows."""
        return 1

    def rewind(self) -> int:
        """Act between two rounds, e.g. prune and put earlier weights back; optimisers start anew.

        Returns the step of the schedule after which the next round begins, 0 for the start.
        """
        return 0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs beside the network: by default every attribute that is made of
        tensors, modules, generators and plain values; frozen dataclasses and handles of hooks, which
        attaching makes again, are left out. Raises TypeError on any other."""
        stored: dict[str, Any] = state.capture({k: v for k, v in vars(self).items() if k not in _GIVEN})
        return stored

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """Undo :meth:`state_dict` in a method that has just been attached in the same way."""
        for key, value in stored.items():
            setattr(self, key, state.restore(getattr(self, key, None), value))

    def finalise(self) -> None:
        """Leave a plain network behind: exact zeros in ordinary weights, nothing attached.

        The network is in eval mode. Hooks that :meth:`attach` made are removed here. The default
        bakes every parametrization into its weight.
        """
        for layer in self.layers.values():
            if parametrize.is_parametrized(layer, "weight"):
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


_GIVEN = ("config", "density", "network", "layers", "weights")
"""Attributes that a method is given anew when training resumes."""

METHODS: dict[str, type[Method]] = {}
"""Every registered method by name."""

register = registrar("method", METHODS)
"""Class decorator ``@register(name)``: make a method known under a name."""


def _raw_weight(layer: nn.Module) -> nn.Parameter:
    weight = layer.weight
    if not isinstance(weight, nn.Parameter):
        raise TypeError(f"{type(layer).__name__} has no plain weight parameter")
    return weight
