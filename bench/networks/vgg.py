"""VGG. Our own, because the head of torchvision's holds 7×7 pixels whatever the image."""

import torch
from torch import Tensor, nn

from switchbench.methods import option
from switchbench.networks.parts import HeadConfig, head, initialise_convolutions
from switchbench.networks.registry import InputShape, Network, Width, register

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of 3×3 convolutions of each stage, which ends with 2×2 max pooling."""
GRID = 7
"""Pixels a side that reach the head at most, by average pooling."""


@register("vgg-16")
class VGG16(Network, nn.Module):
    """VGG-16 (Simonyan & Zisserman 2014) with its 4096-4096 head; `hidden: []` for the one-layer head.

    The head takes the pixels that are left: one of 32×32 images, 7×7 of 224×224 ones. A pooling that would
    leave none (the fifth, for 28×28) is left out.
    """

    class Config(HeadConfig):
        batch_norm: bool = option(
            True, "whether convolutions have a batch norm before their ReLU; the published ones have none"
        )
        hidden: tuple[Width, ...] = option(
            (4096, 4096), "widths of the head's hidden layers; none: one fully connected layer"
        )
        dropout: float = option(0.5, "share of the head's hidden units dropped in training", ge=0, lt=1)

    def __init__(self, input_shape: InputShape, classes: int, config: Config) -> None:
        super().__init__()
        channels, height, width = input_shape
        modules: list[nn.Module] = []
        for wide, count in STAGES:
            for _ in range(count):
                norm = [nn.BatchNorm2d(wide)] if config.batch_norm else []
                modules += [nn.Conv2d(channels, wide, 3, padding=1), *norm, nn.ReLU()]
                channels = wide
            if min(height, width) > 1:
                modules.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
        self.features = nn.Sequential(*modules)
        grid = min(height, GRID), min(width, GRID)
        self.avgpool = nn.AdaptiveAvgPool2d(grid)
        inputs = channels * grid[0] * grid[1]
        self.classifier = head(inputs, config.hidden, classes, config.bias, config.dropout)
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        logits: Tensor = self.classifier(torch.flatten(self.avgpool(self.features(images)), 1))
        return logits
