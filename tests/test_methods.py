"""Every registered method keeps the contract, and the checks that say so can fail."""

import functools
import random
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from torch import nn

from switchbench.errors import InputError
from switchbench.methods import METHODS, Layers, Method, Progress, option, register
from switchbench.methods.options import declared
from switchbench.plugins import conformance
from switchbench.plugins.conformance import CHECKS, Case
from switchbench.trial.outcomes import Skipped
from switchbench.trial.run import run_trial

NAMES = sorted(name for name, method in METHODS.items() if method.__module__.startswith("switchbench."))
cases = functools.cache(Case)
VARIANTS: dict[str, dict[str, Any]] = {
    "set": {"every": 10},
    "rigl": {"every": 10},
    "chts": {"every": 10, "magnitude": 0.3, "growth_sharpness": 0.8},
    "dst": {"every": 10, "floor": 0.9},
    "magnitude": {"schedule": "one-shot", "distribution": "erk"},
    "l1": {"meet_target": False},
    "l0": {"units": "neuron", "every": 3},
    "n-m": {"n": 1, "m": 8},
    "switcher-equivariant": {"gate": "hard_concrete", "reader": "row", "every": 5},
    "switcher-free-gates": {"units": "neuron", "every": 5},
    "switcher-shuffled-weights": {"gate": "relu", "sparsity": "penalty", "schedule": "epochs"},
}
"""Other options than the defaults: parts that those leave out, and events that they place too late
for so short a training."""


@functools.cache
def variants(name: str) -> Case:
    return Case(name, VARIANTS[name])


def keeps(check: Any, case: Case) -> None:
    """Run a check; it may skip nothing but convolutions."""
    try:
        check(case)
    except Skipped as reason:
        assert check is conformance.takes_convolutions
        pytest.skip(str(reason))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", NAMES)
def test_keeps_the_contract(name: str, check: str) -> None:
    keeps(CHECKS[check], cases(name))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", VARIANTS)
def test_keeps_the_contract_with_other_options(name: str, check: str) -> None:
    keeps(CHECKS[check], variants(name))


LEARNING = {
    name: pytest.param(
        name,
        20 if name == "switcher-paper" else 60,  # its U-Nets are slow, and learn in fewer
        # 60 epochs of U-Nets; the short suite has switcher-paper's, which are built alike
        marks=[pytest.mark.slow] if name == "switcher-neurons" else [],
    )
    for name in NAMES
}


@pytest.mark.parametrize(("name", "epochs"), LEARNING.values(), ids=LEARNING)
def test_learns_something(name: str, epochs: int, make_config: Any) -> None:
    options = {"strength": 3e-4} if name == "l1" else {}
    network = {"network": "mlp", "hidden": [40, 20], "batch_norm": name == "network-slimming"}
    config = make_config({"method": name, **options}, network=network, training={"epochs": epochs})
    if config.density is not None:
        config = config.model_copy(update={"density": 0.3})
    assert run_trial(config).row["test_accuracy"] > 0.3  # of ten classes


class Sloppy(Method):
    """A method that breaks one rule of the contract, which the class attribute says."""

    breaks = ""

    @classmethod
    def control_of(cls, config: Any) -> str | None:
        return "nothing" if cls.breaks == "control" else None

    def attach(self, network: nn.Module, layers: Layers, batch: Any) -> None:
        super().attach(network, layers, batch)
        self.counter = [0]
        if self.breaks == "scope" and hasattr(network, "conv"):
            network.get_parameter("conv.bias").data.mul_(0.9)
        if self.breaks == "module":
            network.register_forward_hook(lambda *_: None)
        if self.breaks == "state":
            self.secret = object()

    def after_step(self, progress: Progress) -> None:
        if self.breaks == "seed":
            next(iter(self.weights.values())).data.add_(random.random())
        if self.breaks == "state-lost":
            next(iter(self.weights.values())).data.mul_(1 - 1e-3 * self.counter[0])
            self.counter[0] += 1

    def state_dict(self) -> dict[str, Any]:
        if self.breaks == "state-unreadable":
            return {"array": np.zeros(2)}
        return {} if self.breaks == "state-lost" else super().state_dict()


@pytest.mark.parametrize(
    ("breaks", "check", "problem"),
    [
        ("", "meets its target", "target 0.3 gave density 1 instead of 0.3"),
        ("scope", "leaves other layers alone", "conv.bias of a layer out of scope has changed"),
        ("control", "controls a method that exists", "a control of 'nothing', which is not registered"),
        ("module", "leaves a plain network", "hooks are left on"),
        ("seed", "repeats itself", "a second run ended with a different"),
        ("state-unreadable", "resumes from a checkpoint", "its checkpoint cannot be read back"),
        ("state", "resumes from a checkpoint", "cannot checkpoint a object"),
        ("state-lost", "resumes from a checkpoint", "a resumed run ended with a different"),
    ],
)
def test_the_checks_catch_what_they_are_for(breaks: str, check: str, problem: str, monkeypatch: Any) -> None:
    class Broken(Sloppy):
        """Breaks a rule."""

    Broken.breaks, Broken.name = breaks, "broken"
    monkeypatch.setitem(METHODS, "broken", Broken)
    found = {outcome.check: outcome.problem for outcome in conformance.check("broken")}
    assert problem in str(found[check])
    assert found["declares its options"] is None


def test_what_a_method_skips_is_said(monkeypatch: Any) -> None:
    class Fussy(Method):
        """Takes no convolutions."""

        @classmethod
        def takes_target(cls, config: Any) -> bool:
            return False

        @classmethod
        def skip(cls, config: Any, network: nn.Module, layers: Layers) -> str | None:
            return "only linear" if any(isinstance(layer, nn.Conv2d) for layer in layers.values()) else None

    Fussy.name = "fussy"
    monkeypatch.setitem(METHODS, "fussy", Fussy)
    found = {outcome.check: outcome for outcome in conformance.check("fussy")}
    assert not any(outcome.problem for outcome in found.values())
    assert found["takes convolutions"].skipped == "only linear"
    assert [check for check, outcome in found.items() if outcome.skipped] == ["takes convolutions"]


def test_a_misspelt_bound_is_an_error() -> None:
    with pytest.raises(TypeError, match="minimum"):
        option(1.0, "an option", minimum=0)  # type: ignore[call-arg]


def test_options_that_are_not_declared_are_caught(monkeypatch: Any) -> None:
    class Loose(BaseModel):
        speed: float = 1.0

    class Undeclared(Method):
        """Options without option(), and any others as well."""

        Config = Loose  # type: ignore[assignment]

    Undeclared.name = "undeclared"
    monkeypatch.setitem(METHODS, "undeclared", Undeclared)
    found = {outcome.check: str(outcome.problem) for outcome in conformance.check("undeclared")}
    assert found["declares its options"] == "speed is not declared with option()"
    assert found["refuses unknown options"].startswith("Config accepts an unknown option")


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
    from switchbench.spec.trial import TrialConfig

    with pytest.raises(InputError, match=r"density: method 'magnitude' needs a density"):
        TrialConfig.of(network="mlp", dataset="digits", method="magnitude", training={"steps": 1})


def test_every_method_says_where_its_defaults_come_from() -> None:
    for name in NAMES:
        method = METHODS[name]
        options = method.Config
        searched = any("search" in declared(options, key) for key in options.model_fields)
        assert not searched or "Defaults: " in (method.__doc__ or ""), name
