"""Schedules, groups that rest, and step sizes, against PyTorch and by hand."""

import copy
import re
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from switchbench.methods import ParameterGroup
from switchbench.spec.training import TrainingConfig
from switchbench.trial.learning_rate import lr_factor
from switchbench.trial.optimisers import Optimisers


def test_schedules() -> None:
    def factors(**fields: Any) -> list[float]:
        config = TrainingConfig(epochs=1, **fields)
        return [lr_factor(config, passed) for passed in (0.0, 0.25, 0.5, 0.75, 0.9)]

    assert factors(schedule="constant") == [1] * 5
    assert factors(schedule="cosine") == pytest.approx([1, 0.853553, 0.5, 0.146447, 0.024472], abs=1e-6)
    assert factors(schedule="linear", decay=0.5) == pytest.approx([1, 1, 1, 0.5, 0.2])
    assert factors(schedule="step") == pytest.approx([1, 1, 0.1, 0.01, 0.01])


def test_length() -> None:
    assert TrainingConfig(epochs=3, batch_size=128).length(1293) == (33, 11)
    assert TrainingConfig(steps=40, batch_size=128).length(1293) == (40, 11)


@pytest.mark.parametrize(
    "fields", [{}, {"epochs": 1, "steps": 1}, {"epochs": 1, "momentum": 0.9}, {"epochs": 0}]
)
def test_bad_training(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainingConfig(**fields)


def three(**fields: Any) -> tuple[Optimisers, dict[str, nn.Parameter]]:
    parameters = {name: nn.Parameter(torch.ones(3)) for name in ("weights", "others", "reader")}
    own = {name: [parameters[name]] for name in ("weights", "others")}
    extra = [ParameterGroup("reader", [parameters["reader"]], "sgd", 0.25)]
    return Optimisers(TrainingConfig(epochs=1, **fields), own, extra), parameters


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_resting_groups_do_not_move(optimizer: str) -> None:
    optimisers, parameters = three(optimizer=optimizer, lr=0.1)
    for learning in ({"weights", "others"}, {"reader"}, {"weights"}, None):
        before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        optimisers.select(learning)
        sum((p.square().sum() for p in parameters.values()), torch.zeros(())).backward()
        optimisers.step(1.0)
        moved = {name for name, parameter in parameters.items() if not torch.equal(parameter, before[name])}
        assert moved == (learning or set(parameters))
        assert all(parameter.grad is None for parameter in parameters.values())


@pytest.mark.parametrize(
    ("optimizer", "kind", "settings"),
    [
        ("sgd", torch.optim.SGD, {}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9}),
        ("adam", torch.optim.Adam, {}),
        ("adamw", torch.optim.AdamW, {}),
    ],
)
def test_steps_are_those_of_torch(optimizer: Any, kind: Any, settings: dict[str, float]) -> None:
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(40, 30)), nn.Parameter(torch.randn(30))]
    theirs = [nn.Parameter(parameter.detach().clone()) for parameter in ours]
    config = TrainingConfig(epochs=1, optimizer=optimizer, lr=0.1, weight_decay=0.01, **settings)
    optimisers = Optimisers(config, {"weights": ours[:1], "others": ours[1:]}, [])
    reference = kind(theirs, 0.1, weight_decay=0.01, fused=True, **settings)
    for step in range(6):
        factor = 1 - step / 6
        optimisers.select({"weights"} if step == 3 else None)
        theirs[1].requires_grad_(step != 3)
        for parameters in (ours, theirs):
            sum((p.square().sum() for p in parameters), torch.zeros(())).backward()
        reference.param_groups[0]["lr"] = factor * 0.1
        reference.step()
        reference.zero_grad()
        optimisers.step(factor)
        assert all(torch.equal(own, other) for own, other in zip(ours, theirs, strict=True))


def test_momentum_begins_when_a_parameter_first_learns() -> None:
    parameters = {name: nn.Parameter(torch.ones(2)) for name in ("weights", "others")}
    groups = {name: [parameter] for name, parameter in parameters.items()}
    config = TrainingConfig(epochs=1, optimizer="sgd", lr=0.1, momentum=0.5)
    optimisers = Optimisers(config, groups, [])
    for learning in ({"weights"}, None, None):
        optimisers.select(learning)
        sum(((2 * p).sum() for p in parameters.values()), torch.zeros(())).backward()
        optimisers.step(1.0)
    torch.testing.assert_close(parameters["weights"].detach(), torch.full((2,), 1 - 0.1 * (2 + 3 + 3.5)))
    torch.testing.assert_close(parameters["others"].detach(), torch.full((2,), 1 - 0.1 * (2 + 3)))


def test_unknown_and_doubled_groups_are_refused() -> None:
    optimisers, _ = three()
    with pytest.raises(ValueError, match=r"unknown parameter groups \['gates'\]; known: "):
        optimisers.select({"gates"})
    with pytest.raises(ValueError, match="should have unique names"):
        Optimisers(
            TrainingConfig(epochs=1),
            {"weights": [nn.Parameter(torch.ones(1))]},
            [ParameterGroup("weights", [], "sgd", 0.1)],
        )


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"optimizer": "lion"}, "parameter group 'gates': unknown optimizer 'lion'"),
        ({"lr": -0.1}, "parameter group 'gates': lr -0.1 should be at least 0"),
        ({"lr": float("nan")}, "parameter group 'gates': lr nan should be at least 0"),
        ({"momentum": -1.0}, "parameter group 'gates': momentum -1.0 should be at least 0"),
        ({"weight_decay": -1.0}, "parameter group 'gates': weight_decay -1.0 should be at least 0"),
        ({"parameters": [2 * nn.Parameter(torch.ones(1))]}, "tensors that no operation has computed"),
        ({"parameters": [1.0]}, "tensors that no operation has computed"),
        ({"parameters": 2 * [nn.Parameter(torch.ones(1))]}, "parameter group 'gates' has a parameter twice"),
    ],
)
def test_groups_that_would_learn_wrongly_are_refused(given: dict[str, Any], problem: str) -> None:
    settings: dict[str, Any] = {"name": "gates", "parameters": [], "optimizer": "sgd", "lr": 0.1} | given
    with pytest.raises(ValueError, match=re.escape(problem)):
        ParameterGroup(**settings)


@pytest.mark.parametrize(
    ("optimizer", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("adam", 0.0), ("adamw", 0.0)]
)
def test_a_stored_state_continues_to_the_same_bits(optimizer: str, momentum: float) -> None:
    def trained(resumed_at: int | None) -> dict[str, nn.Parameter]:
        optimisers, parameters = three(optimizer=optimizer, momentum=momentum, lr=0.1)
        for step in range(6):
            if step == resumed_at:
                stored = copy.deepcopy(optimisers.state_dict())
                values = {name: parameter.detach().clone() for name, parameter in parameters.items()}
                optimisers, parameters = three(optimizer=optimizer, momentum=momentum, lr=0.1)
                optimisers.load_state_dict(stored)
                for name, value in values.items():
                    parameters[name].data.copy_(value)
            optimisers.select({"weights"} if step == 2 else None)
            sum(((p + step).square().sum() for p in parameters.values()), torch.zeros(())).backward()
            optimisers.step(1.0)
        return parameters

    whole, resumed = trained(None), trained(3)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_momentum_and_weight_decay_of_the_network_are_not_the_methods() -> None:
    optimisers, parameters = three(optimizer="sgd", lr=0.1, momentum=0.9, weight_decay=0.5)
    for parameter in parameters.values():
        parameter.grad = torch.zeros(3)
    optimisers.step(1.0)
    assert not torch.equal(parameters["weights"], torch.ones(3))
    assert torch.equal(parameters["reader"], torch.ones(3))


def test_step_size_of_adam_is_the_step_over_the_gradient_estimate() -> None:
    optimisers, parameters = three(optimizer="adam", lr=0.1)
    weight = parameters["weights"]
    for gradient in (torch.tensor([1.0, 2.0, 4.0]), torch.tensor([3.0, -1.0, 0.5])):
        before = weight.detach().clone()
        weight.grad = gradient.clone()
        optimisers.step(0.5)
    mean = (0.1 * 0.9 * torch.tensor([1.0, 2.0, 4.0]) + 0.1 * gradient) / (1 - 0.9**2)
    assert torch.allclose(before - weight, optimisers.step_size(weight) * mean, rtol=1e-4)


def test_step_size_of_sgd_is_the_learning_rate() -> None:
    optimisers, parameters = three(optimizer="sgd", lr=0.1)
    parameters["weights"].grad = torch.ones(3)
    optimisers.step(0.5)
    assert optimisers.step_size(parameters["weights"]) == pytest.approx(0.05)
