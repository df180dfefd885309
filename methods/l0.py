"""L0 regularisation: the expected number of open gates is part of the loss."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from switchbench.methods import concrete
from switchbench.methods.contract import (
    Granularity,
    Layers,
    Method,
    ParameterGroup,
    Progress,
    option,
    register,
)
from switchbench.methods.neurons import Paths, per_input


class HardConcreteGate(nn.Module):
    """Parametrization W ↦ W ⊙ gate: sampled in training, without noise in evaluation."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, weight: Tensor) -> Tensor:
        gate = concrete.sample(self.logits) if self.training else concrete.mean(self.logits)
        return weight * gate


@register("l0")
class L0(Method):
    """L0 regularisation by hard concrete gates, one per weight or per neuron; learns its density.

    Louizos, Welling & Kingma 2018, *Learning Sparse Neural Networks through L0 Regularization*.
    One sample of gates serves a batch. Per neuron, a gate switches the weights that read one unit,
    and connections that then lead nowhere go too.
    """

    class Config(Method.Config):
        units: Granularity = option("connection", "what one gate switches")
        strength: float = option(
            1e-6,
            "weight of the expected number of open weights in the loss",
            search=(1e-8, 1e-4),
            log=True,
            ge=0,
        )
        start: float = option(
            0.5, "share to which gates are open at the start", search=(0.2, 0.9), gt=0, lt=1
        )
        gate_lr: float = option(1e-3, "the gates' learning rate (adam)", search=(1e-4, 1e-1), log=True, gt=0)

    config: Config

    @classmethod
    def takes_target(cls, config: Any) -> bool:
        return False

    @classmethod
    def granularity(cls, config: Any) -> Granularity:
        units: Granularity = config.units
        return units

    def attach(self, network: nn.Module, layers: Layers, batch: tuple[Tensor, Tensor]) -> None:
        super().attach(network, layers, batch)
        self.paths = Paths(network, batch[0])
        self.gates: dict[str, HardConcreteGate] = {}
        for name, weight in self.weights.items():
            units = weight.shape if self.config.units == "connection" else weight.shape[1:2]
            noise = 0.01 * torch.randn(units, generator=self.generator).to(weight.device)
            logits = noise + math.log(self.config.start / (1 - self.config.start))
            self.gates[name] = HardConcreteGate(
                logits if self.config.units == "connection" else per_input(logits, weight)
            )
            parametrize.register_parametrization(layers[name], "weight", self.gates[name])

    def parameter_groups(self) -> list[ParameterGroup]:
        logits = [gate.logits for gate in self.gates.values()]
        return [ParameterGroup("gates", logits, optimizer="adam", lr=self.config.gate_lr)]

    def penalty(self, progress: Progress) -> Tensor:
        """Expected number of open weights: a neuron's gate counts for all of its weights."""
        expected = [
            concrete.open_probability(gate.logits).sum() * (self.weights[name].numel() // gate.logits.numel())
            for name, gate in self.gates.items()
        ]
        return self.config.strength * torch.stack(expected).sum()

    def finalise(self) -> None:
        super().finalise()
        if self.config.units == "neuron":
            self.paths.drop_dead(self.layers)
