"""Check that a method keeps the contract. Every method must pass, those of plug-ins included.

Most checks train a small network for some steps on scikit-learn's digits. A check raises :class:`Broken` with
one line that names the problem.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from switchbench.errors import explain
from switchbench.methods import METHODS, Method, Progress
from switchbench.methods.options import declared, enabling
from switchbench.networks import NETWORKS, Network
from switchbench.plugins.outcome import Broken, Outcome, named, one_line, require, run_checks
from switchbench.row import columns
from switchbench.spec.scope import Scope
from switchbench.spec.trial import TrialConfig
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.control import Control, Stopped, after
from switchbench.trial.run import TrialResult, run_trial

DENSITIES = (0.3, 0.07)
STEPS, EPOCHS = 60, 3
ALMOST_FROZEN = {"steps": STEPS, "batch_size": 64, "lr": 1e-12}
"""A training that hardly changes parameters. Batch norms still update their running statistics."""
MLP = {"network": "mlp", "hidden": [20, 12]}
MLP_WITH_NORMS = MLP | {"batch_norm": True}


class Case:
    """A registered method with its options, and a small problem to check it on.

    Args:
        name: Name of the method.
        options: Options that differ from the defaults.

    Raises:
        ValidationError: The method does not accept the options.
    """

    def __init__(self, name: str, options: dict[str, Any] | None = None) -> None:
        self.method: type[Method] = METHODS[name]
        self.choice = {"method": name} | (options or {})
        self.options: Any = self.method.Config(**options or {})
        self.takes_target = self.method.takes_target(self.options)

    def config(self, density: float = 0.1, **changes: Any) -> TrialConfig:
        """Return a trial of the method.

        Args:
            density: Target density in (0, 1]; ignored if the method takes no target.
            changes: Fields of the trial that differ from the defaults here.
        """
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
        """The network for the checks: an MLP, or an MLP with batch norms if the method skips the first.

        Raises:
            Broken: The method skips both.
        """
        for network in (MLP, MLP_WITH_NORMS):
            choice = self.config(network=network).network
            built = choice.build((1, 8, 8), 10)
            reason = self.method.skip(self.options, built, Scope(layers="fc").of(built))
            if not reason:
                return network
        raise Broken(f"skips fully connected networks: {reason}")

    @cached_property
    def first_run(self) -> TrialResult:
        """The result of the method's first run. Other runs are compared with it."""
        return run_trial(self.config())


def check(name: str, options: dict[str, Any] | None = None) -> list[Outcome]:
    """Run every check on a registered method.

    Args:
        name: Name of the method.
        options: Options that differ from the defaults.

    Returns:
        One outcome per check, in the order of :data:`CHECKS`. If the method does not accept the options, a
        single outcome says so.
    """
    try:
        case = Case(name, options)
    except Exception as error:
        config = METHODS[name].Config
        problem = explain(error, config) if isinstance(error, ValidationError) else one_line(error)
        return [Outcome("takes its options", problem)]
    return run_checks(CHECKS, case)


def meets_its_target(case: Case) -> None:
    """Check the density of the finished network.

    Connections meet the target exactly. Neurons and blocks do not exceed it. A method without a target ends
    at a density in (0, 1].
    """
    for density in DENSITIES if case.takes_target else DENSITIES[:1]:
        row = run_trial(case.config(density)).row
        total = _size(_untrained(case), "fc")
        goal = round(density * total) / total
        found = row["density"]
        if not case.takes_target:
            require(0 < found <= 1, f"density {found} is not in (0, 1]")
        elif case.method.granularity(case.options) == "connection":
            require(found == goal, f"target {density:g} gave density {found:g} instead of {goal:g}")
        else:  # a method that removes whole channels may not reach a low target
            limit = goal if case.network is MLP else 1 - 1 / total
            require(0 < found <= limit, f"target {density:g} gave density {found:g}, not in (0, {limit:g}]")


def leaves_a_plain_network(case: Case) -> None:
    """Check that the finished network has the modules and names of the untrained one, and no hooks."""
    found, fresh = case.first_run.network, _untrained(case)
    kinds = [type(module).__name__ for module in found.modules()]
    require(
        kinds == [type(module).__name__ for module in fresh.modules()],
        f"the modules are no longer the same: {', '.join(kinds)}",
    )
    names = list(found.state_dict())
    require({*names} == {*fresh.state_dict()}, f"the parameters are no longer the same: {', '.join(names)}")
    require(all(p.requires_grad for p in found.parameters()), "some parameters no longer require gradients")
    hooked = [
        name for name, module in found.named_modules() if module._forward_hooks or module._forward_pre_hooks
    ]
    require(not hooked, f"hooks are left on {', '.join(hooked)}")
    image = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        require(bool(found.eval()(image).isfinite().all()), "the finished network's outputs are not finite")


def repeats_itself(case: Case) -> None:
    """Check that the same seed gives identical bits."""
    first = case.first_run
    torch.randn(7)  # the state of the global generator must not matter
    _require_identical(first, run_trial(case.config()), "a second run")


def resumes_from_a_checkpoint(case: Case) -> None:
    """Check that a training that stops twice, half-way and near its end, and resumes from its checkpoint ends
    with identical bits."""
    config = case.config(training={"epochs": EPOCHS, "batch_size": 64})
    uninterrupted = run_trial(config)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trial.pt"
        steps = uninterrupted.row["steps"]
        for taken in (steps // 2 + 1, steps // 3):  # a window often ends between the two stops
            with suppress(Stopped):
                run_trial(config, control=Control(checkpoint=Checkpoint(path, "check"), stop=after(taken)))
            stored = Checkpoint(path, "check").load(torch.device("cpu"))
            require(stored is not None, "its checkpoint cannot be read back: not only plain values")
        trained: list[dict[str, float]] = []
        resuming = Control(checkpoint=Checkpoint(path, "check"), watch=trained.append)
        _require_identical(uninterrupted, run_trial(config, control=resuming), "a resumed run")
        require(len(trained) < len(uninterrupted.curves), "its checkpoint cannot be restored")


def takes_its_steps(case: Case) -> None:
    """Check that the number of gradient steps fits the number of rounds."""
    row = case.first_run.row
    fewest = STEPS if row["rounds"] == 1 else STEPS + row["rounds"] - 1
    require(
        fewest <= row["steps"] <= STEPS * row["rounds"],
        f"it took {row['steps']} steps in {row['rounds']} rounds, not {fewest} to {STEPS * row['rounds']}",
    )


def leaves_other_layers_alone(case: Case) -> None:
    """Check that the method does not change a convolution and a norm out of scope."""
    network, dense = _on_convolutions(case, "fc", training=ALMOST_FROZEN).network, _dense_reference()
    for name in OUT_OF_SCOPE:
        found, fresh = network.get_parameter(name), dense.get_parameter(name)
        require(torch.allclose(found, fresh, atol=1e-6), f"{name} of a layer out of scope has changed")


def takes_convolutions(case: Case) -> None:
    """Check that the method meets its target with a convolution in scope. It may skip the network instead."""
    result = _on_convolutions(case, "all")
    if not case.takes_target or case.method.granularity(case.options) != "connection":
        return
    total = _size(result.network, "all")
    found, goal = result.row["density"], round(0.1 * total) / total
    require(found == goal, f"target 0.1 gave density {found:g} instead of {goal:g}")


def holds_masks_that_stand(case: Case) -> None:
    """Check that in steps with standing masks the method adds no penalty, and changes neither masks, kept
    weights and their gradients, nor other tensors of the network: sparse kernels leave these calls out."""
    with _registered(METHODS, "conformance-watched", _watched(case.method)) as name:
        run_trial(case.config(DENSITIES[-1], method=case.choice | {"method": name}))


def declares_its_options(case: Case) -> None:
    """Check that every option is declared and described, and that search ranges fit defaults and bounds."""
    options = case.method.Config
    for key, field in options.model_fields.items():
        is_declared = field.json_schema_extra is not None and bool(field.description)
        require(is_declared, f"{key} is not declared with option()")
        declaration = declared(options, key)
        unknown = [other for other in declaration.get("needs", {}) if other not in options.model_fields]
        require(not unknown, f"{key} needs {', '.join(unknown)}, which is not an option")
        if "search" in declaration:
            low, high = declaration["search"]
            inside = low <= field.default <= high
            require(
                inside, f"{key}: the default {field.default} is outside its search range {low:g} to {high:g}"
            )
            require(
                not declaration["log"] or low > 0,
                f"{key}: a logarithmic range must start above 0, not at {low:g}",
            )
            needed = enabling(options(), key)
            for end in (low, high):
                options(**needed | {key: round(end) if field.annotation is int else end})


def refuses_unknown_options(case: Case) -> None:
    """Check that the method refuses an option that does not exist."""
    try:
        case.method.Config(**{"no_such_option": 1})
    except ValidationError:
        return
    raise Broken("Config accepts an unknown option; derive it from Method.Config")


def controls_a_method_that_exists(case: Case) -> None:
    """Check that a control names another registered method."""
    method = case.method.control_of(case.options)
    require(method in (None, *METHODS), f"it is a control of {method!r}, which is not registered")
    require(method != case.method.name, "it is a control of itself")


CHECKS = named(
    declares_its_options,
    refuses_unknown_options,
    controls_a_method_that_exists,
    meets_its_target,
    leaves_a_plain_network,
    leaves_other_layers_alone,
    takes_convolutions,
    takes_its_steps,
    holds_masks_that_stand,
    repeats_itself,
    resumes_from_a_checkpoint,
)
"""All checks by name, in the order in which they run."""

TIME_COLUMNS = ("train_seconds", "method_seconds")
"""Columns that may differ between two runs of the same trial."""


def _require_identical(first: TrialResult, second: TrialResult, run: str) -> None:
    for key, tensor in first.network.state_dict().items():
        require(torch.equal(tensor, second.network.state_dict()[key]), f"{run} ended with a different {key}")
    differing = [k for k in columns() if k not in TIME_COLUMNS and first.row[k] != second.row[k]]
    require(not differing, f"{run} differs in {', '.join(differing)}")
    require(first.curves == second.curves, f"{run} has different curves")


def _size(network: nn.Module, layers: Literal["fc", "all"]) -> int:
    """Return the number of weights in scope."""
    scoped = Scope(layers=layers).of(network).values()
    return sum(layer.get_parameter("weight").numel() for layer in scoped)


def _on_convolutions(case: Case, scope: str, **changes: Any) -> TrialResult:
    """Run the method on a network with a convolution. Raise Skipped if the method cannot handle it."""
    with _registered(NETWORKS, _ConvAndLinear.name, _ConvAndLinear) as name:
        return run_trial(case.config(network=name, scope=scope, **changes))


@cache
def _dense_reference() -> nn.Module:
    """Return the result of dense training, computed once for all methods. Do not change it."""
    return _on_convolutions(Case("dense"), "fc", training=ALMOST_FROZEN).network


def _untrained(case: Case) -> nn.Module:
    choice = case.config().network
    network: nn.Module = choice.build((1, 8, 8), 10)
    return network


def _watched(method: type[Method]) -> type[Method]:
    """Return the method with all that it does in steps with standing masks checked."""

    class Watched(method):  # type: ignore[misc, valid-type]
        last: tuple[Mapping[str, Tensor] | None, dict[str, Tensor]] = (None, {})
        """The masks of the last step, and copies of them."""

        def before_step(self, progress: Progress) -> None:
            masks: Mapping[str, Tensor] = self.standing_masks(progress) or {}
            if masks is self.last[0]:
                same = all(torch.equal(mask, self.last[1][name]) for name, mask in masks.items())
                require(same, "it changes standing masks in place: other masks must be another object")
            self.last = masks, {name: mask.clone() for name, mask in masks.items()}
            with self._unchanged(progress):
                super().before_step(progress)
            for name, mask in masks.items():
                with torch.no_grad():
                    masked = torch.equal(self.layers[name].weight, self.weights[name] * mask)
                require(masked, f"with standing masks layer {name!r} computes with other weights")

        def penalty(self, progress: Progress) -> Tensor | None:
            with self._unchanged(progress):
                penalty: Tensor | None = super().penalty(progress)
            stands = self.standing_masks(progress)
            require(not stands or penalty is None, "it has a penalty in a step with standing masks")
            return penalty

        def after_backward(self, progress: Progress) -> None:
            with self._unchanged(progress):
                super().after_backward(progress)

        def after_step(self, progress: Progress) -> None:
            with self._unchanged(progress):
                super().after_step(progress)

        @contextmanager
        def _unchanged(self, progress: Progress) -> Iterator[None]:
            before = self._values(progress)
            yield
            after = self._values(progress)
            for what, value in before.items():
                same = what in after and torch.equal(after[what], value)
                require(same, f"it changes {what} in a step with standing masks")

        def _values(self, progress: Progress) -> dict[str, Tensor]:
            """Copy the masks if they stand, and what is kept of the network's tensors and their gradients."""
            masks = self.standing_masks(progress) or {}
            values = {f"the mask of {name!r}": mask.clone() for name, mask in masks.items()}
            kept = {id(self.weights[name]): mask > 0 for name, mask in masks.items()}
            for name, tensor in self.network.state_dict(keep_vars=True).items() if masks else ():
                on = kept.get(id(tensor), ...)
                gradient = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
                values[repr(name)] = tensor.detach()[on].clone()
                values[f"the gradient of {name!r}"] = gradient[on].clone()
            return values

    Watched.__name__ = method.__name__  # which messages of Python name
    return Watched


OUT_OF_SCOPE = ("conv.weight", "conv.bias", "norm.weight", "norm.bias")
"""Parameters of :class:`_ConvAndLinear` that are not in scope ``fc``."""


class _ConvAndLinear(Network, nn.Module):
    """A convolution and two linear layers. Scope ``fc`` contains the linear layers only."""

    name = "conformance-two-kinds"

    def __init__(self, *_: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.hidden = nn.Linear(4 * 36, 16)
        self.hidden_norm = nn.BatchNorm1d(16)
        self.out = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, 10) of images (batch, 1, 8, 8)."""
        x = self.norm(self.conv(x)).relu().flatten(1)
        out: Tensor = self.out(self.hidden_norm(self.hidden(x)).relu())
        return out


@contextmanager
def _registered(registry: dict[str, Any], name: str, component: type) -> Iterator[str]:
    """Register a method or network while the context is open, and yield its name."""
    registry[name] = component
    try:
        yield name
    finally:
        del registry[name]
