"""Gates in front of weights, as a parametrization."""

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """Parametrization W ↦ W ⊙ gate; the method sets ``gate`` whenever it changes.

    ``gate`` has the weight's shape, or one that broadcasts to it. A switched-off weight gets no
    gradient but is not set to zero, so that it can be switched on again. An optimiser's momentum or
    weight decay may still move it.
    """

    gate: Tensor

    def __init__(self, like: Tensor, watch: bool = False) -> None:
        """Open all gates.

        Args:
            like: A tensor of the gates' shape, on their device.
            watch: Whether to keep :attr:`gradient`.
        """
        super().__init__()
        self.watch = watch
        self.passing = False
        """Whether weights pass unchanged, because they are zero in place where the gate is."""
        self.register_buffer("gate", torch.ones_like(like, requires_grad=False))
        self.gradient: Tensor | None = None
        """Gradient of the loss by W ⊙ gate in the last backward pass, switched-off entries included."""

    def forward(self, weight: Tensor) -> Tensor:
        if self.passing:
            return weight
        gated = weight * self.gate
        if self.watch and gated.requires_grad:
            gated.register_hook(self._keep)
        return gated

    def _keep(self, gradient: Tensor) -> None:
        self.gradient = gradient.detach()
