"""Optimisers of a training, and the choice of the parameter groups that learn in a step."""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from switchbench.methods import ParameterGroup
from switchbench.spec.training import TrainingConfig


class ParameterGroups:
    """The groups of parameters of a training, some of which learn in a step.

    The parameters of a group that does not learn have ``requires_grad`` off. Backward skips them.
    """

    def __init__(
        self, network_groups: dict[str, list[nn.Parameter]], method_groups: list[ParameterGroup]
    ) -> None:
        """Take the groups. All of them learn.

        Args:
            network_groups: Parameters of the network by the name of their group.
            method_groups: Groups that the method adds.

        Raises:
            ValueError: Two groups have the same name.
        """
        self._groups = network_groups | {group.name: group.parameters for group in method_groups}
        if len(self._groups) != len(network_groups) + len(method_groups):
            names = [*network_groups, *(group.name for group in method_groups)]
            raise ValueError(f"parameter groups {names} should have unique names")
        self._learning: frozenset[str] = frozenset(self._groups)

    def select(self, names: Collection[str] | None) -> None:
        """Choose the groups that learn from now on.

        Args:
            names: Names of the groups; None: all groups.

        Raises:
            ValueError: A name is unknown.
        """
        learning = frozenset(self._groups) if names is None else frozenset(names)
        if learning == self._learning:
            return
        if unknown := sorted(learning - self._groups.keys()):
            raise ValueError(f"unknown parameter groups {unknown}; known: {sorted(self._groups)}")
        for name in learning ^ self._learning:
            for parameter in self._groups[name]:
                parameter.requires_grad_(name in learning)
        self._learning = learning


class Optimisers(ParameterGroups):
    """One optimiser for the network and one per parameter group that a method adds.

    The optimiser state of a group that does not learn does not change.
    """

    def __init__(
        self,
        config: TrainingConfig,
        network_groups: dict[str, list[nn.Parameter]],
        method_groups: list[ParameterGroup],
    ) -> None:
        """Build the optimisers. All groups learn.

        Args:
            config: Optimiser, learning rate and weight decay of the network.
            network_groups: Parameters of the network by the name of their group.
            method_groups: Groups that the method adds, each with its own optimiser settings.

        Raises:
            ValueError: Two groups have the same name.
        """
        super().__init__(network_groups, method_groups)
        self._config = config
        network = [parameter for group in network_groups.values() for parameter in group]
        self._optimisers = [
            _build(config, network),
            *(_build(group, group.parameters) for group in method_groups),
        ]
        self._names = [frozenset(network_groups), *(frozenset([group.name]) for group in method_groups)]
        """Names of the groups that each optimiser updates."""

    def step(self, factor: float) -> None:
        """Take a step at ``factor`` times the peak learning rates, and clear the gradients."""
        for optimiser, names in zip(self._optimisers, self._names, strict=True):
            if not names & self._learning:  # without gradients a step does nothing, but takes time
                continue
            (group,) = optimiser.param_groups
            group["lr"] = factor * group["peak_lr"]
            _step(optimiser, group)
            for parameter in group["params"]:  # zero_grad() takes longer: it tells the profiler too
                parameter.grad = None

    def state_dict(self) -> list[dict[str, Any]]:
        """Return the state of every optimiser, for a checkpoint."""
        return [optimiser.state_dict() for optimiser in self._optimisers]

    def load_state_dict(self, stored: list[dict[str, Any]]) -> None:
        """Restore :meth:`state_dict`. It does not hold the groups that learn: each step selects them."""
        for optimiser, state in zip(self._optimisers, stored, strict=True):
            optimiser.load_state_dict(state)

    def narrow(self, parameter: nn.Parameter, kept: Tensor) -> nn.Parameter:
        """Update only some entries of a parameter of the network from now on.

        Args:
            parameter: The parameter. Until :meth:`widen` it stays as it is.
            kept: int64 (k,): positions of the entries in the flattened parameter.

        Returns:
            The parameter (k,) that is updated instead, with the entries' values and optimiser state.
        """
        narrowed = nn.Parameter(parameter.detach().flatten()[kept])

        def take(state: Tensor) -> Tensor:
            return state.flatten()[kept]

        self._replace(parameter, narrowed, take)
        return narrowed

    @torch.no_grad()
    def widen(self, narrowed: nn.Parameter, parameter: nn.Parameter, kept: Tensor) -> None:
        """Undo :meth:`narrow`: write values and optimiser state back. The other entries have no state then,
        as if they had never been trained.

        Args:
            narrowed: What :meth:`narrow` has returned.
            parameter: The parameter that it was made of.
            kept: The same positions.
        """

        def put(state: Tensor) -> Tensor:
            wide = torch.zeros_like(parameter)
            wide.view(-1)[kept] = state
            return wide

        parameter.view(-1)[kept] = narrowed
        self._replace(narrowed, parameter, put)

    def _replace(self, old: nn.Parameter, new: nn.Parameter, convert: Callable[[Tensor], Tensor]) -> None:
        """Let the network's optimiser update another parameter, with the state of entries converted."""
        optimiser = self._optimisers[0]
        parameters = optimiser.param_groups[0]["params"]
        parameters[next(place for place, each in enumerate(parameters) if each is old)] = new
        if state := optimiser.state.pop(old, None):
            optimiser.state[new] = {
                name: convert(value) if isinstance(value, Tensor) and value.shape == old.shape else value
                for name, value in state.items()
            }

    def step_size(self, parameter: Tensor) -> Tensor | float:
        """Return the step size that the last step applied to a parameter of the network.

        Returns:
            The learning rate for SGD. For Adam lr / (√v + eps), in the shape of the parameter; v is the mean
            squared gradient, corrected for its bias. 0 if the parameter has not moved yet.
        """
        optimiser = self._optimisers[0]
        group = optimiser.param_groups[0]
        lr: float = group["lr"]
        if self._config.optimizer == "sgd":
            return lr
        state = optimiser.state.get(parameter)
        if not state:
            return 0.0
        step = state["step"]  # on a GPU it is not asked for, which would wait for the GPU
        correction = 1 - group["betas"][1] ** (float(step) if step.device.type == "cpu" else step.double())
        size: Tensor = (state["exp_avg_sq"] / correction).sqrt_().add_(group["eps"]).reciprocal_().mul_(lr)
        return size


@torch.no_grad()
def _step(optimiser: torch.optim.Optimizer, group: dict[str, Any]) -> None:
    """Take the optimiser's step by torch's function for it: the same kernel, so identical bits.

    Checks and hooks of ``optimiser.step()`` take a tenth of a small network's training.
    """
    parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
    gradients = [parameter.grad for parameter in parameters]
    shared = {name: group[name] for name in ("lr", "weight_decay", "maximize", "fused")}
    if isinstance(optimiser, torch.optim.SGD):
        own = {name: group[name] for name in ("momentum", "dampening", "nesterov")}
        buffers = [_momentum(optimiser, parameter) for parameter in parameters] if own["momentum"] else []
        sgd(parameters, gradients, buffers, **shared, **own)
        return
    states = [optimiser.state[parameter] for parameter in parameters]
    if not all(states):  # the first step makes them
        optimiser.step()
        return

    def named(name: str) -> list[Tensor]:
        return [state[name] for state in states]

    own = {name: group[name] for name in ("eps", "amsgrad", "decoupled_weight_decay")}
    own["beta1"], own["beta2"] = group["betas"]
    averages, squares, steps = named("exp_avg"), named("exp_avg_sq"), named("step")
    adam(parameters, gradients, averages, squares, [], steps, **shared, **own)


def _momentum(optimiser: torch.optim.Optimizer, parameter: nn.Parameter) -> Tensor | None:
    """Return the momentum of a parameter: zeros before its first step, after which it is the gradient."""
    state = optimiser.state[parameter]
    if "momentum_buffer" not in state:
        state["momentum_buffer"] = torch.zeros_like(parameter)
    momentum: Tensor = state["momentum_buffer"]
    return momentum


def _build(
    settings: TrainingConfig | ParameterGroup, parameters: list[nn.Parameter]
) -> torch.optim.Optimizer:
    lr, decay = settings.lr, settings.weight_decay
    groups = [{"params": parameters, "peak_lr": lr}]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr, momentum=settings.momentum, weight_decay=decay, fused=True)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr, weight_decay=decay, fused=True)
