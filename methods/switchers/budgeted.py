"""The cheap switcher: reads weights now and then, and meets a target density exactly."""

from collections.abc import Collection
from typing import Self

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn.utils import parametrize

from switchbench.methods import budgets, schedules
from switchbench.methods.contract import (
    OTHERS,
    WEIGHTS,
    Layers,
    Method,
    ParameterGroup,
    Progress,
    option,
    register,
)
from switchbench.methods.masks import flat, split
from switchbench.methods.switchers.equivariant import EquivariantReader
from switchbench.methods.switchers.gates import Gate, budgeted_top_k

READER = "reader"


@register("switcher")
class Switcher(Method):
    """Cheap switcher: one equivariant reader, binary gates, a target density met exactly.

    Every ``every``-th step belongs to the reader: gates are the exact top-k of its scores over
    all layers, on a cubic density schedule, and the task loss reaches it through a gradient
    that keeps the budget. All other steps train the weights behind the gates. For the last
    part of training gates are fixed and only weights learn.
    """

    class Config(Method.Config):
        every: int = option(25, "one step in this many trains the reader", search=(5, 100), log=True, ge=2)
        begin: float = option(0.1, "share of training before connections are switched off", ge=0, lt=1)
        end: float = option(
            0.6, "share of training at which the target is met", search=(0.4, 0.9), gt=0, le=1
        )
        updates: int = option(100, "number of density steps between begin and end", ge=1)
        linger: float = option(
            0.25, "share of what follows `end` in which the reader still learns", search=(0, 1), ge=0, le=1
        )
        reader_lr: float = option(3e-4, "the reader's learning rate", search=(1e-5, 1e-2), log=True, gt=0)
        temperature: float = option(
            2.0, "width of the soft threshold, in log |w|", search=(0.1, 10), log=True, gt=0
        )
        hidden: int = option(16, "width of the reader's hidden layers", search=(4, 64), log=True, ge=1)
        rank: int = option(4, "rank of the row-column interaction", search=(1, 16), log=True, ge=1)

        @model_validator(mode="after")
        def _in_order(self) -> Self:
            if self.begin >= self.end:
                raise ValueError(f"begin {self.begin:g} must come before end {self.end:g}")
            return self

    config: Config

    def attach(self, network: nn.Module, layers: Layers, batch: tuple[Tensor, Tensor]) -> None:
        super().attach(network, layers, batch)
        self.reader = EquivariantReader(self.config.hidden, self.config.rank).to(batch[0].device)
        self.gates: dict[str, Gate] = {}
        for name, weight in self.weights.items():
            self.gates[name] = Gate(weight)
            parametrize.register_parametrization(layers[name], "weight", self.gates[name])

    def parameter_groups(self) -> list[ParameterGroup]:
        parameters = list(self.reader.parameters())
        return [ParameterGroup(READER, parameters, optimizer="adam", lr=self.config.reader_lr)]

    def learning(self, progress: Progress) -> Collection[str]:
        return {READER} if self._reads(progress) else {WEIGHTS, OTHERS}

    def before_step(self, progress: Progress) -> None:
        if self._reads(progress):
            self._switch(progress)

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        c = self.config
        pruned = schedules.due(progress.step, progress.steps, c.begin, c.end, c.updates)
        if pruned or self._reads(progress):
            self._switch(progress)

    def _reads(self, progress: Progress) -> bool:
        c = self.config
        last = c.end + c.linger * (1 - c.end)
        return c.begin < progress.fraction <= last and progress.step % c.every == 0

    def _switch(self, progress: Progress) -> None:
        """Set the gates to the reader's choice at the density that the schedule asks for."""
        assert self.density is not None
        c = self.config
        density = schedules.cubic(progress.fraction, c.begin, c.end, self.density)
        keep = budgets.connections(self.weights, density)
        logits = {
            name: self.reader(weight.flatten(1), self.gates[name].gate.detach().flatten(1))
            for name, weight in self.weights.items()
        }
        gates = split(budgeted_top_k(flat(logits), keep, c.temperature), self.weights)
        for name, gate in gates.items():
            self.gates[name].gate = gate
