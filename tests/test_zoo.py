"""Every network trains, on made-up images of its real shape and of another, with each kind of method."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from switchbench.networks import NETWORKS
from switchbench.spec.trial import TrialConfig
from switchbench.trial import plain_steps
from switchbench.trial.run import run_trial

REAL = {"lenet-300-100": (1, 28, 28), "lenet-5": (1, 28, 28), "lenet-5-caffe": (1, 28, 28)}
OPTIONS: dict[str, dict[str, Any]] = {
    "vgg-16": {"hidden": [64, 32]},  # the U-Net of 4096×4096 weights asks for gigabytes
    "torchvision": {"model": "shufflenet_v2_x0_5"},
}
LARGE = ("resnet-18", "vgg-16", "mobilenet", "mobilenet-v2")
METHODS = [("dense", None), ("magnitude", 0.1), ("switcher", 0.1), ("switcher-paper", None)]


@pytest.fixture(autouse=True)
def few_plain_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """One timed step of the plain copy: ten would take longer than the training does here, and have tests of
    their own."""
    monkeypatch.setattr(plain_steps, "WARM_UP", 0)
    monkeypatch.setattr(plain_steps, "BURST", 1)


def cases() -> Iterator[Any]:
    """Every network with every method and every shape. The short suite has all pairs of two of these: each
    network with each method, and both with each shape; the other half is slow. So is ResNet-34, which is
    ResNet-18 with more blocks, the other shape of large networks, and most trainings with the papers' U-Net,
    which sees all networks alike."""
    for (row, network), (column, (method, density)) in product(
        enumerate(sorted(NETWORKS)), enumerate(METHODS)
    ):
        for real in (True, False):
            short = real == ((row + column) % 2 == 0) and network != "resnet-34"
            short = short and (real or network not in LARGE)
            short = short and (method != "switcher-paper" or network in ("mlp", "resnet-18"))
            marks = [] if short else [pytest.mark.slow]
            shape = "real" if real else "other"
            yield pytest.param(network, real, method, density, marks=marks, id=f"{network}-{shape}-{method}")


@pytest.mark.parametrize(("network", "real", "method", "density"), cases())
def test_a_network_trains(network: str, real: bool, method: str, density: float | None) -> None:
    shape = REAL.get(network, (3, 32, 32)) if real else (2, 36, 36)
    row = run_trial(
        TrialConfig.of(
            network={"network": network, **OPTIONS.get(network, {})},
            dataset={"dataset": "fake", "shape": shape, "train": 9, "test": 4},
            method=method,
            density=density,
            training={"epochs": 2, "batch_size": 8, "lr": 1e-3, "augment": {"crop": 2, "flip": True}},
        )
    ).row
    assert row["status"] == "ok"
    assert row["steps"] == 2
    if density:
        assert row["density"] == pytest.approx(density, rel=0.02, abs=2e-3)
