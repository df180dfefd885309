"""Optimisers, and which parameter groups learn at a step."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from switchbench.methods import ParameterGroup
from switchbench.spec.training import TrainingConfig


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
