"""Every registered method keeps the contract."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from switchbench import accounting
from switchbench.errors import InputError
from switchbench.methods import METHODS, Method, register
from switchbench.trial import TrialResult, run_trial

NAMES = sorted(METHODS)
WITH_TARGET = [name for name in NAMES if METHODS[name].takes_target(METHODS[name].Config())]


@pytest.fixture(scope="module")
def results(make_config: Any) -> dict[str, TrialResult]:
    return {name: run_trial(make_config(name)) for name in NAMES}


@pytest.mark.parametrize("name", WITH_TARGET)
@pytest.mark.parametrize("density", [0.3, 0.07])
def test_meets_its_target_exactly(name: str, density: float, make_config: Any) -> None:
    result = run_trial(make_config(name, density))
    weights = [layer.weight for layer in accounting.layers_in(result.network, "fc").values()]
    total = sum(weight.numel() for weight in weights)
    assert sum(int(weight.count_nonzero()) for weight in weights) == round(density * total)
    assert result.row["density"] == round(density * total) / total


@pytest.mark.parametrize("name", NAMES)
def test_leaves_a_plain_network(name: str, results: dict[str, TrialResult], make_config: Any) -> None:
    network = results[name].network
    assert [type(module) for module in network] == [
        nn.Flatten,
        nn.Linear,
        nn.ReLU,
        nn.Linear,
        nn.ReLU,
        nn.Linear,
    ]
    assert set(network.state_dict()) == {f"{i}.{kind}" for i in (1, 3, 5) for kind in ("weight", "bias")}
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(isinstance(layer.weight, nn.Parameter) for layer in (network[1], network[3], network[5]))


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_bits(name: str, results: dict[str, TrialResult], make_config: Any) -> None:
    torch.randn(7)  # the state of the caller's generator must not matter
    again = run_trial(make_config(name))
    for key, tensor in results[name].network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[key]), key
    timeless = [key for key in again.row if key != "train_seconds"]
    assert [results[name].row[key] for key in timeless] == [again.row[key] for key in timeless]
    assert results[name].curves == again.curves


@pytest.mark.parametrize("name", NAMES)
def test_takes_every_step_of_the_budget(name: str, results: dict[str, TrialResult]) -> None:
    row = results[name].row
    assert row["steps"] == 60
    assert row["examples"] == 2 * 1293 + (60 - 2 * 21) * 64


@pytest.mark.parametrize("name", NAMES)
def test_learns_something(name: str, make_config: Any) -> None:
    options = {"method": name, "strength": 3e-4} if name == "l1" else name
    row = run_trial(make_config(options, 0.3 if name in WITH_TARGET else None, training={"epochs": 60})).row
    assert row["test_accuracy"] > 0.7


@pytest.mark.parametrize("name", NAMES)
def test_unknown_option_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        METHODS[name].Config(no_such_option=1)


@pytest.mark.parametrize("name", NAMES)
def test_search_ranges_hold_the_default_and_are_valid(name: str) -> None:
    for key, field in METHODS[name].Config.model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict), f"{key} is not declared with option()"
        if "search" in extra:
            low, high = extra["search"]
            assert low <= field.default <= high
            assert not extra["log"] or low > 0
            assert all(METHODS[name].Config(**{key: end}) for end in (low, high))


class TwoKinds(nn.Module):
    """A convolution out of scope, two linear layers in it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.hidden = nn.Linear(4 * 36, 16)
        self.out = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.out(self.hidden(self.conv(x).relu().flatten(1)).relu())
        return out


@pytest.mark.parametrize("name", WITH_TARGET)
def test_layers_out_of_scope_stay_dense(name: str, make_config: Any, monkeypatch: Any) -> None:
    from switchbench.networks import NETWORKS, Network

    class Registered(Network, TwoKinds):
        """Two kinds of layers."""

        def __init__(self, *_: object) -> None:
            super().__init__()

    monkeypatch.setitem(NETWORKS, "two-kinds", Registered)
    result = run_trial(make_config(name, network="two-kinds"))
    assert result.row["density"] == pytest.approx(0.1, abs=1e-3)
    assert int(result.network.conv.weight.count_nonzero()) == 36
    everything = run_trial(make_config(name, network="two-kinds", scope="all"))
    assert everything.row["density_prunable"] == everything.row["density"] == pytest.approx(0.1, abs=1e-3)


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="'dense' is taken"):

        @register("dense")
        class Another(Method):
            """Another method."""


def test_a_method_needs_a_description() -> None:
    with pytest.raises(ValueError, match="docstring"):

        @register("undocumented")
        class Undocumented(Method):
            pass


def test_density_goes_with_methods_that_take_one(make_config: Any) -> None:
    with pytest.raises(InputError, match=r"density: method 'dense' takes no target"):
        make_config("dense", 0.5)
    from switchbench.trial import TrialConfig

    with pytest.raises(InputError, match=r"density: method 'magnitude' needs a density"):
        TrialConfig.of(network="mlp", dataset="digits", method="magnitude", training={"steps": 1})
