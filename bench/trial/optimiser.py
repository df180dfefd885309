"""Adam, AdamW and SGD, by torch's functions for their steps.

The kernels are those of ``torch.optim``, and so are the bits. Its classes are left out: their checks and
hooks take a tenth of a small network's training, and they import torch's compiler: a second and 150 MB, which
only networks of torchvision need, too.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from switchbench.methods import ParameterGroup
from switchbench.spec.training import TrainingConfig

BETAS = 0.9, 0.999
EPS = 1e-8
"""Constants of Adam, as torch has them by default."""
STEP = "step"
"""Number of a parameter's steps in Adam, a scalar where the parameter is: a GPU is not asked for it."""

State = dict[str, Tensor]
"""What an optimiser remembers of a parameter, by torch's names; empty before the parameter's first step."""


class Optimiser:
    """Updates parameters with one learning rate."""

    def __init__(self, settings: TrainingConfig | ParameterGroup, parameters: list[nn.Parameter]) -> None:
        """Begin without memory.

        Args:
            settings: Optimiser, peak learning rate, momentum and weight decay.
            parameters: What is updated.
        """
        self.parameters = [*parameters]
        self.state: dict[Tensor, State] = {}
        self.lr = settings.lr
        """Learning rate of the last step."""
        self._settings = settings

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Update the parameters that have a gradient, at ``factor`` times the peak learning rate."""
        self.lr = factor * self._settings.lr
        parameters: list[Tensor] = [parameter for parameter in self.parameters if parameter.grad is not None]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        update = self._sgd if self._settings.optimizer == "sgd" else self._adam
        update(parameters, gradients)

    def step_size(self, parameter: Tensor) -> Tensor | float:
        """Return the step size that the last step applied to a parameter.

        Returns:
            The learning rate for SGD. For Adam lr / (√v + eps), in the shape of the parameter; v is the mean
            squared gradient, corrected for its bias. 0 if the parameter has not moved yet.
        """
        if self._settings.optimizer == "sgd":
            return self.lr
        state = self.state.get(parameter)
        if not state:
            return 0.0
        step = state[STEP]  # on a GPU it is not asked for, which would wait for the GPU
        correction = 1 - BETAS[1] ** (float(step) if step.device.type == "cpu" else step.double())
        return (state["exp_avg_sq"] / correction).sqrt_().add_(EPS).reciprocal_().mul_(self.lr)

    def replace(self, old: nn.Parameter, new: nn.Parameter, convert: Callable[[Tensor], Tensor]) -> None:
        """Update another parameter from now on.

        Args:
            old: The present parameter.
            new: The other one.
            convert: Makes what is remembered of each entry of ``old`` that of ``new``.
        """
        place = next(place for place, each in enumerate(self.parameters) if each is old)
        self.parameters[place] = new
        if state := self.state.pop(old, None):
            self.state[new] = {
                name: convert(value) if value.shape == old.shape else value for name, value in state.items()
            }

    def state_dict(self) -> list[State]:
        """Return what is remembered of each parameter, for a checkpoint."""
        return [self.state.get(parameter, {}) for parameter in self.parameters]

    def load_state_dict(self, stored: list[State]) -> None:
        """Undo :meth:`state_dict`. Raises ValueError if it is of other parameters or of another optimiser."""
        pairs = [*zip(self.parameters, stored, strict=True)]
        for parameter, state in pairs:
            shapes = {name: value.shape for name, value in state.items()}
            if state and shapes != {name: () if name == STEP else parameter.shape for name in self._names}:
                raise ValueError(f"state {shapes} is not of a parameter of shape {tuple(parameter.shape)}")
        self.state = {parameter: state for parameter, state in pairs if state}

    @property
    def _names(self) -> tuple[str, ...]:
        """Names of what is remembered of a parameter."""
        if self._settings.optimizer == "sgd":
            return ("momentum_buffer",) if self._settings.momentum else ()
        return STEP, "exp_avg", "exp_avg_sq"

    def _sgd(self, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        momentum = self._settings.momentum
        buffers: list[Tensor | None] = []
        if momentum:  # zeros before a parameter's first step, after which it is the gradient
            buffers = [self._remembered(parameter, "momentum_buffer") for parameter in parameters]
        sgd(
            parameters,
            gradients,
            buffers,
            lr=self.lr,
            momentum=momentum,
            weight_decay=self._settings.weight_decay,
            dampening=0,
            nesterov=False,
            maximize=False,
            fused=True,
        )

    def _adam(self, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        for parameter in parameters:
            if parameter not in self.state:
                self.state[parameter] = {STEP: torch.zeros((), dtype=torch.float32, device=parameter.device)}
        adam(
            parameters,
            gradients,
            [self._remembered(parameter, "exp_avg") for parameter in parameters],
            [self._remembered(parameter, "exp_avg_sq") for parameter in parameters],
            [],
            [self.state[parameter][STEP] for parameter in parameters],
            lr=self.lr,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self._settings.weight_decay,
            decoupled_weight_decay=self._settings.optimizer == "adamw",
            eps=EPS,
            amsgrad=False,
            maximize=False,
            fused=True,
        )

    def _remembered(self, parameter: Tensor, name: str) -> Tensor:
        """Return a running sum or mean that is kept of a parameter; zeros before its first step."""
        state = self.state.setdefault(parameter, {})
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        return state[name]
