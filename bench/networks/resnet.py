"""Residual networks (He et al. 2015), as torchvision builds them."""

from typing import ClassVar

from torch import nn

from switchbench.networks.parts import StemConfig
from switchbench.networks.registry import InputShape, Network, register


@register("resnet-18")
class ResNet18(Network):
    """ResNet-18 (He et al. 2015); on small images the first convolution is 3×3, without stride or pooling."""

    class Config(StemConfig):
        pass

    blocks: ClassVar[tuple[int, int, int, int]] = (2, 2, 2, 2)
    """Number of basic blocks of each stage."""

    @classmethod
    def build(cls, input_shape: InputShape, classes: int, config: Config) -> nn.Module:
        from torchvision.models.resnet import BasicBlock, ResNet

        network: nn.Module = ResNet(BasicBlock, [*cls.blocks], num_classes=classes)
        if config.is_small(input_shape):
            network.conv1 = nn.Conv2d(input_shape[0], 64, 3, padding=1, bias=False)
            network.maxpool = nn.Identity()
        else:
            network.conv1 = nn.Conv2d(input_shape[0], 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.fc = nn.Linear(512, classes, bias=config.bias)
        return network


@register("resnet-34")
class ResNet34(ResNet18):
    """ResNet-34 (He et al. 2015); on small images the first convolution is 3×3, without stride or pooling."""

    blocks = (3, 4, 6, 3)
