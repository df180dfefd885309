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
    Units,
    register,
)
from switchbench.methods.learned import LearnedParametrization
from switchbench.methods.options import option
from switchbench.methods.parts import concrete
from switchbench.methods.parts.layers import per_input
from switchbench.methods.parts.noise import NoiseTable
from switchbench.methods.parts.paths import Paths

GATES = "gates"


class HardConcreteGate(nn.Module):
    """Parametrization W ↦ W ⊙ gate: sampled in training, without noise in evaluation."""

    last_sample: Tensor

    def __init__(self, logits: Tensor, noise: NoiseTable) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.noise = noise
        self.resample = True
        self.register_buffer("last_sample", torch.ones_like(logits))

    def forward(self, weight: Tensor) -> Tensor:
        if not self.training:
            return weight * concrete.mean(self.logits)
        if not self.resample:
            return weight * self.last_sample
        gate = concrete.sample(self.logits, self.noise.draw(self.logits))
        with torch.no_grad():
            # Kept outside of a CUDA graph, whose results the next step overwrites.
            self.last_sample.copy_(gate)
        return weight * gate


@register("l0")
class L0(LearnedParametrization[HardConcreteGate]):
    """L0 regularisation by hard concrete gates, one per weight or per neuron; learns its density.

    Louizos, Welling & Kingma 2018, *Learning Sparse Neural Networks through L0 Regularization*.
    One sample of gates serves ``every`` batches, and the gates learn in the first of them. With
    units ``neuron`` a gate switches the weights that read one unit, and connections that then lead
    nowhere are removed too.

    Defaults: chosen at 2 % under Adam (Fashion-MNIST, validation images).
    """

    class Config(Method.Config):
        units: Units = option("connection", "what one gate switches")
        strength: float = option(
            5e-5,
            "weight of the expected number of open weights in the loss",
            search=(1e-6, 1e-4),
            log=True,
            ge=0,
        )
        start: float = option(
            0.6,
            "sigmoid of the gates' first logits; 0.6 leaves 88 % of the gates open",
            search=(0.2, 0.9),
            gt=0,
            lt=1,
        )
        every: int = option(2, "steps that share a sample of gates; 1, the paper's, takes more time", ge=1)
        gate_lr: float = option(
            3.5e-2, "the gates' learning rate (adam)", search=(3e-3, 1e-1), log=True, gt=0
        )

    @classmethod
    def granularity(cls, config: Any) -> Granularity:
        units: Units = config.units
        return units

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        self.paths = Paths(self.network, batch[0])
        largest = max(weight.numel() for weight in self.weights.values())
        self.noise = NoiseTable(concrete.logistic, batch[0].device, largest)
        super().setup(batch)

    def make(self, weight: Tensor) -> HardConcreteGate:
        neurons = self.config.units == "neuron"
        noise = torch.randn(weight.shape[1:2] if neurons else weight.shape, generator=self.generator)
        logits = 0.01 * noise.to(weight.device) + math.log(self.config.start / (1 - self.config.start))
        return HardConcreteGate(per_input(logits, weight) if neurons else logits, self.noise)

    def group(self, parameters: list[nn.Parameter]) -> ParameterGroup:
        return ParameterGroup(GATES, parameters, optimizer="adam", lr=self.config.gate_lr)

    def learning(self, progress: Progress) -> Collection[str]:
        return {WEIGHTS, OTHERS, GATES} if self._samples(progress) else {WEIGHTS, OTHERS}

    def before_step(self, progress: Progress) -> None:
        for gate in self.learned.values():
            gate.resample = self._samples(progress)

    def penalty(self, progress: Progress) -> Tensor | None:
        """Return the expected number of open weights; a neuron's gate counts for all of its weights."""
        if not self._samples(progress):
            return None
        expected = [
            concrete.expected_open(gate.logits) * (self.weights[name].numel() // gate.logits.numel())
            for name, gate in self.learned.items()
        ]
        return self.config.strength * torch.stack(expected).sum()

    def _samples(self, progress: Progress) -> bool:
        """Tell whether gates are sampled and learn in this step."""
        return progress.every(self.config.every, start=1)

    def finalise(self) -> None:
        super().finalise()
        if self.config.units == "neuron":
            self.paths.remove_dead(self.layers)
