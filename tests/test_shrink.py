"""Dead units are taken out, and the outputs stay."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from switchbench.measure.shrink import shrink
from switchbench.spec.components import NetworkChoice


def sparse(network: nn.Module, density: float) -> nn.Module:
    """The network with random masks, and biases and norms that are not those of a fresh one."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            mask = torch.rand_like(module.weight) < density
            module.weight.data.mul_(mask).mul_(density**-0.5)
            if module.bias is not None:
                module.bias.data.normal_()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.get_buffer("running_mean").normal_()
            module.get_buffer("running_var").uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return network.eval()


def same_outputs(network: nn.Module, smaller: nn.Module, images: Tensor) -> bool:
    with torch.no_grad():
        return torch.allclose(network(images), smaller(images), atol=1e-5, rtol=1e-4)


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "density", "most"),
    [
        ("lenet-300-100", 0.004, 0.05),
        ("lenet-5", 0.02, 0.3),
        ({"network": "mlp", "hidden": [40, 30], "batch_norm": True}, 0.02, 0.8),
        ({"network": "vgg-16", "hidden": [64]}, 0.001, 0.5),
        ("resnet-18", 0.0005, 0.8),
        ("mobilenet", 0.005, 0.3),
        ("mobilenet-v2", 0.005, 0.3),
    ],
    ids=str,
)
def test_a_smaller_network_has_the_same_outputs(name: Any, density: float, most: float) -> None:
    network = sparse(NetworkChoice.model_validate(name).build((1, 32, 32), 10), density)
    images = torch.randn(8, 1, 32, 32)
    before = [parameter.clone() for parameter in network.parameters()]
    smaller = shrink(network, images[:1])
    assert size(smaller) < most * size(network)
    assert same_outputs(network, smaller, images)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_units_by_hand() -> None:
    """Of five hidden units one is not read, one is a constant 2, one a constant 0 behind the ReLU."""
    first, last = nn.Linear(3, 5), nn.Linear(5, 2)
    network = nn.Sequential(first, nn.ReLU(), last)
    with torch.no_grad():
        first.weight[1] = first.weight[2] = 0
        first.bias[1], first.bias[2] = 2.0, -1.0
        last.weight[:, 0] = 0
    smaller: Any = shrink(network, torch.zeros(1, 3))
    assert (smaller[0].out_features, smaller[2].in_features) == (2, 2)
    assert torch.allclose(smaller[2].bias, last.bias + 2 * last.weight[:, 1])
    assert torch.equal(smaller[0].weight, first.weight[3:])
    assert same_outputs(network, smaller, torch.randn(20, 3))


def test_a_constant_that_padding_cuts_off_at_the_border_stays() -> None:
    first, last = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 1, 3, padding=1)
    network = nn.Sequential(first, nn.ReLU(), last)
    with torch.no_grad():
        first.weight[0], first.get_parameter("bias")[0] = 0, 1.0
    images = torch.randn(4, 1, 5, 5)
    smaller: Any = shrink(network, images[:1])
    assert smaller[0].out_channels == 2
    last.padding = (0, 0)
    smaller = shrink(network, images[:1])
    assert smaller[0].out_channels == 1
    assert same_outputs(network, smaller, images)


def test_a_network_without_a_bias_gets_one_for_its_constants() -> None:
    first, last = nn.Linear(3, 2), nn.Linear(2, 2, bias=False)
    network = nn.Sequential(first, nn.ReLU(), last)
    with torch.no_grad():
        first.weight[0], first.bias[0] = 0, 1.0
    smaller: Any = shrink(network, torch.zeros(1, 3))
    assert smaller[0].out_features == 1
    assert torch.allclose(smaller[2].bias, last.weight[:, 0])
    assert same_outputs(network, smaller, torch.randn(20, 3))


def test_nothing_is_left_of_a_network_but_its_biases() -> None:
    network = sparse(NetworkChoice.model_validate("lenet-5").build((1, 28, 28), 10), 1e-9)
    images = torch.randn(3, 1, 28, 28)
    smaller = shrink(network, images[:1])
    assert size(smaller) < 1_000
    assert same_outputs(network, smaller, images)


class Joined(nn.Module):
    """Reads two layers side by side, and channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 6, 3), nn.Conv2d(1, 5, 3)
        self.three, self.last = nn.Linear(11, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.two(x).relu(), self.one(x).relu()], 1).permute(0, 2, 3, 1)
        out: Tensor = self.last(self.three(both).relu()).mean((1, 2))
        return out


@pytest.mark.parametrize("density", [0.3, 0.1, 0.03])
def test_joined_layers_and_channels_last(density: float) -> None:
    network = sparse(Joined(), density)
    images = torch.randn(8, 1, 6, 6)
    smaller = shrink(network, images[:1])
    assert same_outputs(network, smaller, images)


class Strange(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        out: Tensor = self.last(hidden * hidden.detach().sum(1, keepdim=True))
        return out


def test_a_network_that_cannot_be_followed_keeps_its_outputs() -> None:
    network = sparse(Strange(), 0.3)
    assert same_outputs(network, shrink(network, torch.ones(1, 4)), torch.randn(10, 4))
