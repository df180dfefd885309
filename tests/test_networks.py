"""Networks hold the published counts, in their published and in their small-image forms."""

import doctest
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from switchbench.errors import InputError
from switchbench.measure import counting
from switchbench.methods.parts.paths import Paths
from switchbench.networks import NETWORKS, layers, parts
from switchbench.spec.components import NetworkChoice

MNIST, CIFAR, IMAGENET = (1, 28, 28), (3, 32, 32), (3, 224, 224)

PUBLISHED: list[tuple[Any, tuple[int, int, int], int, float, float]] = [
    # network, image, classes, millions of parameters, billions of multiply-accumulates
    ("lenet-300-100", MNIST, 10, 0.266_610, 0.000_266_2),
    ("lenet-5", MNIST, 10, 0.061_706, 0.000_416_5),
    ("lenet-5-caffe", MNIST, 10, 0.431_080, 0.002_293),
    ("resnet-18", CIFAR, 10, 11.17, 0.56),
    ("resnet-34", CIFAR, 10, 21.28, 1.16),
    ("resnet-18", IMAGENET, 1000, 11.69, 1.81),
    ("resnet-34", IMAGENET, 1000, 21.80, 3.66),
    ({"network": "vgg-16", "batch_norm": False}, IMAGENET, 1000, 138.36, 15.47),
    ({"network": "vgg-16", "hidden": []}, CIFAR, 10, 14.73, 0.31),
    ({"network": "vgg-16", "batch_norm": False}, CIFAR, 10, 33.64, 0.33),
    ("mobilenet", IMAGENET, 1000, 4.2, 0.57),
    ("mobilenet", CIFAR, 10, 3.22, 0.05),
    ("mobilenet-v2", IMAGENET, 1000, 3.50, 0.30),
    ({"network": "torchvision", "model": "efficientnet_b0"}, IMAGENET, 1000, 5.29, 0.39),
]


def build(network: Any, shape: tuple[int, int, int], classes: int = 10, device: str = "cpu") -> nn.Module:
    with torch.device(device):
        return NetworkChoice.model_validate(network).build(shape, classes)


@pytest.mark.parametrize(("network", "shape", "classes", "parameters", "macs"), PUBLISHED, ids=str)
def test_published_counts(
    network: Any, shape: tuple[int, int, int], classes: int, parameters: float, macs: float
) -> None:
    built = build(network, shape, classes, "meta")
    image = torch.zeros(1, *shape, device="meta")
    counted = counting.count_layers(built, image)
    for value, published in (
        (sum(p.numel() for p in built.parameters()) / 1e6, parameters),
        (sum(layer.macs for layer in counted.values()) / 1e9, macs),
    ):
        digits = len(f"{published:.7f}".rstrip("0").partition(".")[2])
        assert round(value, digits) == published
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        built.eval()(image)
    assert 2 * sum(layer.macs for layer in counted.values()) == flops.get_total_flops()


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"torchvision"}))
@pytest.mark.parametrize("shape", [MNIST, CIFAR, (2, 48, 40)])
def test_a_network_takes_images_of_other_sizes_channels_and_classes(name: str, shape: Any) -> None:
    built = build(name, shape, 7, "meta")
    assert built(torch.zeros(2, *shape, device="meta")).shape == (2, 7)


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"mlp", "torchvision"}))
def test_fully_connected_layers_do_without_biases_where_asked(name: str) -> None:
    for bias in (True, False):
        built = build({"network": name, "bias": bias}, CIFAR, device="meta")
        layers = [module for module in built.modules() if isinstance(module, nn.Linear)]
        assert [layer.bias is not None for layer in layers] == [bias] * len(layers)


def test_small_images_keep_their_resolution_and_large_ones_do_not() -> None:
    sizes: list[int] = []

    def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
        sizes.append(output.shape[-1])

    for stem, expected in (("auto", 32), ("small", 32), ("large", 8)):
        network: Any = build({"network": "resnet-18", "stem": stem}, CIFAR, device="meta")
        network.layer1.register_forward_hook(note)
        network(torch.zeros(2, *CIFAR, device="meta"))
        assert sizes.pop() == expected


@pytest.mark.parametrize("name", ["resnet-18", "vgg-16", "mobilenet", "mobilenet-v2", "lenet-5"])
def test_a_fresh_network_hands_on_a_signal_of_ordinary_size(name: str) -> None:
    torch.manual_seed(0)
    logits = build(name, MNIST)(torch.randn(8, *MNIST))
    assert 0.01 < logits.std() < 10


def test_a_torchvision_model_takes_grey_images() -> None:
    network = build({"network": "torchvision", "model": "mobilenet_v3_small"}, (1, 64, 64), 5)
    assert network(torch.zeros(2, 1, 64, 64)).shape == (2, 5)


def test_an_unknown_torchvision_model_gets_the_nearest_name() -> None:
    with pytest.raises(Exception, match=r"did you mean 'resnet50'"):
        NetworkChoice.model_validate({"network": "torchvision", "model": "resnet5"})


def test_too_small_images_are_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="images of 8×8 pixels are too small"):
        build("lenet-5", (1, 8, 8))


@pytest.mark.parametrize("name", ["lenet-5", "mobilenet-v2"])
def test_paths_of_neurons_can_be_followed(name: str) -> None:
    assert Paths(build(name, MNIST), torch.zeros(1, *MNIST))._can_be_followed


def test_a_network_that_cannot_take_the_images_is_an_error_before_anything_runs(
    spec: Any, tmp_path: Any
) -> None:
    import switchbench

    with pytest.raises(InputError, match=r"network 'lenet-5': images of 8×8 pixels are too small"):
        switchbench.run(spec | {"networks": ["lenet-5"]}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", [layers, parts])
def test_examples_in_docstrings_run(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
