"""The reader of features, and what it learns from, against other ways of computing them."""

import copy
import itertools
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from switchbench.measure.counting import count
from switchbench.methods import OBD, Progress, Switcher, SwitcherEquivariant
from switchbench.methods.parts import curvature
from switchbench.methods.parts.gates import Gate
from switchbench.methods.parts.paths import Paths
from switchbench.methods.switchers import saliency
from switchbench.methods.switchers.ahead import adapted_loss, slopes
from switchbench.methods.switchers.saliency import FEATURES, SaliencyReader, features
from switchbench.spec.components import NetworkChoice
from switchbench.spec.training import TrainingConfig
from switchbench.trial.loop import Training
from switchbench.trial.run import run_trial

Batch = tuple[Tensor, Tensor]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def mlp(*widths: int) -> nn.Sequential:
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
    return nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1])


def linear_layers(network: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)}


def make(cls: Any, density: float | None, **options: Any) -> Any:
    return cls(cls.Config(**options), density, torch.Generator().manual_seed(0))


def test_curvature_is_a_running_mean_of_squared_gradients_of_all_connections() -> None:
    weight = nn.Parameter(torch.ones(2))
    means = curvature.start({"a": weight})
    for step, gradient in (
        (1, [1.0, 0.0]),
        (3, [9.0, 9.0]),
        (5, [2.0, -4.0]),
    ):  # one step in four is looked at
        weight.grad = torch.tensor(gradient)
        curvature.update(means, {"a": weight}, 0.75**0.25, step)
    torch.testing.assert_close(means["a"], torch.tensor([0.25 * (0.75 * 1 + 4), 0.25 * 16]))


def paths_by_hand(masked: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Enumerate all paths of a fully connected network: sums into each layer's inputs, behind its outputs."""
    found = []
    for index, weight in enumerate(masked):
        into, behind = torch.zeros(weight.shape[1]), torch.zeros(weight.shape[0])
        widths = [matrix.shape[1] for matrix in masked] + [masked[-1].shape[0]]
        for units in itertools.product(*(range(width) for width in widths[: index + 1])):
            strength = 1.0
            for layer, (a, b) in enumerate(itertools.pairwise(units)):
                strength *= float(masked[layer][b, a])
            into[units[-1]] += strength
        for units in itertools.product(*(range(width) for width in widths[index + 1 :])):
            strength = 1.0
            for layer, (a, b) in enumerate(itertools.pairwise(units), start=index + 1):
                strength *= float(masked[layer][b, a])
            behind[units[0]] += strength
        found.append((into, behind))
    return found


def test_sums_of_paths_are_those_of_all_paths_one_by_one() -> None:
    network = mlp(4, 5, 3, 2)
    strengths = {
        name: layer.get_parameter("weight").detach().abs()
        * (torch.rand(layer.get_parameter("weight").shape) > 0.3)
        for name, layer in linear_layers(network).items()
    }
    sums = Paths(network, torch.zeros(1, 4)).sums(strengths)
    assert sums is not None
    for (into, behind), found in zip(paths_by_hand([*strengths.values()]), sums.values(), strict=True):
        for expected, actual in zip((into, behind), found, strict=True):
            torch.testing.assert_close(actual / actual.sum(), expected / expected.sum())


def test_macs_of_masks_are_those_of_the_network_without_dead_units() -> None:
    network = NetworkChoice.model_validate("lenet-5").build((1, 28, 28), 10)
    scoped: dict[str, nn.Module] = {
        name: m for name, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)
    }
    paths, image = Paths(network, torch.zeros(1, 1, 28, 28)), torch.zeros(1, 1, 28, 28)
    whole = count(network, scoped, image).macs_dense
    assert whole is not None
    masks = {}
    for name, layer in scoped.items():
        masks[name] = (torch.rand(layer.get_parameter("weight").shape) < 0.03).float()
        with torch.no_grad():
            layer.get_parameter("weight").mul_(masks[name])
    left = count(network, scoped, image).macs_shrunk
    assert left is not None
    assert 0 < left < 0.9 * whole
    assert float(paths.macs(masks)) * whole == pytest.approx(left, rel=0.02)


def test_features_have_no_mean_over_the_open_connections_of_a_layer() -> None:
    network = mlp(6, 5, 4)
    weights = {name: layer.get_parameter("weight") for name, layer in linear_layers(network).items()}
    gates = {name: (torch.rand(weight.shape) > 0.4).float() for name, weight in weights.items()}
    bends = {name: torch.rand(weight.shape) for name, weight in weights.items()}
    seen = features(weights, gates, bends, Paths(network, torch.zeros(1, 6)))
    for name, gate in gates.items():
        found = seen[name]
        ones = torch.ones_like(gate)
        spread = (
            found.curvature,
            found.row[:, None] * ones,
            found.behind[:, None] * ones,
            found.column * ones,
        )
        for feature in (*spread, found.into * ones):
            torch.testing.assert_close(
                (feature * gate).sum() / gate.sum(), torch.zeros(()), atol=1e-5, rtol=0
            )
        strength = (weights[name].detach().abs() * gate).sum(1)
        row = (strength / strength.mean() + 0.03).log()
        torch.testing.assert_close(found.row - found.row[0], row - row[0])
        half = 0.5 * (bends[name] / ((bends[name] * gate).sum() / gate.sum()) + 1e-6).log()
        torch.testing.assert_close(found.curvature - found.curvature[0, 0], half - half[0, 0])


def test_the_reader_weighs_each_feature_once() -> None:
    network = mlp(6, 5, 4)
    weights = {name: layer.get_parameter("weight") for name, layer in linear_layers(network).items()}
    gates = {name: torch.ones_like(weight) for name, weight in weights.items()}
    bends = {name: torch.rand(weight.shape) for name, weight in weights.items()}
    read = features(weights, gates, bends, Paths(network, torch.zeros(1, 6)))
    found = SaliencyReader([1.0, 10.0, 100.0, 1_000.0, 10_000.0])(read)["0"]
    seen = read["0"]
    for output, unit in itertools.product(range(5), range(6)):
        each = (
            seen.curvature[output, unit], 10 * seen.row[output], 100 * seen.column[unit],
            1_000 * seen.into[unit], 10_000 * seen.behind[output],
        )  # fmt: skip
        torch.testing.assert_close(found[output, unit], torch.stack(each).sum(), atol=1e-2, rtol=1e-5)


def test_two_evaluations_give_the_slope_along_their_direction() -> None:
    center = torch.tensor([1.0, -2.0])
    parameter = nn.Parameter(torch.tensor([0.5, 0.5]))

    def value() -> Tensor:
        return (parameter - center).square().sum().detach()

    gradient = 2 * (parameter.detach() - center)
    found = [slopes([parameter], 0.1, value, torch.Generator().manual_seed(seed))[0] for seed in range(40)]
    for slope in found:  # of a quadratic the difference of two sides is exact
        sign = slope.sign() * slope.sign()[0]
        assert min((slope - side * sign * (gradient * sign).sum()).abs().max() for side in (1, -1)) < 1e-4
    torch.testing.assert_close(torch.stack(found).mean(0), gradient, atol=2.0, rtol=0)
    assert torch.equal(parameter.detach(), torch.tensor([0.5, 0.5]))


def test_a_loss_after_adapting_is_that_of_a_network_that_was_trained_so() -> None:
    network = mlp(6, 5, 4)
    batches = [(torch.randn(8, 6), torch.randint(4, (8,))) for _ in range(4)]
    masks = {
        layer.get_parameter("weight"): (torch.rand(layer.get_parameter("weight").shape) > 0.5).float()
        for layer in linear_layers(network).values()
    }
    before = copy.deepcopy(network)
    progress = Progress(1, 10, 0, step_size=lambda _: 0.1, fresh=lambda number: batches[number])
    masked = {weight: (weight.detach(), mask) for weight, mask in masks.items()}
    found = adapted_loss(network, masked, progress, horizon=3, stride=2.0)

    twin = copy.deepcopy(before)
    gates = dict(
        zip(
            [layer.get_parameter("weight") for layer in linear_layers(twin).values()],
            masks.values(),
            strict=True,
        )
    )
    optimiser = torch.optim.SGD(twin.parameters(), 0.2)
    for weight, mask in gates.items():
        weight.data.mul_(mask)
    for images, labels in batches[:3]:
        optimiser.zero_grad()
        F.cross_entropy(twin(images), labels).backward()
        optimiser.step()
        for weight, mask in gates.items():
            weight.data.mul_(mask)
    images, labels = batches[3]
    torch.testing.assert_close(found, F.cross_entropy(twin(images), labels).detach())
    for own, other in zip(network.parameters(), before.parameters(), strict=True):
        assert torch.equal(own, other)
        assert own.grad is None


def trained(make_config: Any, method: dict[str, Any], **training: Any) -> Any:
    settings = {"epochs": 6, "batch_size": 64, "optimizer": "adam", "lr": 2e-3} | training
    return run_trial(make_config(method, 0.05, dataset="digits", training=settings))


def test_a_fixed_exponent_is_optimal_brain_damage_in_the_switchers_schedule(make_config: Any) -> None:
    window = {"begin": 0.1, "end": 0.7, "updates": 20, "power": 4.0}
    fixed = {"prior": "curvature", "exponent": 0.3, "learn": False, "revive": "never", "reader": "saliency"}
    one = trained(make_config, {"method": "switcher-equivariant", **fixed, **window})
    other = trained(make_config, {"method": "obd", "exponent": 0.3, **window})
    masks = [
        {name: p != 0 for name, p in result.network.named_parameters() if name.endswith("weight")}
        for result in (one, other)
    ]
    agreeing = sum(int((masks[0][name] == mask).sum()) for name, mask in masks[1].items())
    assert agreeing / sum(mask.numel() for mask in masks[1].values()) > 0.995


def test_growing_by_the_last_gradient_is_granet_in_the_switchers_schedule(
    make_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switchbench.methods.switchers.switcher.MEMORY", 0.0)
    monkeypatch.setattr("switchbench.methods.parts.curvature.STRIDE", 1)
    window = {"begin": 0.1, "end": 0.7, "updates": 20, "power": 4.0, "regenerate": 0.4}
    fixed = {"learn": False, "revive": "grown", "reader": "saliency"}
    one = trained(make_config, {"method": "switcher-equivariant", **fixed, **window})
    other = trained(make_config, {"method": "granet", **window})
    never = trained(
        make_config,
        {"method": "switcher-equivariant", **window, **fixed, "revive": "never", "regenerate": 0.5},
    )
    masks = [
        torch.cat([p.flatten() != 0 for p in result.network.parameters() if p.dim() > 1])
        for result in (one, other, never)
    ]
    assert masks[0].sum() == masks[1].sum() == masks[2].sum()
    agreeing, without = (float((masks[0] & mask).sum() / masks[0].sum()) for mask in masks[1:])
    assert agreeing == 1
    assert without < 0.9


def test_the_exponent_that_is_found_is_the_one_by_which_connections_of_a_layer_are_ranked() -> None:
    network = mlp(5, 4)
    options = {"reader": "saliency", "prior": "curvature", "exponent": 0.25, "theta_curvature": -0.3}
    method: Switcher = make(SwitcherEquivariant, 0.5, **options)
    method.attach(network, linear_layers(network), (torch.zeros(1, 5), torch.zeros(1, dtype=torch.int64)))
    found = method.found()
    assert found == pytest.approx({"curvature": -0.3, "exponent": 0.1} | dict.fromkeys(FEATURES[1:], 0.0))
    bends = {"0": torch.rand(4, 5) + 0.5}
    logits = method.reading.logits(method.weights, method.seen_gates, bends)["0"]
    expected = method.weights["0"].abs().log() + found["exponent"] * bends["0"].log()
    torch.testing.assert_close(logits - logits.mean(), expected - expected.mean(), atol=1e-4, rtol=0)


def test_the_row_holds_what_the_reader_has_found(make_config: Any) -> None:
    fixed = {"method": "switcher-equivariant", "reader": "saliency", "theta_row": 0.2, "learn": False}
    assert json.loads(trained(make_config, fixed).row.found)["row"] == pytest.approx(0.2)
    learning = fixed | {"learn": True, "every": 5, "reader_lr": 0.05}
    assert abs(json.loads(trained(make_config, learning).row.found)["row"] - 0.2) > 0.01
    assert trained(make_config, {"method": "magnitude"}).row.found is None


@pytest.mark.parametrize("objective", ["gradient", "look-ahead"])
def test_the_reader_moves_and_what_is_off_stays_off(
    make_config: Any, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Tensor]] = []
    methods: list[Switcher] = []
    switch = Switcher._switch

    def watch(self: Switcher, fraction: float, noisy: bool, visible: bool = True) -> None:
        switch(self, fraction, noisy, visible)
        if not noisy:
            seen.append({name: gate.gate.clone() for name, gate in self.gates.items()})
            methods.append(self)

    monkeypatch.setattr(Switcher, "_switch", watch)
    result = trained(
        make_config,
        {
            "method": "switcher-equivariant",
            "reader": "saliency",
            "revive": "never",
            "objective": objective,
            "every": 5,
            "reader_lr": 0.05,
        },
    )
    assert len(seen) > 10
    for earlier, later in itertools.pairwise(seen):
        for name, gate in earlier.items():
            assert not ((gate == 0) & (later[name] != 0)).any()
    (theta,) = methods[-1].readers.parameters()
    assert (theta != 0).all()
    assert theta.abs().max() > 0.01
    assert result.row["density"] == pytest.approx(0.05, abs=1e-3)


def test_a_reader_that_sees_constants_leaves_the_prior(make_config: Any) -> None:
    method: Switcher = make(SwitcherEquivariant, 0.5, reader="saliency", sees="constant", theta_row=-0.5)
    layer = nn.Linear(4, 3)
    method.attach(nn.Sequential(layer), {"0": layer}, (torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64)))
    logits = method.reading.logits(method.weights, method.seen_gates, method.curvature)["0"]
    torch.testing.assert_close(logits, method.weights["0"].detach().abs().log())
    assert logits.requires_grad  # a step of the reader has a gradient, of zero
    options = {"method": "switcher-equivariant", "reader": "saliency", "sees": "constant", "every": 5}
    assert trained(make_config, options).row["density"] == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"theta_row": 0.2},
        {"units": "neuron"},
        {"learn": True, "objective": "look-ahead", "every": 20, "reader_lr": 0.01},
    ],
)
def test_gates_in_place_and_unheard_features_change_no_bit(
    options: dict[str, Any], make_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default takes two short cuts, for their time: no gates in front of weights, no feature whose weight
    is zero."""
    short = trained(make_config, {"method": "switcher", **options})
    seen = saliency.features

    def in_front(method: Switcher) -> dict[str, Gate]:
        return method.parametrize(lambda weight: Gate(method._like(weight)))

    def all_features(weights: Any, gates: Any, bends: Any, paths: Paths) -> Any:
        found = seen(
            weights, gates, bends or {name: torch.rand_like(w) for name, w in weights.items()}, paths
        )
        heard.append(bends is not None)
        return found

    heard: list[bool] = []
    monkeypatch.setattr(Switcher, "_make_gates", in_front)
    monkeypatch.setattr("switchbench.methods.switchers.reading.features", all_features)
    long = trained(make_config, {"method": "switcher", **options})
    assert heard
    assert all(heard) is options.get("learn", False)
    weights = dict(long.network.named_parameters())
    for name, weight in short.network.named_parameters():
        torch.testing.assert_close(weight, weights[name], atol=0, rtol=0)


def test_fresh_batches_depend_on_seed_step_and_number_alone(make_config: Any) -> None:
    from switchbench import datasets
    from switchbench.methods import Dense
    from switchbench.trial import seeds

    splits = datasets.split(datasets.load("digits"), 0.2, seeds.generator(0, "split"))

    def training(seed: int) -> Training:
        network = mlp(64, 10)
        flat = nn.Sequential(nn.Flatten(), network)
        method = Dense(Dense.Config(), None, torch.Generator())
        return Training(flat, {}, method, splits, TrainingConfig(epochs=1, batch_size=32), seed)

    one, twin, other = training(0), training(0), training(1)
    one.step = twin.step = other.step = 5
    state = torch.get_rng_state()
    images, labels = one._fresh(0)
    assert images.shape == (32, 1, 8, 8)
    assert torch.equal(images, twin._fresh(0)[0])
    assert torch.equal(labels, twin._fresh(0)[1])
    assert not torch.equal(images, one._fresh(1)[0])
    assert not torch.equal(images, other._fresh(0)[0])
    one.step = 6
    assert not torch.equal(images, one._fresh(0)[0])
    assert torch.equal(torch.get_rng_state(), state)


def test_obd_prunes_by_weight_times_root_of_curvature() -> None:
    method: OBD = make(OBD, 0.5, exponent=0.5, begin=0.0, end=1.0, updates=1, memory=0.0)
    layer = nn.Linear(4, 1)
    method.attach(nn.Sequential(layer), {"0": layer}, (torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64)))
    layer.weight.data = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    layer.weight.grad = torch.tensor([[8.0, 1.0, 1.0, 0.1]])  # |w|·|g|: 8, 2, 3, 0.4
    progress = Progress(1, 1, 0)
    method.after_backward(progress)
    method.after_step(progress)
    assert layer.weight.tolist() == [[1.0, 0.0, 3.0, 0.0]]
