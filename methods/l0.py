"""L0 regularisation: the expected number of open gates is part of the loss."""

import math
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from switchbench.methods.contract import (
    OTHERS,
    WEIGHTS,
    Granularity,
    Method,
    ParameterGroup,
    Progress,
    register,
)
from switchbench.methods.options import option
from switchbench.methods.parts import concrete
from switchbench.methods.parts.layers import Layers, per_input
from switchbench.methods.parts.neurons import Paths
from switchbench.methods.parts.noise import NoiseTable

GATES = "gates"


class HardConcreteGate(nn.Module):
    """Parametrization W ↦ W ⊙ gate: sampled in training, without noise in evaluation."""

    held: Tensor

    def __init__(self, logits: Tensor, noise: NoiseTable) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.noise = noise
        self.resample = True
        self.register_buffer("held", torch.ones_like(logits))

    def forward(self, weight: Tensor) -> Tensor:
        if not self.training:
            return weight * concrete.mean(self.logits)
        if not self.resample:
            return weight * self.held
        gate = concrete.sample(self.logits, self.noise.draw(self.logits))
        self.held = gate.detach()
        return weight * gate


@register("l0")
class L0(Method):
    """L0 regularisation by hard concrete gates, one per weight or per neuron; learns its density.

    Louizos, Welling & Kingma 2018, *Learning Sparse Neural Networks through L0 Regularization*.
    One sample of gates serves ``every`` batches, and the gates learn in the first of them. Per
    neuron, a gate switches the weights that read one unit, and connections that then lead nowhere
    go too.

    Defaults: from ``make defaults`` (Fashion-MNIST, validation images).
    """

    class Config(Method.Config):
        units: Granularity = option("connection", "what one gate switches")
        strength: float = option(
            5e-5,
            "weight of the expected number of open weights in the loss",
            search=(1e-6, 1e-4),
            log=True,
            ge=0,
        )
        start: float = option(
            0.6, "share to which gates are open at the start", search=(0.2, 0.9), gt=0, lt=1
        )
        every: int = option(2, "steps that share a sample of gates; 1 is the paper's, and dearer", ge=1)
        gate_lr: float = option(
            3.5e-2, "the gates' learning rate (adam)", search=(3e-3, 1e-1), log=True, gt=0
        )

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
        largest = max(weight.numel() for weight in self.weights.values())
        table = NoiseTable(concrete.logistic, batch[0].device, largest)
        self.gates = self.parametrize(lambda weight: HardConcreteGate(self._first_logits(weight), table))

    def _first_logits(self, weight: Tensor) -> Tensor:
        neurons = self.config.units == "neuron"
        noise = torch.randn(weight.shape[1:2] if neurons else weight.shape, generator=self.generator)
        logits = 0.01 * noise.to(weight.device) + math.log(self.config.start / (1 - self.config.start))
        return per_input(logits, weight) if neurons else logits

    def parameter_groups(self) -> list[ParameterGroup]:
        logits = [gate.logits for gate in self.gates.values()]
        return [ParameterGroup(GATES, logits, optimizer="adam", lr=self.config.gate_lr)]

    def learning(self, progress: Progress) -> Collection[str]:
        return {WEIGHTS, OTHERS, GATES} if self._samples(progress) else {WEIGHTS, OTHERS}

    def before_step(self, progress: Progress) -> None:
        for gate in self.gates.values():
            gate.resample = self._samples(progress)

    def penalty(self, progress: Progress) -> Tensor | None:
        """Expected number of open weights: a neuron's gate counts for all of its weights."""
        if not self._samples(progress):
            return None
        expected = [
            concrete.expected_open(gate.logits) * (self.weights[name].numel() // gate.logits.numel())
            for name, gate in self.gates.items()
        ]
        return self.config.strength * torch.stack(expected).sum()

    def _samples(self, progress: Progress) -> bool:
        """Whether gates are drawn anew and learn in this step."""
        return (progress.step - 1) % self.config.every == 0

    def finalise(self) -> None:
        super().finalise()
        if self.config.units == "neuron":
            self.paths.drop_dead(self.layers)
