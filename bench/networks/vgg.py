"""VGG, implemented here because the head of torchvision's takes 7×7 pixels whatever the image."""

import torch
from torch import Tensor, nn

from switchbench.methods import option
from switchbench.networks.parts import HeadConfig, head, initialise_convolutions
from switchbench.networks.registry import InputShape, Network, Width, register

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Output channels and number of 3×3 convolutions of each stage. A stage ends with 2×2 max pooling."""
MAX_GRID = 7
"""Largest height and width, in pixels, that reach the head. Larger feature maps are average-pooled."""


@register("vgg-16")
class VGG16(Network, nn.Module):
    """VGG-16 (Simonyan & Zisserman 2014) with its 4096-4096 head; `hidden: []` for the one-layer head.

    The head takes the pixels that pooling leaves: 1×1 of 32×32 images, 7×7 of 224×224 images. A pooling that
    would leave no pixel (the fifth, for 28×28) is left out.
    """

    class Config(HeadConfig):
        batch_norm: bool = option(
            True, "whether convolutions have a batch norm before their ReLU; the published ones have none"
        )
        hidden: tuple[Width, ...] = option(
            (4096, 4096), "widths of the head's hidden layers; none: one fully connected layer"
        )
        dropout: float = option(
            0.5, "share of the head's hidden units that is dropped in training", ge=0, lt=1
        )

    def __init__(self, input_shape: InputShape, classes: int, config: Config) -> None:
        super().__init__()
        channels, height, width = input_shape
        modules: list[nn.Module] = []
        for outputs, count in STAGES:
            for _ in range(count):
                norm = [nn.BatchNorm2d(outputs)] if config.batch_norm else []
                modules += [nn.Conv2d(channels, outputs, 3, padding=1), *norm, nn.ReLU()]
                channels = outputs
            if min(height, width) > 1:
                modules.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
        self.features = nn.Sequential(*modules)
        grid = min(height, MAX_GRID), min(width, MAX_GRID)
        self.avgpool = nn.AdaptiveAvgPool2d(grid)
        inputs = channels * grid[0] * grid[1]
        self.classifier = head(inputs, config.hidden, classes, config.bias, config.dropout)
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        logits: Tensor = self.classifier(torch.flatten(self.avgpool(self.features(images)), 1))
        return logits
