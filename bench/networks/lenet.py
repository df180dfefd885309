"""LeNet-5 in the two forms that the literature calls by this name."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from switchbench.networks.parts import HeadConfig, head
from switchbench.networks.registry import InputShape, Network, register


@register("lenet-5")
class LeNet5(Network, nn.Module):
    """LeNet-5 (LeCun et al. 1998) with ReLU and max pooling: 6 and 16 channels, 120-84; 61,706 parameters.

    Images of fewer than 32 pixels a side are padded by 2 pixels, as MNIST's are. Pruning papers that count
    431 thousand parameters mean ``lenet-5-caffe``.
    """

    class Config(HeadConfig):
        pass

    channels: ClassVar[tuple[int, int]] = (6, 16)
    """Of the two convolutions."""
    hidden: ClassVar[tuple[int, ...]] = (120, 84)
    """Widths of the head's hidden layers."""
    padded: ClassVar[bool] = True
    """Whether small images are padded."""

    def __init__(self, input_shape: InputShape, classes: int, config: Config) -> None:
        super().__init__()
        image_channels, *sides = input_shape
        padding = 2 if self.padded and min(sides) < 32 else 0
        height, width = (((side + 2 * padding - 4) // 2 - 4) // 2 for side in sides)
        if min(height, width) < 1:
            raise ValueError(f"images of {sides[0]}×{sides[1]} pixels are too small for two 5×5 convolutions")
        first, second = self.channels
        self.features = nn.Sequential(
            nn.Conv2d(image_channels, first, 5, padding=padding),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = head(second * height * width, self.hidden, classes, config.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        logits: Tensor = self.classifier(torch.flatten(self.features(images), 1))
        return logits


@register("lenet-5-caffe")
class LeNet5Caffe(LeNet5):
    """The LeNet-5 of Caffe and of pruning papers: 20 and 50 channels, 500; 431,080 parameters."""

    channels = (20, 50)
    hidden = (500,)
    padded = False
