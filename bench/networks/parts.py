"""What several networks share: options, the form for small images, heads, initialisation."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from switchbench.methods import option
from switchbench.networks.registry import InputShape, Network

SMALL_SIDE = 64
"""Images of at most this height and width, in pixels, are small."""


class HeadConfig(Network.Config):
    """Options of a network that ends in fully connected layers."""

    bias: bool = option(True, "whether fully connected layers have biases; the switcher paper's have none")


class StemConfig(HeadConfig):
    """Options of a network that was published for large images and has a form for small ones."""

    stem: Literal["auto", "small", "large"] = option(
        "auto", "large: the published first layers; small: without their strides; auto: small up to 64 pixels"
    )

    def is_small(self, input_shape: InputShape) -> bool:
        """Return whether the network gets the form for small images.

        Args:
            input_shape: Channels, height and width of one image, in pixels.
        """
        return self.stem == "small" or (self.stem == "auto" and max(input_shape[1:]) <= SMALL_SIDE)


def head(inputs: int, hidden: Sequence[int], classes: int, bias: bool, dropout: float = 0.0) -> nn.Sequential:
    """Build fully connected layers with ReLU, and dropout if any, between them.

    Args:
        inputs: Number of input features.
        hidden: Widths of the hidden layers; empty for a single layer.
        classes: Number of outputs.
        bias: Whether the layers have biases.
        dropout: Share of each hidden layer's units that is dropped in training, in [0, 1).

    Returns:
        A module that maps (n, inputs) to logits (n, classes).

    Example:
        >>> [layer.out_features for layer in head(400, (120, 84), 10, bias=True) if hasattr(layer, "weight")]
        [120, 84, 10]
    """
    modules: list[nn.Module] = []
    for width in hidden:
        modules += [nn.Linear(inputs, width, bias=bias), nn.ReLU()]
        modules += [nn.Dropout(dropout)] if dropout else []
        inputs = width
    return nn.Sequential(*modules, nn.Linear(inputs, classes, bias=bias))


def initialise_convolutions(network: nn.Module) -> None:
    """Initialise all 2-d convolutions: normal weights scaled by fan-out (He et al. 2015), zero biases.

    Weights are drawn from torch's default generator.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
