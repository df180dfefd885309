"""Methods that hold weights to a mask, without a parametrization: zeros are written in place."""

import torch
from torch import Tensor

from switchbench.methods.contract import Method, Progress


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
        self._apply()

    def after_step(self, progress: Progress) -> None:
        self._apply()

    @torch.no_grad()
    def _apply(self) -> None:
        for name, mask in (self.masks or {}).items():
            self.weights[name].mul_(mask)
