"""Fully connected networks."""

import itertools
import math

from torch import nn

from switchbench.methods import option
from switchbench.networks.registry import InputShape, Network, Width, register


@register("mlp")
class MLP(Network, nn.Sequential):
    """Multilayer perceptron with ReLU and any hidden widths."""

    class Config(Network.Config):
        hidden: tuple[Width, ...] = option((300, 100), "widths of the hidden layers")
        bias: bool = option(True, "whether layers have biases")
        batch_norm: bool = option(False, "whether hidden layers have a batch norm before their ReLU")

    def __init__(self, input_shape: InputShape, classes: int, config: Config) -> None:
        widths = [math.prod(input_shape), *config.hidden]
        modules: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in itertools.pairwise(widths):
            norm = [nn.BatchNorm1d(outputs)] if config.batch_norm else []
            modules += [nn.Linear(inputs, outputs, bias=config.bias), *norm, nn.ReLU()]
        super().__init__(*modules, nn.Linear(widths[-1], classes, bias=config.bias))


@register("lenet-300-100")
class LeNet300100(MLP):
    """LeNet-300-100: inputs-300-100-classes with ReLU (LeCun et al. 1998; 784 inputs on MNIST)."""

    class Config(Network.Config):
        bias: bool = option(True, "whether layers have biases; the switcher paper has none")

    def __init__(self, input_shape: InputShape, classes: int, config: Config) -> None:
        super().__init__(input_shape, classes, MLP.Config(hidden=(300, 100), bias=config.bias))
