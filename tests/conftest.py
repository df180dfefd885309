"""Shared fixtures. Ray writes no token into the home folder during tests."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from switchbench.datasets import MissingData, load
from switchbench.methods import METHODS
from switchbench.spec.trial import TrialConfig

os.environ["RAY_AUTH_MODE"] = "disabled"

MakeConfig = Callable[..., TrialConfig]


def make_config(method: Any = "dense", density: float | None = None, **changes: Any) -> TrialConfig:
    """A small trial on digits; methods that take a target get 0.1 unless told otherwise."""
    name = method if isinstance(method, str) else method["method"]
    options = (
        {} if isinstance(method, str) else {k: v for k, v in method.items() if k not in ("method", "label")}
    )
    if density is None and METHODS[name].takes_target(METHODS[name].Config(**options)):
        density = 0.1
    fields: dict[str, Any] = {
        "network": {"network": "mlp", "hidden": [20, 12]},
        "dataset": "digits",
        "method": method,
        "density": density,
        "training": {"steps": 60, "batch_size": 64},
    }
    return TrialConfig.of(**(fields | changes))


@pytest.fixture(name="make_config", scope="session")
def make_config_fixture() -> MakeConfig:
    return make_config


@pytest.fixture
def spec() -> dict[str, Any]:
    """Plain values of a small comparison."""
    return {
        "name": "small",
        "networks": [{"network": "mlp", "label": "mlp-20", "hidden": [20]}],
        "datasets": ["digits"],
        "methods": ["dense", "random", "magnitude"],
        "densities": [0.2, 0.1],
        "seeds": 2,
        "training": {"steps": 20, "batch_size": 64},
    }


@pytest.fixture(scope="session")
def fashion_mnist() -> Any:
    """The real data set; tests that need it are skipped with a reason where it is not."""
    try:
        return load("fashion-mnist")
    except MissingData as missing:
        pytest.skip(str(missing))
