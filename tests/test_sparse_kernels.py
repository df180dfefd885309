"""Training on the kept connections alone: products, optimiser, switching over, results."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from switchbench.errors import InputError
from switchbench.methods import METHODS, Method, Progress
from switchbench.methods.parts.gates import Gate
from switchbench.methods.random import Random
from switchbench.networks import NETWORKS, Network
from switchbench.plugins import conformance
from switchbench.plugins.outcome import Broken
from switchbench.spec.training import TrainingConfig
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.control import Control, Stopped, after
from switchbench.trial.csr_products import Connections, CSRProducts
from switchbench.trial.optimisers import Optimisers
from switchbench.trial.run import run_trial
from switchbench.trial.sparse_kernels import SparseKernels

WIDE = {"network": "mlp", "hidden": [60, 30]}
TRAINING = {"epochs": 6, "batch_size": 32, "lr": 5e-3}


@pytest.mark.parametrize(
    ("outputs", "inputs", "batch", "density"), [(7, 5, 3, 0.3), (30, 40, 1, 0.05), (4, 9, 6, 0), (3, 2, 2, 1)]
)
def test_products_are_those_of_the_dense_layer(outputs: int, inputs: int, batch: int, density: float) -> None:
    torch.manual_seed(0)
    mask = (torch.rand(outputs, inputs) < density).float()
    connections = Connections(mask)
    weight = (torch.randn(outputs, inputs) * mask).requires_grad_()
    values = nn.Parameter(weight.detach().flatten()[connections.index])
    bias, other = (torch.randn(outputs).requires_grad_() for _ in range(2))
    dense_images = torch.randn(batch, inputs).requires_grad_()
    images = dense_images.detach().clone().requires_grad_()
    expected = F.linear(dense_images, weight, bias)
    other.data.copy_(bias)
    weights, offset = connections.matrix(values.detach()), other.detach()[:, None]
    found = CSRProducts.apply(images, values, other, weights, offset, connections)
    torch.testing.assert_close(found, expected)
    gradient = torch.randn(batch, outputs)
    expected.backward(gradient)
    found.backward(gradient)
    assert weight.grad is not None
    torch.testing.assert_close(values.grad, weight.grad.flatten()[connections.index])
    torch.testing.assert_close(other.grad, bias.grad)
    torch.testing.assert_close(images.grad, dense_images.grad)


def test_a_layer_that_is_called_twice_has_the_sum_of_both_gradients() -> None:
    torch.manual_seed(0)
    mask = (torch.rand(6, 6) < 0.5).float()
    connections = Connections(mask)
    weight = (torch.randn(6, 6) * mask).requires_grad_()
    values = nn.Parameter(weight.detach().flatten()[connections.index])
    bias, images = torch.randn(6), torch.randn(4, 6)
    weights, offset = connections.matrix(values.detach()), bias[:, None]
    expected = F.linear(F.linear(images, weight, bias).relu(), weight, bias)
    found = images
    for again in (False, True):
        found = CSRProducts.apply(
            found.relu() if again else found, values, bias, weights, offset, connections
        )
    torch.testing.assert_close(found, expected)
    gradient = torch.randn(4, 6)
    expected.backward(gradient)
    found.backward(gradient)
    assert weight.grad is not None
    torch.testing.assert_close(values.grad, weight.grad.flatten()[connections.index])


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adam"},
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01},
    ],
)
def test_the_optimiser_updates_kept_entries_as_before(settings: dict[str, Any]) -> None:
    """Identical bits: the update of an entry depends on that entry alone."""
    config = TrainingConfig(epochs=1, lr=0.1, **settings)
    kept = torch.tensor([1, 4, 5])
    start, gradients = torch.randn(2, 3), torch.randn(6, 2, 3)

    def trained(narrowed_steps: range) -> tuple[Tensor, dict[str, Any]]:
        parameter, other = nn.Parameter(start.clone()), nn.Parameter(torch.ones(2))
        optimisers = Optimisers(config, {"weights": [parameter], "others": [other]}, [])
        narrow: nn.Parameter | None = None
        for step, gradient in enumerate(gradients):
            if narrow is None and step in narrowed_steps:
                narrow = optimisers.narrow(parameter, kept)
            if narrow is not None and step not in narrowed_steps:
                optimisers.widen(narrow, parameter, kept)
                narrow = None
            other.grad = gradient[:, 0].clone()
            if narrow is None:
                parameter.grad = gradient.clone()
            else:
                narrow.grad = gradient.flatten()[kept]
            optimisers.step(0.5)
        assert optimisers._optimisers[0].parameters == [parameter, other]
        return parameter.detach().flatten()[kept], optimisers._optimisers[0].state[parameter]

    expected, state = trained(range(0))
    found, found_state = trained(range(2, 5))
    assert torch.equal(found, expected)
    assert {*found_state} == {*state}
    for name, value in state.items():
        if isinstance(value, Tensor) and value.dim():
            assert torch.equal(found_state[name].flatten()[kept], value.flatten()[kept]), name
            assert found_state[name].shape == value.shape
        else:
            assert found_state[name] == value


@pytest.mark.parametrize(
    "method", ["random", "snip", "set", "rigl", "magnitude", "movement", "l1", "lottery-ticket", "switcher"]
)
def test_it_computes_on_the_kept_weights_and_learns_as_well(make_config: Any, method: str) -> None:
    config = {
        kernels: make_config(method, 0.03, network=WIDE, training=TRAINING | {"kernels": kernels})
        for kernels in ("dense", "sparse")
    }
    dense, sparse = (run_trial(config[kernels]).row for kernels in ("dense", "sparse"))
    assert dense["trial_id"] != sparse["trial_id"]
    assert sparse["density"] == dense["density"]
    assert (sparse["steps"], sparse["examples"]) == (dense["steps"], dense["examples"])
    assert sparse["train_flops"] < 0.9 * dense["train_flops"]
    assert sparse["val_accuracy"] == pytest.approx(dense["val_accuracy"], abs=0.1)


def test_flops_are_those_of_the_kept_weights(make_config: Any) -> None:
    config = make_config("random", 0.05, network=WIDE, training=TRAINING | {"kernels": "sparse"})
    result = run_trial(config)
    first, second, third = (
        int(layer.weight.count_nonzero())
        for layer in result.network.modules()
        if isinstance(layer, nn.Linear)
    )
    assert third > 0.1 * 30 * 10 > 0  # ERK leaves much of a small layer, which stays on dense kernels
    per_image = 2 * (2 * first + 3 * second + 3 * 30 * 10)  # the first layer needs no gradient of its input
    assert result.row["train_flops"] == per_image * 32 * result.row["steps"]


@pytest.mark.parametrize("method", ["random", "rigl", "switcher"])
def test_results_differ_by_rounding_alone(make_config: Any, method: str) -> None:
    training = {"epochs": 12, "batch_size": 128, "lr": 5e-3}
    for seed in range(4):
        losses = [
            run_trial(
                make_config(method, 0.05, network=WIDE, seed=seed, training=training | {"kernels": kernels})
            ).row["val_loss"]
            for kernels in ("dense", "sparse")
        ]
        assert losses[1] == pytest.approx(losses[0], abs=0.01)


@pytest.mark.parametrize("settings", [{}, {"optimizer": "sgd", "momentum": 0.9, "lr": 0.1}])
@pytest.mark.parametrize("method", ["rigl", "set", "magnitude"])
def test_it_resumes_with_identical_bits(
    tmp_path: Path, make_config: Any, method: str, settings: dict[str, Any]
) -> None:
    options = {"method": method} | ({"every": 7} if method != "magnitude" else {})
    training = TRAINING | settings | {"kernels": "sparse"}
    config = make_config(options, 0.05, network=WIDE, training=training)
    whole = run_trial(config)
    path = tmp_path / "trial.pt"
    stopping = Control(checkpoint=Checkpoint(path, "check"), stop=after(whole.row["steps"] * 2 // 3))
    with pytest.raises(Stopped):
        run_trial(config, control=stopping)
    resumed = run_trial(config, control=Control(checkpoint=Checkpoint(path, "check")))
    conformance._require_identical(whole, resumed, "a resumed run")


def test_convolutions_keep_dense_kernels_and_their_masks(make_config: Any) -> None:
    training = {"steps": 40, "batch_size": 32, "kernels": "sparse"}
    config = make_config("set", 0.05, network="lenet-5", dataset="fake", scope="all", training=training)
    result = run_trial(config)
    assert result.row["density"] == pytest.approx(0.05, abs=1e-4)
    assert all("forward" not in vars(module) for module in result.network.modules())


def test_nothing_changes_where_it_does_not_pay(make_config: Any) -> None:
    rows = [
        run_trial(make_config("magnitude", 0.3, training={"steps": 60, "batch_size": 64, "kernels": kernels}))
        for kernels in ("dense", "sparse")
    ]
    states = [row.network.state_dict() for row in rows]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


class _UsesItsWeight(Network, nn.Module):
    """A network that computes with a layer's weight and never calls the layer."""

    name = "uses-its-weight"

    def __init__(self, *_: object) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(64, 40), nn.Linear(40, 10)

    def forward(self, images: Tensor) -> Tensor:
        hidden = images.flatten(1) @ self.hidden.weight.t() + self.hidden.bias
        out: Tensor = self.out(hidden.relu())
        return out


def test_a_weight_that_is_used_by_itself_is_refused(
    make_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {"steps": 5, "kernels": "sparse"}
    for network in (_UsesItsWeight, _UsesItsWeightToo):
        monkeypatch.setitem(NETWORKS, network.name, network)
        with pytest.raises(RuntimeError, match="cannot train layer 'hidden', whose weight is used by others"):
            run_trial(make_config("random", 0.03, network=network.name, training=training))


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"compile": True}, "kernels: sparse does not go together with compile: true"),
        ({"precision": "bfloat16"}, "kernels: sparse does not go together with precision: bfloat16"),
    ],
)
def test_what_does_not_go_together(make_config: Any, other: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        make_config("random", training={"steps": 5, "kernels": "sparse"} | other)


def test_dense_kernels_leave_no_trace_in_ids(make_config: Any) -> None:
    plain = make_config("random", training={"steps": 5})
    assert make_config("random", training={"steps": 5, "kernels": "dense"}).trial_id == plain.trial_id
    assert make_config("random", training={"steps": 5, "kernels": "sparse"}).trial_id != plain.trial_id


def test_it_holds_only_when_all_groups_learn() -> None:
    layer = nn.Linear(20, 20)
    weight, bias = (nn.Parameter(each.detach()) for each in layer.parameters())
    layer.weight, layer.bias = weight, bias
    masks = {"layer": torch.zeros(20, 20).index_fill_(0, torch.tensor([0]), 1)}
    config = TrainingConfig(epochs=1)
    optimisers = Optimisers(config, {"weights": [weight], "others": [bias]}, [])
    kernels = SparseKernels({"layer": layer}, {"layer": weight}, optimisers)
    assert not kernels.hold(None, None)
    assert not kernels.hold(masks, {"others"})
    assert kernels.hold(masks, {"weights", "others"})
    assert "forward" in vars(layer)
    assert not kernels.hold(masks, {"weights"})
    assert "forward" not in vars(layer)


def test_a_subclass_that_adds_to_a_step_keeps_dense_kernels(
    make_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shrinking(Random):
        """A random mask, and a penalty that the inherited answer knows nothing of."""

        def penalty(self, progress: Progress) -> Tensor:
            return 0.1 * torch.stack([weight.square().sum() for weight in self.weights.values()]).sum()

    monkeypatch.setitem(METHODS, "shrinking", Shrinking)
    rows = [
        run_trial(make_config("shrinking", 0.05, training={"steps": 50, "kernels": kernels})).row
        for kernels in ("dense", "sparse")
    ]
    assert rows[0]["val_loss"] == rows[1]["val_loss"]
    assert rows[0]["train_flops"] == rows[1]["train_flops"]


class _UsesItsWeightToo(_UsesItsWeight):
    """A network that calls a layer, and multiplies by its weight once more."""

    name = "uses-its-weight-too"

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.hidden(images.flatten(1)).relu()
        out: Tensor = self.out((hidden @ self.hidden.weight @ self.hidden.weight.t()).relu())
        return out


class _RestlessWeights(Random):
    """Changes weights where the test says, and says that it does not."""

    def restless(self) -> None:
        with torch.no_grad():
            for weight in self.weights.values():
                weight.mul_(0.99)


class _Before(_RestlessWeights):
    def before_step(self, progress: Progress) -> None:
        self.restless()


class _AfterBackward(_RestlessWeights):
    def after_backward(self, progress: Progress) -> None:
        self.restless()


class _After(_RestlessWeights):
    def after_step(self, progress: Progress) -> None:
        self.restless()


class _Penalty(_RestlessWeights):
    def penalty(self, progress: Progress) -> None:
        self.restless()


class _Gradients(Random):
    def after_backward(self, progress: Progress) -> None:
        for weight in self.weights.values():
            if weight.grad is not None:
                weight.grad.neg_()


class _Biases(Random):
    def before_step(self, progress: Progress) -> None:
        with torch.no_grad():
            self.network.get_parameter("1.bias").add_(1.0)


class _OtherMasks(Random):
    def before_step(self, progress: Progress) -> None:
        self.set_masks({name: mask.flip(0) for name, mask in self.masks.items()})


class _MasksInPlace(Random):
    """Changes its masks between two steps, while the rest stands."""

    def standing_masks(self, progress: Progress) -> Mapping[str, Tensor]:
        if progress.step > 1:
            self.masks["1"].zero_()
            self.apply_masks()
        return self.masks


class _Scaled(Random):
    """Computes with other weights than those behind its masks."""

    def setup(self, batch: tuple[Tensor, Tensor]) -> None:
        super().setup(batch)
        for gate in self.parametrize(Gate).values():
            gate.gate.mul_(2.0)


IN_A_STEP = "in a step with standing masks"


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        (_Before, f"it changes '1.weight' {IN_A_STEP}"),
        (_Penalty, f"it changes '1.weight' {IN_A_STEP}"),
        (_AfterBackward, f"it changes '1.weight' {IN_A_STEP}"),
        (_After, f"it changes '1.weight' {IN_A_STEP}"),
        (_Gradients, f"it changes the gradient of '1.weight' {IN_A_STEP}"),
        (_Biases, f"it changes '1.bias' {IN_A_STEP}"),
        (_OtherMasks, f"it changes the mask of '1' {IN_A_STEP}"),
        (_MasksInPlace, "it changes standing masks in place: other masks must be another object"),
        (_Scaled, "with standing masks layer '1' computes with other weights"),
    ],
)
def test_conformance_finds_masks_that_do_not_stand(
    monkeypatch: pytest.MonkeyPatch, method: type[Method], problem: str
) -> None:
    monkeypatch.setitem(METHODS, "restless", method)
    with pytest.raises(Broken) as found:
        conformance.holds_masks_that_stand(conformance.Case("restless"))
    assert str(found.value) == problem
