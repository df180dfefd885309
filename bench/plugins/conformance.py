"""Does a method keep the contract? Checks that every method must pass, other people's included.

Each check trains a small network on scikit-learn's digits for some steps and raises
:class:`Broken` with one line that says what is wrong.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from switchbench.errors import explain
from switchbench.methods import METHODS, Method
from switchbench.methods.options import declared, unmet
from switchbench.networks import NETWORKS, Network
from switchbench.row import columns
from switchbench.spec.scope import Scope
from switchbench.spec.trial import TrialConfig
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.control import Control
from switchbench.trial.run import TrialResult, run_trial
from switchbench.trial.unmeasured import Skipped

DENSITIES = (0.3, 0.07)
STEPS, EPOCHS = 60, 3
FROZEN = {"steps": STEPS, "batch_size": 64, "lr": 1e-12}
"""Training in which batch norms follow the images and hardly anything learns."""
PLAIN = {"network": "mlp", "hidden": [20, 12]}
NORMED = PLAIN | {"batch_norm": True}


class Broken(Exception):
    """The method breaks the contract; the message says how."""


@dataclass(frozen=True)
class Outcome:
    """What one check found."""

    check: str
    problem: str | None = None
    """None: passed, or skipped."""
    skipped: str | None = None
    """The method's reason why the check does not concern it."""


class Case:
    """A registered method, with other options than its defaults where ``options`` says so, on its
    small problem. Raises ValidationError if it does not take them."""

    def __init__(self, name: str, options: dict[str, Any] | None = None) -> None:
        self.method: type[Method] = METHODS[name]
        self.choice = {"method": name} | (options or {})
        self.options: Any = self.method.Config(**options or {})
        self.takes_target = self.method.takes_target(self.options)

    def config(self, density: float = 0.1, **changes: Any) -> TrialConfig:
        """A trial of the method."""
        fields: dict[str, Any] = {
            "network": changes.get("network") or self.network,
            "dataset": "digits",
            "method": self.choice,
            "density": density if self.takes_target else None,
            "training": {"steps": STEPS, "batch_size": 64},
        }
        return TrialConfig.of(**(fields | changes))

    @cached_property
    def network(self) -> dict[str, Any]:
        """A plain network, or one with batch norms where the method skips that. Raises Broken if it
        skips both."""
        for network in (PLAIN, NORMED):
            choice = self.config(network=network).network
            built = choice.build((1, 8, 8), 10)
            reason = self.method.skip(self.options, built, Scope(layers="fc").of(built))
            if not reason:
                return network
        raise Broken(f"skips fully connected networks: {reason}")

    @cached_property
    def first(self) -> TrialResult:
        """The method's first run, which others are compared with."""
        return run_trial(self.config())


def check(name: str, options: dict[str, Any] | None = None) -> list[Outcome]:
    """Run every check on a registered method, with its defaults or with other ``options``."""
    try:
        case = Case(name, options)
    except Exception as error:
        config = METHODS[name].Config
        said = explain(error, config) if isinstance(error, ValidationError) else _said(error)
        return [Outcome("takes its options", said)]
    outcomes = []
    for label, test in CHECKS.items():
        try:
            test(case)
            outcomes.append(Outcome(label))
        except Skipped as reason:
            outcomes.append(Outcome(label, skipped=str(reason)))
        except Exception as error:  # whatever a method raises is what it does wrong
            outcomes.append(Outcome(label, _said(error)))
    return outcomes


def meets_its_target(case: Case) -> None:
    """Connections: the target exactly. Neurons and blocks: no more than it. No target: a density is found."""
    for density in DENSITIES if case.takes_target else DENSITIES[:1]:
        row = run_trial(case.config(density)).row
        total = _size(_untrained(case), "fc")
        goal = round(density * total) / total
        found = row["density"]
        if not case.takes_target:
            _require(0 < found <= 1, f"a density of {found} was found")
        elif case.method.granularity(case.options) == "connection":
            _require(found == goal, f"target {density:g} gave density {found:g} instead of {goal:g}")
        else:  # with channels alone a low target may be out of reach
            most = goal if case.network is PLAIN else 1 - 1 / total
            _require(0 < found <= most, f"target {density:g} was exceeded: density {found:g}")


def leaves_a_plain_network(case: Case) -> None:
    """Same modules, same names, ordinary weights with exact zeros, and nothing attached."""
    found, fresh = case.first.network, _untrained(case)
    kinds = [type(module).__name__ for module in found.modules()]
    _require(kinds == [type(module).__name__ for module in fresh.modules()], f"modules are {kinds}")
    names = list(found.state_dict())
    _require({*names} == {*fresh.state_dict()}, f"parameters are {', '.join(names)}")
    _require(all(p.requires_grad for p in found.parameters()), "some parameters no longer learn")
    hooked = [
        name for name, module in found.named_modules() if module._forward_hooks or module._forward_pre_hooks
    ]
    _require(not hooked, f"hooks are left on {', '.join(hooked)}")
    image = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        _require(bool(found.eval()(image).isfinite().all()), "the finished network's outputs are not finite")


def repeats_itself(case: Case) -> None:
    """The same seed gives the same bits, whatever ran before."""
    first = case.first
    torch.randn(7)  # the state of the caller's generator must not matter
    _same(first, run_trial(case.config()), "a second run")


def resumes_from_a_checkpoint(case: Case) -> None:
    """Stopped half-way and taken up from its checkpoint, a training ends with the same bits."""
    config = case.config(training={"epochs": EPOCHS, "batch_size": 64})
    whole = run_trial(config)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trial.pt"
        cut = _Cut(path, len(whole.curves) // 2)
        with suppress(_Stop):
            run_trial(config, control=Control(checkpoint=cut))
        stored = Checkpoint(path, "check").load(torch.device("cpu"))
        _require(stored is not None, "its checkpoint cannot be read back: not plain values")
        again = Control(checkpoint=Checkpoint(path, "check"))
        _same(whole, run_trial(config, control=again), "a resumed run")


def takes_its_steps(case: Case) -> None:
    """No more gradient steps than its rounds allow, and no fewer."""
    row = case.first.row
    least = STEPS if row["rounds"] == 1 else STEPS + row["rounds"] - 1
    _require(
        least <= row["steps"] <= STEPS * row["rounds"],
        f"{row['steps']} steps in {row['rounds']} rounds of {STEPS}",
    )


def leaves_other_layers_alone(case: Case) -> None:
    """Where hardly anything learns, a convolution and its norm out of scope end as they began."""
    network, dense = _on_convolutions(case, "fc", training=FROZEN).network, _dense_reference()
    for name in OUT_OF_SCOPE:
        found, fresh = network.get_parameter(name), dense.get_parameter(name)
        _require(torch.allclose(found, fresh, atol=1e-6), f"{name} of a layer out of scope has changed")


def takes_convolutions(case: Case) -> None:
    """With convolutions in its scope it skips the network with a reason, or meets its target."""
    result = _on_convolutions(case, "all")
    if not case.takes_target or case.method.granularity(case.options) != "connection":
        return
    total = _size(result.network, "all")
    found, goal = result.row["density"], round(0.1 * total) / total
    _require(found == goal, f"target 0.1 gave density {found:g} instead of {goal:g}")


def declares_its_options(case: Case) -> None:
    """Every option says what it is; ranges hold the default and only valid values."""
    options = case.method.Config
    for key, field in options.model_fields.items():
        declaration = field.json_schema_extra is not None and bool(field.description)
        _require(declaration, f"{key} is not declared with option()")
        about = declared(options, key)
        unknown = [other for other in about.get("needs", {}) if other not in options.model_fields]
        _require(not unknown, f"{key} needs {', '.join(unknown)}, which is no option")
        if "search" in about:
            low, high = about["search"]
            inside = low <= field.default <= high
            _require(inside, f"{key}: the default {field.default} is outside its search range")
            _require(not about["log"] or low > 0, f"{key}: a logarithmic range starts at {low}")
            needed = {other: values[0] for other, values in unmet(options(), key).items()}
            for end in (low, high):
                options(**needed | {key: round(end) if field.annotation is int else end})


def refuses_unknown_options(case: Case) -> None:
    """An option that does not exist is an error."""
    try:
        case.method.Config(**{"no_such_option": 1})
    except ValidationError:
        return
    raise Broken("Config takes an unknown option: derive it from Method.Config")


def controls_a_method_that_exists(case: Case) -> None:
    """A control says which registered method it is a control of; others say nothing."""
    method = case.method.control_of(case.options)
    _require(method in (None, *METHODS), f"it is a control of {method!r}, which is not registered")
    _require(method != case.method.name, "it is a control of itself")


CHECKS: dict[str, Callable[[Case], None]] = {
    test.__name__.replace("_", " "): test
    for test in (
        declares_its_options,
        refuses_unknown_options,
        controls_a_method_that_exists,
        meets_its_target,
        leaves_a_plain_network,
        leaves_other_layers_alone,
        takes_convolutions,
        takes_its_steps,
        repeats_itself,
        resumes_from_a_checkpoint,
    )
}
"""Every check by its name in words; its docstring says more."""

TIMING = ("train_seconds", "method_seconds")


def _said(error: Exception) -> str:
    kind = "" if isinstance(error, Broken) else f"{type(error).__name__}: "
    return " ".join(f"{kind}{error}".split())


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise Broken(problem)


def _same(first: TrialResult, again: TrialResult, who: str) -> None:
    for key, tensor in first.network.state_dict().items():
        _require(torch.equal(tensor, again.network.state_dict()[key]), f"{who} ended with another {key}")
    differing = [k for k in columns() if k not in TIMING and first.row[k] != again.row[k]]
    _require(not differing, f"{who} differs in {', '.join(differing)}")
    _require(first.curves == again.curves, f"{who} has other curves")


def _size(network: nn.Module, layers: Literal["fc", "all"]) -> int:
    """Number of weights in scope."""
    scoped = Scope(layers=layers).of(network).values()
    return sum(layer.get_parameter("weight").numel() for layer in scoped)


def _on_convolutions(case: Case, scope: str, **changes: Any) -> TrialResult:
    """A run on a network with a convolution. Raises Skipped if the method does not take it."""
    with _registered(_TwoKinds) as name:
        return run_trial(case.config(network=name, scope=scope, **changes))


@cache
def _dense_reference() -> nn.Module:
    """The dense network that a method's is compared with, the same for all methods: read, never changed."""
    return _on_convolutions(Case("dense"), "fc", training=FROZEN).network


def _untrained(case: Case) -> nn.Module:
    choice = case.config().network
    network: nn.Module = choice.build((1, 8, 8), 10)
    return network


class _Stop(Exception):
    """The training is cut off here."""


class _Cut(Checkpoint):
    """Saves at every epoch and ends the training after some of them, as a lost worker would."""

    def __init__(self, path: Path, saves: int) -> None:
        super().__init__(path, "check", seconds=0.0)
        self._saves = max(1, saves)

    def save(self, state: dict[str, Any]) -> None:
        super().save(state)
        self._saves -= 1
        if not self._saves:
            raise _Stop


OUT_OF_SCOPE = ("conv.weight", "conv.bias", "norm.weight", "norm.bias")
"""Parameters of :class:`_TwoKinds` that scope ``fc`` leaves out."""


class _TwoKinds(Network, nn.Module):
    """A convolution, out of scope, and two linear layers, in it."""

    def __init__(self, *_: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.hidden = nn.Linear(4 * 36, 16)
        self.hidden_norm = nn.BatchNorm1d(16)
        self.out = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, 10) of images (batch, 1, 8, 8)."""
        x = self.norm(self.conv(x)).relu().flatten(1)
        out: Tensor = self.out(self.hidden_norm(self.hidden(x)).relu())
        return out


@contextmanager
def _registered(network: type[Network]) -> Iterator[str]:
    """A network under a name of its own, for a moment."""
    name = "conformance-two-kinds"
    network.name = name
    NETWORKS[name] = network
    try:
        yield name
    finally:
        del NETWORKS[name]
