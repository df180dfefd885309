"""Task networks by name: what methods sparsify. Each adapts to the images and classes of a data set.

Architectures live here, and which of their layers can be sparsified. Training, counting and the networks
inside methods do not.

May import: methods.

Importing this package registers the networks that ship with it; torchvision is imported when one of its
networks is built. To add a network, write a module with a class under :func:`register` and import it here,
or load it as a plug-in.
"""

from switchbench.networks.layers import prunable
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
    "prunable",
    "register",
]
