"""ProbMask: keep-probabilities that learn within an exact budget."""

from typing import Any

import torch
from torch import Tensor, nn

from switchbench.methods import window
from switchbench.methods.contract import Method, ParameterGroup, Progress, register
from switchbench.methods.options import option
from switchbench.methods.parts import concrete, distributions
from switchbench.methods.parts.masks import flat, keep_top, split
from switchbench.methods.parts.noise import NoiseTable
from switchbench.methods.parts.pruning_schedules import Window
from switchbench.methods.window import WindowOptions

NEAR = 1e-4
"""Probabilities count as at least this far from 0 and 1 where their log odds are taken."""
ROUNDS = 16
"""Halvings of the interval in which the shift of a projection lies."""


class Relaxed(torch.autograd.Function):
    """W ⊙ σ((logit p + noise) / T): a relaxed sample of a mask, in few passes over the weights."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, p: Tensor, noise: Tensor, temperature: float) -> Tensor:
        inner = p.clamp(NEAR, 1 - NEAR)
        gate = inner.logit().add_(noise).mul_(1 / temperature).sigmoid_()
        ctx.save_for_backward(weight, gate, inner)
        ctx.temperature = temperature
        return weight * gate

    @staticmethod
    def backward(ctx: Any, by_gated: Tensor) -> tuple[Tensor, Tensor, None, None]:
        weight, gate, inner = ctx.saved_tensors
        slope = (1 - gate).mul_(gate).div_((1 - inner).mul_(inner)).mul_(1 / ctx.temperature)
        return by_gated * gate, slope.mul_(weight).mul_(by_gated), None, None


class RelaxedMask(nn.Module):
    """Parametrization W ↦ W ⊙ mask: a relaxed sample in training, the mask itself once it stands."""

    mask: Tensor

    def __init__(self, weight: Tensor, noise: NoiseTable) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.ones_like(weight))
        self.register_buffer("mask", torch.ones_like(weight))
        self.noise = noise
        self.temperature = 1.0
        self.stands = False

    def forward(self, weight: Tensor) -> Tensor:
        if self.stands or not self.training:
            return weight * self.mask
        gated: Tensor = Relaxed.apply(weight, self.p, self.noise.draw(self.p), self.temperature)
        return gated


@register("prob-mask")
class ProbMask(Method):
    """Keep-probabilities of all connections learn with the weights, within a budget of their sum.

    Zhou et al. 2021, *Effective Sparsification of Neural Networks with Global Sparsity Constraint*: each
    step samples a relaxed mask (Gumbel softmax, at a temperature that falls), and after each step the
    probabilities are projected to the nearest ones whose sum is within the budget, which falls on the
    schedule. A number for each connection learns and nothing is read, as in a switcher's free gates. From
    ``end`` on the mask is that of the highest probabilities, and weights alone learn.

    Different from the authors' code: the temperature falls geometrically until ``end``, and not linearly over
    the whole training.

    Defaults: magnitude's window; the rest as chosen by hand, where 24 points found nothing better
    (docs/results/science-tuning).
    """

    class Config(WindowOptions):
        begin: float = window.begin()
        end: float = window.end()
        power: float = window.power()
        cooling: float = option(
            0.03,
            "temperature of the masks at `end`; 1 at the start",
            search=(0.01, 0.3),
            log=True,
            gt=0,
            le=1,
        )
        gate_lr: float = option(
            6e-3, "the probabilities' learning rate (adam)", search=(1e-4, 5e-2), log=True, gt=0
        )

        @property
        def window(self) -> Window:
            return Window(self.begin, self.end, 1, self.power)

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        largest = max(weight.numel() for weight in self.weights.values())
        noise = NoiseTable(concrete.logistic, batch[0].device, largest)
        self.relaxed = self.parametrize(lambda weight: RelaxedMask(weight, noise))
        self.kept = distributions.budget(self.weights, 1.0)
        """Number of connections within the present budget."""

    def parameter_groups(self) -> list[ParameterGroup]:
        return [
            ParameterGroup("gates", [each.p for each in self.relaxed.values()], "adam", self.config.gate_lr)
        ]

    def before_step(self, progress: Progress) -> None:
        passed = min(1.0, progress.fraction / self.config.end)
        for each in self.relaxed.values():
            each.temperature = self.config.cooling**passed
            each.stands = progress.past(self.config.end)  # no checkpoint holds it

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        if progress.past(self.config.end):
            return
        density = self.config.window.density(progress.fraction, self.target)
        probabilities = {name: each.p for name, each in self.relaxed.items()}
        self.kept = distributions.budget(self.weights, density)
        projected = split(project(flat(probabilities), self.kept), probabilities)
        for name, each in self.relaxed.items():
            each.p.copy_(projected[name])
        if progress.fraction >= self.config.end:
            self._choose()
            for each in self.relaxed.values():
                each.stands = True

    @torch.no_grad()
    def before_evaluation(self) -> None:
        if not all(each.stands for each in self.relaxed.values()):
            self._choose()

    def _choose(self) -> None:
        """Make the mask that of the highest probabilities, as many as the budget has."""
        probabilities = {name: each.p.detach() for name, each in self.relaxed.items()}
        for name, mask in keep_top(probabilities, self.kept).items():
            self.relaxed[name].mask.copy_(mask)


def project(values: Tensor, budget: float) -> Tensor:
    """Return the nearest numbers in [0, 1] whose sum is at most a budget.

    They are the values less a shift, clamped. The shift is found by bisection.

    Args:
        values: (n,)
        budget: In (0, n].

    >>> project(torch.tensor([1.5, 0.75, 0.25, -1.0]), 1.5).round(decimals=3)
    tensor([1.0000, 0.5000, 0.0000, 0.0000])
    """
    low, high = values.new_zeros(()), values.max().clamp_min(0)
    shifted = torch.empty_like(values)
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        above = torch.sub(values, middle, out=shifted).clamp_(0, 1).sum() > budget
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    shift = torch.where(values.clamp(0, 1).sum() > budget, high, 0.0)
    return (values - shift).clamp_(0, 1)
