"""Methods that hold weights to 0/1 masks: by zeros written in place, or by gates in front."""

import torch
from torch import Tensor, nn

from switchbench.methods.contract import Method, Progress
from switchbench.methods.parts.gates import Gate
from switchbench.methods.parts.layers import Layers


class MaskedMethod(Method):
    """Base of methods with a 0/1 mask per layer. Subclasses call :meth:`set_masks`.

    Weights out of the mask are set to zero after every step, so that forward, backward and
    optimiser run at dense speed and zeros are exact at any time.
    """

    masks: dict[str, Tensor] | None = None
    """Current masks by layer name; None while the network is dense."""

    def set_masks(self, masks: dict[str, Tensor]) -> None:
        """Switch to new masks at once."""
        self.masks = masks
        self.apply_masks()

    def after_step(self, progress: Progress) -> None:
        self.apply_masks()

    @torch.no_grad()
    def apply_masks(self) -> None:
        """Hold the weights to the masks."""
        for name, mask in (self.masks or {}).items():
            self.weights[name].mul_(mask)


class GatedMethod(MaskedMethod):
    """Base of methods whose masked weights keep their values, so that they can come back.

    The masks are gates (a parametrization), which also hand out the gradient that a masked weight
    would have.
    """

    def attach(self, network: nn.Module, layers: Layers, batch: tuple[Tensor, Tensor]) -> None:
        super().attach(network, layers, batch)
        self.gates = self.parametrize(lambda weight: Gate(weight, watch=True))

    def set_masks(self, masks: dict[str, Tensor]) -> None:
        self.masks = masks
        for name, mask in masks.items():
            self.gates[name].gate = mask

    def apply_masks(self) -> None:
        """Gates hold by themselves."""
