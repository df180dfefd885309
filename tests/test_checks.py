"""`switchbench check` of networks and data sets finds what is wrong with them, and nothing in ours."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from switchbench.datasets import DATASETS, Data, Images, MissingData
from switchbench.datasets.data import check as check_data
from switchbench.networks import NETWORKS, Network
from switchbench.plugins import check_dataset, check_network
from switchbench.plugins.load import registered_by
from switchbench.plugins.outcome import Outcome
from switchbench.spec.file import component


def problems(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.check: outcome.problem for outcome in outcomes if outcome.problem}


@pytest.mark.parametrize(
    "name", ["mlp", "lenet-300-100", "lenet-5", "lenet-5-caffe", "mobilenet", "resnet-18"]
)
def test_our_networks_pass(name: str) -> None:
    outcomes = check_network.check(component("network", name))
    assert problems(outcomes) == {}
    assert len(outcomes) == len(check_network.CHECKS)


class Base(Network, nn.Module):
    """A network of one layer."""

    def __init__(self, input_shape: Any, classes: int, config: Any) -> None:
        nn.Module.__init__(self)
        self.layer = nn.Linear(input_shape[0] * input_shape[1] * input_shape[2], classes)

    def forward(self, images: Any) -> Any:
        return self.layer(images.flatten(1))


class FixedClasses(Base):
    """Ignores the number of classes."""

    def __init__(self, input_shape: Any, classes: int, config: Any) -> None:
        super().__init__(input_shape, 10, config)


class Unseeded(Base):
    """Draws its weights from elsewhere."""

    def __init__(self, input_shape: Any, classes: int, config: Any) -> None:
        super().__init__(input_shape, classes, config)
        generator = torch.Generator()
        generator.seed()
        nn.init.normal_(self.layer.weight, generator=generator)


class Idle(Base):
    """Has a layer that it does not use."""

    def __init__(self, input_shape: Any, classes: int, config: Any) -> None:
        super().__init__(input_shape, classes, config)
        self.idle = nn.Linear(3, 3)


class Forgetful(Base):
    """Keeps what it computes with outside of its state."""

    def __init__(self, input_shape: Any, classes: int, config: Any) -> None:
        super().__init__(input_shape, classes, config)
        self.scale = float(torch.rand(()))

    def forward(self, images: Any) -> Any:
        return super().forward(images) * self.scale


class Mixing(Base):
    """Lets images of a batch influence each other in eval mode."""

    def forward(self, images: Any) -> Any:
        return super().forward(images - images.mean(0))


class Picky(Base):
    """Takes no image."""

    def forward(self, images: Any) -> Any:
        raise ValueError("I like none of these")


@pytest.mark.parametrize(
    ("network", "check", "problem"),
    [
        (FixedClasses, "answers with one number for each class", "2 classes give outputs (4, 10)"),
        (Unseeded, "is built by the seed alone", "differs in layer.weight"),
        (Idle, "has layers that can be sparse", "no part in the output: idle"),
        (Idle, "trains", "idle.weight gets no gradient"),
        (Forgetful, "can be stored", "its state dict does not hold all"),
        (Mixing, "answers alike in evaluation", "depends on the images beside it"),
        (Picky, "takes images", "I like none of these"),
    ],
)
def test_each_fault_of_a_network_is_named(
    network: type[Base], check: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "faulty", network)
    monkeypatch.setattr(network, "name", "faulty", raising=False)
    found = problems(check_network.check(component("network", "faulty")))
    assert problem in found[check]


def data(**changes: Any) -> Data:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 2
    train = Images(torch.randint(0, 256, (60, 1, 8, 8), dtype=torch.uint8, generator=generator), labels)
    test = Images(torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8, generator=generator), labels[:20])
    parts: dict[str, Any] = {"train": train, "test": test, "classes": 2}
    return Data(**(parts | changes))


def found_in(made: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    from switchbench.datasets import register

    @register("odd")
    def odd(folder: Path) -> Data:
        """Odd data."""
        found: Data = made() if callable(made) else made
        return found

    try:
        return problems(check_dataset.check(component("dataset", "odd")))
    finally:
        del DATASETS["odd"]
        from switchbench.datasets import forget_loaded

        forget_loaded()


def test_a_loader_that_fails_is_a_check_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Data:
        raise OSError("no such drive")

    (problem,) = found_in(broken, monkeypatch).values()
    assert re.fullmatch(r"OSError: no such drive \(test_checks.py:\d+\)", problem)


def test_our_data_pass() -> None:
    assert problems(check_dataset.check(component("dataset", "digits"))) == {}


def test_sound_data_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found_in(data(), monkeypatch) == {}


def test_each_oddity_of_data_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = data()
    labels = whole.train.labels
    from_one = Images(whole.train.images, labels + 1), Images(whole.test.images, whole.test.labels + 1)
    assert (
        "do the labels begin at 1?"
        in found_in(data(train=from_one[0], test=from_one[1], classes=3), monkeypatch)[
            "has every class in both parts"
        ]
    )
    leak = Images(whole.train.images[:20], whole.test.labels)
    assert found_in(data(test=leak), monkeypatch)["tests on other images than it trains on"].startswith(
        "20 of 20 test images"
    )
    shares = Images(whole.train.images // 255, labels)
    assert (
        "the largest pixel value is 1"
        in found_in(data(train=shares), monkeypatch)["uses the range of a byte"]
    )
    rare = Images(whole.train.images, torch.tensor([1] * 3 + [0] * 57))
    assert (
        "fewer than 10 training images: 1"
        in found_in(data(train=rare), monkeypatch)["has enough of each class"]
    )
    assert (
        "a second reading gives other train images"
        in found_in(
            lambda: data(train=Images(torch.randint(0, 256, (60, 1, 8, 8), dtype=torch.uint8), labels)),
            monkeypatch,
        )["loads the same again"]
    )


def test_labels_from_one_are_named_where_they_do_not_fit() -> None:
    whole = data()
    with pytest.raises(MissingData, match="labels should begin at 0, not at 1"):
        check_data("mine", data(train=Images(whole.train.images, whole.train.labels + 1)))
    with pytest.raises(MissingData, match="3 names for 2 classes"):
        check_data("mine", data(class_names=("a", "b", "c")))


def test_a_file_is_asked_for_all_that_it_registers(tmp_path: Path, without_plugins: None) -> None:
    file = tmp_path / "several.py"
    file.write_text(
        "from torch import nn\n"
        "from switchbench.networks import Network, register\n"
        "@register('one-layer')\n"
        "class OneLayer(Network, nn.Sequential):\n"
        '    """One layer."""\n'
        "    def __init__(self, input_shape, classes, config):\n"
        "        super().__init__(nn.Flatten(), nn.LazyLinear(classes))\n"
    )
    assert registered_by(str(file)) == {"network": ["one-layer"]}
    assert registered_by("magnitude") == {"method": ["magnitude"]}
    assert registered_by("digits") == {"dataset": ["digits"]}
