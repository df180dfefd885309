"""SRigL: dynamic sparse training in which every neuron of a layer has as many connections."""

import torch
from torch import Tensor

from switchbench.methods.contract import Progress, register
from switchbench.methods.dynamic import RigL
from switchbench.methods.options import option
from switchbench.methods.parts.devices import move
from switchbench.methods.parts.masks import Tensors, keep_top
from switchbench.methods.parts.scores import magnitudes, random_scores


@register("srigl")
class SRigL(RigL):
    """RigL with a constant fan-in: all neurons of a layer that are on read as many inputs, give or take one.

    Lasby et al. 2023, *Dynamic Sparse Training with Structured Sparsity*: at a move the smallest connections
    of a layer are dropped as in RigL, and each neuron grows where its gradients are largest until it has its
    fan-in. Salient are the connections that are not dropped and those with the layer's largest gradients. A
    neuron that has fewer than the share ``salient`` of its fan-in is switched off for good, and its
    connections go to the others. The fan-in is rounded so that the layer keeps its number of connections. A
    weight that grows and gets no gradient in its first step is set to its initial value: zero would stay.

    Defaults: RigL's; the paper's share of salient connections.
    """

    class Config(RigL.Config):
        salient: float = option(
            0.3,
            "share of a neuron's fan-in that must be salient, or else it is switched off",
            search=(0.0, 0.9),
            ge=0,
            le=1,
        )

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        self.drawn = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self.has_moved = False
        """Whether connections moved in the last step."""
        super().setup(batch)

    def first_masks(self) -> Tensors:
        masks = {}
        for name, scores in random_scores(self.weights, self.generator).items():
            rows = scores.flatten(1)
            fan_in = fan_ins(torch.ones_like(rows[:, 0]), self.layer_budgets[name])
            masks[name] = self._highest(rows, fan_in).view_as(scores)
        return masks

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        super().after_step(progress)
        if self.has_moved:
            for name, weight in self.weights.items():
                weight.add_(self.drawn[name] * self.masks[name] * (weight == 0))
        self.has_moved = self._moves(progress)

    def _moved(self, growth: Tensors, share: float) -> Tensors:
        moved = {}
        for name, size in magnitudes(self.weights).items():
            budget = self.layer_budgets[name]
            number = int(share * budget)
            mask, size, grow = (each.flatten(1) for each in (self.masks[name], size, growth[name]))
            kept = keep_top({name: size.masked_fill(mask == 0, -1)}, {name: budget - number})[name]
            wanted = keep_top({name: grow.masked_fill(mask != 0, -torch.inf)}, {name: number})[name]
            on = self._on(mask, (kept + wanted).sum(1), budget)
            scores = torch.where(kept != 0, size + grow.max() + 1, grow)  # what is kept comes first
            moved[name] = self._highest(scores, fan_ins(on, budget)).view_as(self.masks[name])
        return moved

    def _on(self, mask: Tensor, salient: Tensor, budget: int) -> Tensor:
        """Return 1 for each neuron that stays on, 0 for others.

        Args:
            mask: (neurons, inputs).
            salient: Number of salient connections of each neuron.
            budget: Number of connections of the layer, which those that stay on must have room for.
        """
        before = mask.sum(1)
        enough = (before > 0) & (salient >= (self.config.salient * before).clamp_min(1))
        room = -(-budget // mask.shape[1])
        places = torch.where(before > 0, salient, -1.0).argsort(descending=True, stable=True).argsort()
        return (enough | (places < room)).to(mask.dtype)

    def _highest(self, scores: Tensor, fan_in: Tensor) -> Tensor:
        """Return 0/1 masks of the highest scores of each row, as many as its fan-in; ties at random."""
        order = torch.randperm(scores.shape[1], generator=self.generator)
        order = move(order, scores.device)
        places = scores[:, order].argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        mask = torch.empty_like(scores)
        mask[:, order] = (places < fan_in[:, None]).to(scores.dtype)
        return mask


def fan_ins(on: Tensor, budget: int) -> Tensor:
    """Return the number of connections of each neuron: as equal as a budget allows among those that are on.

    >>> fan_ins(torch.tensor([1.0, 0.0, 1.0, 1.0]), 8)
    tensor([3., 0., 3., 2.])
    """
    number = on.sum().clamp_min(1)
    base = torch.div(budget, number, rounding_mode="floor")
    extra = (on.cumsum(0) <= budget - base * number).to(on.dtype)
    return on * (base + extra)
