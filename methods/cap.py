"""CAP: second-order pruning that corrects the weights that stay."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from switchbench.methods import window
from switchbench.methods.contract import Progress, register
from switchbench.methods.gradual import GradualPruning
from switchbench.methods.options import defaults, option
from switchbench.methods.parts import surgeon
from switchbench.methods.parts.masks import Tensors, flat, split


@register("cap")
class CAP(GradualPruning):
    """Gradual pruning by the optimal brain surgeon in blocks, which corrects the remaining weights.

    Kuznedelev et al. 2022, *CAP: Correlation-Aware Pruning for Highly-Accurate Sparse Vision Models*: within
    a block, the connections whose removal increases the loss least are removed one by one, and each time the
    others are adjusted. The increases rank the connections of all blocks. Then those to be pruned are removed
    together, and the weights that stay are adjusted. A block's Hessian is the damped empirical Fisher matrix
    of the gradients of the last ``samples`` batches. Blocks are formed of what is left, in the order of the
    layers.

    Defaults: the best of 24 points (docs/results/science-tuning), rounded.
    """

    @defaults(begin=0.2, end=0.85, power=6.0)
    class Config(GradualPruning.Config):
        updates: int = window.updates(20, needs={"schedule": ["cubic"]})
        samples: int = option(
            48, "number of batches whose gradients estimate the Hessian", search=(8, 64), log=True, ge=1
        )
        block: int = option(16, "number of connections of a block", search=(8, 64), log=True, ge=1)
        damping: float = option(
            0.5,
            "added to the Hessian's diagonal, as a multiple of its mean",
            search=(1e-4, 1.0),
            log=True,
            gt=0,
        )

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        super().setup(batch)
        vector = flat(self.weights)
        self.gradients = vector.new_zeros(self.config.samples, len(vector))
        self.event: list[Tensor] = []
        """While pruning: positions of the blocks' connections, 1 for each that exists, inverse Hessians."""

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor] | None:
        return super().standing_masks(progress)  # gradients are not needed any more

    @torch.no_grad()
    def after_backward(self, progress: Progress) -> None:
        if progress.past(self.config.window.end):
            return
        gradients = {name: weight.grad for name, weight in self.weights.items()}
        known = [gradient.flatten() for gradient in gradients.values() if gradient is not None]
        if len(known) == len(gradients):
            torch.cat(known, out=self.gradients[progress.step % self.config.samples])

    @torch.no_grad()
    def scores(self) -> Tensors:
        positions = self._positions()
        padding = -len(positions) % self.config.block
        index = F.pad(positions, (0, padding)).view(-1, self.config.block)
        real = F.pad(torch.ones_like(positions), (0, padding)).view_as(index).to(self.gradients.dtype)
        inverses = surgeon.inverse_fisher(self.gradients[:, index] * real, self.config.damping)
        self.event = [index, real, inverses]
        vector = flat(self.weights)
        losses = surgeon.removal_losses(vector[index] * real, inverses)
        return split(
            torch.zeros_like(vector).scatter_reduce_(0, index.flatten(), (losses * real).flatten(), "amax"),
            self.weights,
        )

    @torch.no_grad()
    def set_masks(self, masks: Tensors) -> None:
        if self.event:
            index, real, inverses = self.event
            vector = flat(self.weights)
            values = vector[index]
            found = surgeon.corrected(values * real, inverses, (1 - flat(masks)[index]) * real)
            change = torch.zeros_like(vector).index_add_(
                0, index.flatten(), ((found - values) * real).flatten()
            )
            for name, moved in split(change, self.weights).items():
                self.weights[name].add_(moved)
            self.event = []
        super().set_masks(masks)

    def _positions(self) -> Tensor:
        """Return the positions of the connections that are left, among those of all layers.

        On a GPU it is all of them: to learn how many are left, it would have to be waited for.
        """
        number = sum(weight.numel() for weight in self.weights.values())
        if not self.masks or self.gradients.device.type != "cpu":
            return torch.arange(number, device=self.gradients.device)
        return flat({name: self.masks[name] for name in self.weights}).nonzero().squeeze(1)
