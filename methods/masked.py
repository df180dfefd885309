"""Bases of methods that hold weights to 0/1 masks: by zeros written in place, or by gates in front."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from switchbench.methods.contract import Method, Progress
from switchbench.methods.parts import distributions
from switchbench.methods.parts.gates import Gate
from switchbench.methods.parts.masks import Tensors, mask_gradients


class MaskedMethod(Method):
    """Base of methods with a 0/1 mask per layer. Subclasses call :meth:`set_masks`.

    Weights out of the mask are set to zero after every step, so that forward, backward and
    optimiser run at dense speed and zeros are exact at any time.
    """

    masks: Mapping[str, Tensor] = MappingProxyType({})
    """Current masks by layer name; empty while the network is dense."""

    @property
    def budget(self) -> int:
        """Number of connections at the target density."""
        return distributions.budget(self.weights, self.target)

    def set_masks(self, masks: Tensors) -> None:
        """Switch to new masks at once."""
        self.masks = masks
        self.apply_masks()

    def after_step(self, progress: Progress) -> None:
        self.apply_masks()

    @torch.no_grad()
    def apply_masks(self) -> None:
        """Set weights to zero where the masks are."""
        for name, mask in self.masks.items():
            self.weights[name].mul_(mask)

    @torch.no_grad()
    def mask_gradients(self) -> None:
        """Set gradients to zero where the masks are zero (:func:`masks.mask_gradients`)."""
        mask_gradients(self.weights, self.masks)

    def surviving(self, scores: Tensors) -> Tensors:
        """Return the scores with −∞ for every connection that is pruned already."""
        pruned = {name: ~mask.bool() for name, mask in self.masks.items()}
        return scores | {name: scores[name].masked_fill(off, -torch.inf) for name, off in pruned.items()}


class GatedMethod(MaskedMethod):
    """Base of methods whose masked weights keep their values, so that they can come back.

    The masks are gates (a parametrization), which also give the gradient that a masked weight
    would have.
    """

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        super().setup(batch)
        self.gates = self.parametrize(lambda weight: Gate(weight, watch=True))

    def set_masks(self, masks: Tensors) -> None:
        self.masks = masks
        for name, mask in masks.items():
            self.gates[name].gate.copy_(mask)  # in place: a CUDA graph reads it where it is

    def apply_masks(self) -> None:
        """Do nothing: gates hold by themselves."""
