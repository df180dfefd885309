"""The base class that every method has: what it sets, what it stores, and what plug-ins may override."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from switchbench.methods import Magnitude, Method, Progress, option
from switchbench.methods.parts.pruning_schedules import Window
from switchbench.methods.parts.state import Constant

BATCH = (torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))


def attached(cls: type[Method], density: float | None = 0.5) -> Any:
    method = cls(cls.Config(), density, torch.Generator().manual_seed(0))
    layer = nn.Linear(4, 3)
    method.attach(nn.Sequential(layer), {"0": layer}, BATCH)
    return method


def test_setup_finds_network_layers_and_weights() -> None:
    class Setup(Method):
        class Config(Method.Config):
            scale: float = option(2.0, "factor")

        def setup(self, batch: tuple[Tensor, Tensor]) -> None:
            self.seen = [*self.layers], [*self.weights], batch[0].shape, self.config.scale

    assert attached(Setup).seen == (["0"], ["0"], (2, 4), 2.0)


def test_plug_ins_may_override_attach_as_before() -> None:
    class Old(Magnitude):
        def attach(self, network: nn.Module, layers: Any, batch: Any) -> None:
            super().attach(network, layers, batch)
            self.start = {name: weight.detach().clone() for name, weight in self.weights.items()}

    method = attached(Old)
    assert torch.equal(method.start["0"], method.weights["0"])
    assert method.pattern.unit == "connection"


def test_a_missing_target_is_an_error_that_names_the_method() -> None:
    assert attached(Magnitude).target == 0.5
    with pytest.raises(RuntimeError, match="Magnitude has no target density"):
        _ = attached(Magnitude, None).target


def test_only_constants_are_left_out_of_a_checkpoint() -> None:
    @dataclass(frozen=True)
    class Plan(Constant):
        length: int

    @dataclass(frozen=True)
    class Moving:
        length: int

    method = attached(Magnitude)
    method.plan, method.count = Plan(3), 5
    stored = method.state_dict()
    assert (stored["plan"], stored["count"]) == (None, 5)
    assert not {"config", "network", "layers", "weights", "density"} & stored.keys()
    again = attached(Magnitude)
    again.plan = Plan(3)
    again.load_state_dict(stored)
    assert (again.plan, again.count) == (Plan(3), 5)
    method.moving = Moving(3)
    with pytest.raises(TypeError, match=r"cannot checkpoint a Moving: .* or derive it from Constant"):
        method.state_dict()


def test_a_window_is_in_order() -> None:
    assert Window(0.5, 0.5, updates=1).density(0.5, final=0.1) == 0.1
    for begin, end, updates in ((0.6, 0.5, 1), (0.5, 0.5, 2)):
        with pytest.raises(ValueError, match=rf"begin {begin:g} must come before end {end:g}"):
            Window(begin, end, updates)


def test_every_and_due_by_hand() -> None:
    steps = [Progress(step, 12, 0) for step in range(1, 13)]
    assert [p.step for p in steps if p.every(5)] == [5, 10]
    assert [p.step for p in steps if p.every(5, start=1)] == [1, 6, 11]
    assert [p.step for p in steps if p.due(Window(0.25, 0.75, 2))] == [6, 9]
