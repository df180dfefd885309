"""What several networks share: options, the choice of a form for small images, heads."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from switchbench.methods import option
from switchbench.networks.registry import InputShape, Network

SMALL = 64
"""Images of at most so many pixels a side are small."""


class HeadConfig(Network.Config):
    """Options of a network that ends in fully connected layers."""

    bias: bool = option(True, "whether fully connected layers have biases; the switcher paper's have none")


class StemConfig(HeadConfig):
    """Options of a network made for large images that has a form for small ones."""

    stem: Literal["auto", "small", "large"] = option(
        "auto", "large: the published first layers; small: without their strides; auto: small up to 64 pixels"
    )

    def small(self, input_shape: InputShape) -> bool:
        """Whether images of that shape get the small form."""
        return self.stem == "small" or (self.stem == "auto" and max(input_shape[1:]) <= SMALL)


def head(inputs: int, hidden: Sequence[int], classes: int, bias: bool, dropout: float = 0.0) -> nn.Sequential:
    """Fully connected layers with ReLU (and dropout, if any) between them."""
    modules: list[nn.Module] = []
    for width in hidden:
        modules += [nn.Linear(inputs, width, bias=bias), nn.ReLU()]
        modules += [nn.Dropout(dropout)] if dropout else []
        inputs = width
    return nn.Sequential(*modules, nn.Linear(inputs, classes, bias=bias))


def initialise_convolutions(network: nn.Module) -> None:
    """Normal initialisation by fan-out (He et al. 2015), zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
