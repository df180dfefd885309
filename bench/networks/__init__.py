"""Task networks by name. A network adapts its input and its output to the data set.

Importing this package registers the networks that ship with it; torchvision is imported when one of
its networks is built.
"""

from switchbench.networks.lenet import LeNet5, LeNet5Caffe
from switchbench.networks.mlp import MLP, LeNet300100
from switchbench.networks.mobilenet import MobileNet, MobileNetV2
from switchbench.networks.registry import NETWORKS, InputShape, Network, Width, register
from switchbench.networks.resnet import ResNet18, ResNet34
from switchbench.networks.torchvision_models import Torchvision
from switchbench.networks.vgg import VGG16

__all__ = [
    "MLP",
    "NETWORKS",
    "VGG16",
    "InputShape",
    "LeNet5",
    "LeNet5Caffe",
    "LeNet300100",
    "MobileNet",
    "MobileNetV2",
    "Network",
    "ResNet18",
    "ResNet34",
    "Torchvision",
    "Width",
    "register",
]
