"""Optimisers of a training, and the choice of the parameter groups that learn in a step."""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from switchbench.methods import ParameterGroup
from switchbench.spec.training import TrainingConfig
from switchbench.trial.optimiser import Optimiser, State


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
        network = [parameter for group in network_groups.values() for parameter in group]
        self._optimisers = [
            Optimiser(config, network),
            *(Optimiser(group, group.parameters) for group in method_groups),
        ]
        self._names = [frozenset(network_groups), *(frozenset([group.name]) for group in method_groups)]
        """Names of the groups that each optimiser updates."""

    def step(self, factor: float) -> None:
        """Take a step at ``factor`` times the peak learning rates, and clear the gradients."""
        for optimiser, names in zip(self._optimisers, self._names, strict=True):
            if not names & self._learning:  # without gradients a step does nothing, but takes time
                continue
            optimiser.step(factor)
            for parameter in optimiser.parameters:
                parameter.grad = None

    def step_size(self, parameter: Tensor) -> Tensor | float:
        """Return the step size that the last step applied to a parameter of the network, as
        :meth:`Optimiser.step_size` does."""
        return self._optimisers[0].step_size(parameter)

    def state_dict(self) -> list[list[State]]:
        """Return the state of every optimiser, for a checkpoint."""
        return [optimiser.state_dict() for optimiser in self._optimisers]

    def load_state_dict(self, stored: list[list[State]]) -> None:
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

        self._optimisers[0].replace(parameter, narrowed, take)
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
        self._optimisers[0].replace(narrowed, parameter, put)
