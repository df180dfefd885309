"""MobileNet v1, implemented here because torchvision has none, and v2 as torchvision builds it."""

from typing import Any

import torch
from torch import Tensor, nn

from switchbench.methods import option
from switchbench.networks.parts import StemConfig, initialise_convolutions
from switchbench.networks.registry import InputShape, Network, register

BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Output channels and stride of each depthwise separable convolution of v1."""
INVERTED_RESIDUALS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion factor, output channels, number of blocks and first stride of each stage of v2."""


@register("mobilenet")
class MobileNet(Network, nn.Module):
    """MobileNet v1 (Howard et al. 2017), width 1; on small images the first convolution has no stride."""

    class Config(StemConfig):
        pass

    def __init__(self, input_shape: InputShape, classes: int, config: Config) -> None:
        super().__init__()
        channels = 32
        stages = [_convolution(input_shape[0], channels, 3, 1 if config.is_small(input_shape) else 2)]
        for outputs, stride in BLOCKS:
            depthwise = _convolution(channels, channels, 3, stride, groups=channels)
            stages.append(nn.Sequential(*depthwise, *_convolution(channels, outputs, 1)))
            channels = outputs
        self.features = nn.Sequential(*stages)
        self.classifier = nn.Linear(channels, classes, bias=config.bias)
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        logits: Tensor = self.classifier(torch.mean(self.features(images), (2, 3)))
        return logits


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution that keeps the resolution at stride 1, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


@register("mobilenet-v2")
class MobileNetV2(Network):
    """MobileNet v2 (Sandler et al. 2018); for small images its first two strides are 1."""

    class Config(StemConfig):
        dropout: float = option(0.2, "share of the last features that is dropped in training", ge=0, lt=1)

    @classmethod
    def build(cls, input_shape: InputShape, classes: int, config: Config) -> nn.Module:
        from torchvision.models.mobilenetv2 import MobileNetV2 as TorchvisionMobileNetV2

        small = config.is_small(input_shape)
        stages = [[t, c, n, 1 if small and c == 24 else s] for t, c, n, s in INVERTED_RESIDUALS]
        network: Any = TorchvisionMobileNetV2(
            classes, inverted_residual_setting=stages, dropout=config.dropout
        )
        stem = nn.Conv2d(input_shape[0], 32, 3, 1 if small else 2, padding=1, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out")
        network.features[0][0] = stem
        if not config.bias:
            network.classifier[1].bias = None
        built: nn.Module = network
        return built
