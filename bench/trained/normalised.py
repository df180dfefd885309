"""Networks that normalise images themselves."""

from torch import Tensor, nn


class Normalised(nn.Module):
    """A network that takes pixel values from 0 to 255, and normalises them as in its training.

    Its state dict holds ``mean`` and ``std``, float32 (channels, 1, 1), and the network's under ``network``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits (n, classes) of pixel values (n, channels, height, width), uint8 or floats."""
        logits: Tensor = self.network(pixels.float().sub(self.mean).div(self.std))
        return logits
