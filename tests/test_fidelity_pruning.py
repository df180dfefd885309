"""What makes each pruning method that method, by hand or by another way to the same numbers."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils import parametrize

from switchbench.methods import (
    LAMP,
    NM,
    SET,
    SNIP,
    DeepHoyer,
    GraSP,
    GroupLasso,
    L1Subgradient,
    LotteryTicket,
    Magnitude,
    Movement,
    NetworkSlimming,
    NeuronNorm,
    Progress,
    Random,
    RandomLayerMatched,
    RigL,
    ShuffledMask,
    SynFlow,
    Taylor,
)
from switchbench.methods.parts import distributions, scores
from switchbench.methods.parts.neurons import select_units
from switchbench.methods.parts.paths import Paths
from switchbench.methods.regularised import hoyer_square
from switchbench.trial.run import run_trial

Batch = tuple[Tensor, Tensor]

NO_BATCH = (torch.full((2, 1), torch.nan), torch.zeros(2, dtype=torch.int64))
AT_ONCE: dict[str, Any] = {"schedule": "one-shot", "end": 1.0}
ONLY_STEP = Progress(1, 1, 0)


def make(cls: Any, density: float | None, seed: int = 0, **options: Any) -> Any:
    return cls(cls.Config(**options), density, torch.Generator().manual_seed(seed))


def attach(method: Any, *modules: nn.Module, batch: Batch = NO_BATCH) -> Any:
    """A sequence of the modules with the method attached; mypy knows nothing of what is in a sequence."""
    network = nn.Sequential(*modules)
    kinds = nn.Linear | nn.Conv2d
    method.attach(network, {n: m for n, m in network.named_modules() if isinstance(m, kinds)}, batch)
    return network


def linear(*rows: list[float]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data = torch.tensor(rows)
    return layer


def mlp(*widths: int, bias: bool = True) -> list[nn.Module]:
    pairs = itertools.pairwise(widths)
    layers: list[nn.Module] = []
    for a, b in pairs:
        layers += [nn.Linear(a, b, bias=bias), nn.ReLU()]
    return layers[:-1]


def counts(masks: dict[str, Tensor]) -> dict[str, int]:
    return {name: int(mask.count_nonzero()) for name, mask in masks.items()}


def top(values: Tensor, keep: int) -> Tensor:
    """0/1 by sorting, the slow and plain way."""
    mask = torch.zeros_like(values)
    mask[values.argsort(descending=True)[:keep]] = 1
    return mask


# Magnitude, on its schedules and budgets


def test_magnitude_prunes_at_its_events_alone_to_zhu_and_guptas_sparsity() -> None:
    method = make(Magnitude, 0.2, begin=0.2, end=0.6, updates=2, power=3)
    (layer,) = attach(method, nn.Linear(50, 40))
    pruned = []
    for step in range(1, 11):
        method.after_step(Progress(step, 10, 0))
        pruned.append(1 - int(layer.weight.count_nonzero()) / 2000)
    halfway = 0.8 + (0 - 0.8) * (1 - 0.5) ** 3  # s_f + (s_i − s_f)(1 − (t − t_0) / (n Δt))³
    assert pruned == pytest.approx([0.0] * 3 + [halfway] * 2 + [0.8] * 5)


@pytest.mark.parametrize(
    ("distribution", "small", "large"),
    [
        ("global", [[0.0, 0.0, 0.0, 0.0]], [[0.0, 5.0], [-6.0, 7.0], [8.0, -9.0], [10.0, 11.0]]),
        ("uniform", [[0.0, 0.0, -3.0, 4.0]], [[0.0, 0.0], [0.0, 7.0], [8.0, -9.0], [10.0, 11.0]]),
        # 7 connections over sides 1 + 4 and 4 + 2: 3.2 and 3.8, by largest remainders 3 and 4
        ("erk", [[0.0, 2.0, -3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0], [8.0, -9.0], [10.0, 11.0]]),
    ],
)
def test_magnitude_ranks_globally_or_within_each_layers_budget(
    distribution: str, small: list[list[float]], large: list[list[float]]
) -> None:
    method = make(Magnitude, 7 / 12, distribution=distribution, **AT_ONCE)
    if distribution == "uniform":  # 4 · 7/12 = 2.33 and 8 · 7/12 = 4.67
        assert distributions.layer_budgets(
            {"0": torch.zeros(1, 4), "1": torch.zeros(4, 2)}, 7 / 12, "uniform"
        ) == {
            "0": 2,
            "1": 5,
        }
    first, second = attach(
        method, linear([1.0, 2.0, -3.0, 4.0]), linear([0.5, 5.0], [-6.0, 7.0], [8.0, -9.0], [10.0, 11.0])
    )
    method.after_step(ONLY_STEP)
    assert first.weight.tolist() == small
    assert second.weight.tolist() == large


def test_lamp_scores_by_hand() -> None:
    found = scores.lamp({"a": torch.tensor([[-2.0, 1.0, 3.0]]), "b": torch.tensor([10.0, -20.0])})
    assert torch.allclose(found["a"], torch.tensor([[4 / 13, 1 / 14, 1.0]]))
    assert torch.allclose(found["b"], torch.tensor([100 / 500, 1.0]))


def test_lamp_prunes_across_layers_where_magnitude_would_not() -> None:
    kept = {}
    for cls in (LAMP, Magnitude):
        method = make(cls, 3 / 5, **AT_ONCE)
        first, second = attach(method, linear([-2.0, 1.0, 3.0]), linear([10.0], [-20.0]))
        method.after_step(ONLY_STEP)
        kept[cls] = first.weight.flatten().tolist() + second.weight.flatten().tolist()
    assert kept == {LAMP: [-2.0, 0.0, 3.0, 0.0, -20.0], Magnitude: [0.0, 0.0, 3.0, 10.0, -20.0]}


def test_taylor_keeps_a_running_mean_of_the_size_of_weight_times_gradient() -> None:
    method = make(Taylor, 0.5, memory=0.5, **AT_ONCE)
    (layer,) = attach(method, linear([4.0, -2.0, 0.5, 1.0]))
    for gradient in ([1.0, 0.5, 8.0, 0.0], [-1.0, -0.5, 0.0, 3.0]):  # the first two cancel in a plain mean
        layer.weight.grad = torch.tensor([gradient])
        method.after_backward(ONLY_STEP)
    # 0.5 · (0.5 · |w g₁|) + 0.5 · |w g₂|
    assert torch.allclose(method.saliency["0"], torch.tensor([[3.0, 0.75, 1.0, 1.5]]))
    method.after_step(ONLY_STEP)
    assert layer.weight.tolist() == [[4.0, 0.0, 0.0, 1.0]]


# Movement


def train_on(method: Any, network: nn.Module, gradients: list[list[float]]) -> None:
    """One step per gradient of W ⊙ mask, without an optimiser."""
    for step, gradient in enumerate(gradients, 1):
        network.zero_grad()
        network(torch.tensor([gradient])).sum().backward()
        method.after_backward(Progress(step, len(gradients), 0))
        method.after_step(Progress(step, len(gradients), 0))


def test_movement_sums_over_pruned_weights_too_and_brings_them_back_with_their_values() -> None:
    method = make(Movement, 0.5, begin=0.0, end=1.0, updates=2)
    network = attach(method, linear([1.0, 1.0, -1.0, -1.0]))
    train_on(method, network, [[1.0, -1.0, 1.0, -1.0]])
    assert network[0].weight.tolist() == [[0.0, 1.0, -1.0, 0.0]]  # those that gradient descent makes larger
    train_on(method, network, [[-3.0, 1.0, -0.5, 0.0]])
    assert torch.equal(method.movement["0"], torch.tensor([[2.0, 0.0, 0.5, -1.0]]))
    assert network[0].weight.tolist() == [[1.0, 0.0, -1.0, 0.0]]
    assert method.weights["0"].grad.tolist() == [[0.0, 1.0, -0.5, 0.0]]  # what was pruned did not learn
    assert method.weights["0"].tolist() == [[1.0, 1.0, -1.0, -1.0]]


def test_movement_is_the_gradient_of_the_scores() -> None:
    """Sanh et al.: S learns by plain descent as if the mask were S itself."""
    torch.manual_seed(0)
    method = make(Movement, 0.3, **AT_ONCE)
    network = attach(method, *mlp(5, 4, 3))
    images, labels = torch.randn(6, 5), torch.arange(6) % 3
    weights = {name: weight.detach().clone() for name, weight in method.weights.items()}
    F.cross_entropy(network(images), labels).backward()
    method.after_backward(Progress(1, 2, 0))
    masks = {name: torch.ones_like(weight, requires_grad=True) for name, weight in weights.items()}
    hidden = F.linear(images, weights["0"] * masks["0"], network[0].bias).relu()
    loss = F.cross_entropy(F.linear(hidden, weights["2"] * masks["2"], network[2].bias), labels)
    for name, found in zip(masks, torch.autograd.grad(loss, list(masks.values())), strict=True):
        assert torch.allclose(method.movement[name], -found, atol=1e-6)


# At initialisation


def classifier() -> tuple[list[nn.Module], Batch]:
    torch.manual_seed(0)
    modules: list[nn.Module] = [nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)]
    batch = (torch.randn(6, 4, dtype=torch.float64), torch.arange(6) % 3)
    return [module.double() for module in modules], batch


def loss_of(
    network: nn.Module, batch: Batch, temperature: float
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Both weights of :func:`classifier` in one vector, and the loss as a function of it."""
    first, second = (network.get_submodule(name) for name in ("0", "2"))
    biases = first.get_parameter("bias").detach(), second.get_parameter("bias").detach()

    def loss(vector: Tensor) -> Tensor:
        hidden = F.linear(batch[0], vector[:20].view(5, 4), biases[0]).tanh()
        logits = F.linear(hidden, vector[20:].view(3, 5), biases[1]) / temperature
        return -logits.log_softmax(1)[range(6), batch[1]].mean()

    return torch.cat([layer.get_parameter("weight").detach().flatten() for layer in (first, second)]), loss


def joined(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


def test_snip_is_the_sensitivity_to_a_switch_on_each_connection() -> None:
    modules, batch = classifier()
    method = make(SNIP, 0.4)
    weights, loss = loss_of(nn.Sequential(*modules), batch, 1)
    step = 1e-6
    units = torch.eye(35, dtype=torch.float64)
    sensitivity = torch.stack(
        [(loss(weights * (1 + step * u)) - loss(weights * (1 - step * u))).abs() / (2 * step) for u in units]
    )
    network = attach(method, *modules, batch=batch)
    assert torch.equal(joined(method.masks), top(sensitivity, 14))
    assert torch.equal(network[0].weight.flatten(), (weights * top(sensitivity, 14))[:20])


@pytest.mark.parametrize("temperature", [1.0, 200.0])
def test_grasp_keeps_what_the_gradient_flow_needs_by_the_full_hessian(temperature: float) -> None:
    modules, batch = classifier()
    weights, loss = loss_of(nn.Sequential(*modules), batch, temperature)
    hessian = torch.autograd.functional.hessian(loss, weights)
    gradient = torch.autograd.functional.jacobian(loss, weights)
    flow = weights * (hessian @ gradient)
    assert (flow < 0).any()  # a score by absolute value would keep others
    method = make(GraSP, 0.4, temperature=temperature)
    attach(method, *modules, batch=batch)
    assert torch.equal(joined(method.masks), top(flow, 14))
    # removing a weight changes ‖g‖² by −2 w · Hg to first order: those that go make it larger
    assert flow[joined(method.masks) == 0].max() <= flow[joined(method.masks) == 1].min()


def test_synflow_conserves_the_flow_in_every_layer() -> None:
    torch.manual_seed(0)
    method = make(SynFlow, 0.3)
    network = attach(method, *mlp(6, 8, 7, 3), batch=(torch.randn(2, 6), NO_BATCH[1]))
    masks = method.masks
    flow = method.scores((torch.randn(2, 6), NO_BATCH[1]))
    matrices = [(network[i].weight * masks[str(i)]).detach().double().abs() for i in (0, 2, 4)]
    through = (matrices[2] @ matrices[1] @ matrices[0]).sum()
    assert through > 0
    assert [float(score.sum()) for score in flow.values()] == pytest.approx([float(through)] * 3)
    before, behind = matrices[0].sum(1), matrices[2].sum(0)
    assert torch.allclose(flow["2"], behind[:, None] * matrices[1] * before)


def test_synflow_scores_every_connection_by_the_paths_through_it() -> None:
    """One pruning step, by hand: |w| times the sums of what comes before and behind."""
    method = make(SynFlow, 5 / 6, iterations=1)
    first, second = attach(
        method,
        linear([1.0, -2.0], [-3.0, 0.6]),
        linear([-1.0, 2.0]),
        batch=(torch.randn(2, 2), NO_BATCH[1]),
    )
    # 1·1, 2·1, 3·2, 0.6·2 and 1·(1 + 2), 2·(3 + 0.6): not the smallest weight goes, but the 1
    assert torch.equal(first.weight, torch.tensor([[0.0, -2.0], [-3.0, 0.6]]))
    assert second.weight.tolist() == [[-1.0, 2.0]]


def test_synflow_empties_no_layer_where_snip_does_and_reads_no_data() -> None:
    def masks(cls: Any, batch: Batch, **options: Any) -> dict[str, Tensor]:
        torch.manual_seed(0)
        method = make(cls, 12 / 4200, **options)
        attach(method, *mlp(30, 60, 30, 10, 30), batch=batch)
        found: dict[str, Tensor] = method.masks
        return found

    torch.manual_seed(1)
    data = (torch.randn(20, 30), torch.arange(20) % 10)
    found = masks(SynFlow, data)
    assert sum(counts(found).values()) == 12
    assert min(counts(found).values()) > 0
    assert min(counts(masks(SNIP, data)).values()) == 0
    path = found["6"] @ found["4"] @ found["2"] @ found["0"]
    assert path.sum() > 0
    nothing = masks(SynFlow, (torch.full((2, 30), torch.nan), torch.zeros(2, dtype=torch.int64)))
    assert all(torch.equal(found[name], nothing[name]) for name in found)


@pytest.mark.parametrize("cls", [SNIP, GraSP, SynFlow, ShuffledMask])
def test_scoring_before_training_changes_nothing_but_what_it_prunes(cls: Any) -> None:
    """The statistics of batch norms count too: no training step has been taken yet."""
    torch.manual_seed(0)
    modules = [nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)]
    before = {name: value.clone() for name, value in nn.Sequential(*modules).state_dict().items()}
    method = make(cls, 0.5)
    network = attach(method, *modules, batch=(torch.randn(6, 4), torch.arange(6) % 3))
    assert network.training
    for name, value in network.state_dict().items():
        mask = method.masks.get(name.removesuffix(".weight"))
        assert torch.equal(value, before[name] if mask is None else before[name] * mask), name


# The lottery ticket


def disturb(network: nn.Module, seed: int) -> None:
    """What training would do: every parameter moves."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)


@pytest.mark.parametrize(("rewind", "early"), [(0.0, 0), (0.2, 2)])
def test_lottery_ticket_rewinds_to_the_tensors_of_its_early_step(rewind: float, early: int) -> None:
    torch.manual_seed(0)
    method = make(LotteryTicket, 0.125, prunings=3, rewind=rewind)
    network = attach(method, *mlp(8, 10, 4))
    assert method.rounds == 4
    start = {0: {name: value.clone() for name, value in network.state_dict().items()}}
    alive = torch.ones(120)
    for number in range(1, 5):
        for step in range(early + 1 if number > 1 else 1, 11):
            disturb(network, 100 * number + step)
            method.after_step(Progress(step, 10, 0))
            start.setdefault(step, {name: value.clone() for name, value in network.state_dict().items()})
        trained = {name: layer.weight.detach().clone() for name, layer in method.layers.items()}
        assert torch.equal(joined(trained) != 0, alive == 1)
        if number == 4:
            break
        assert method.rewind() == early
        kept = top(joined(trained).abs(), round(120 * 0.125 ** (number / 3)))
        assert torch.all(kept <= alive)
        alive = kept
        masks = {"0.weight": alive[:80].view(10, 8), "2.weight": alive[80:].view(4, 10)}
        for name, value in network.state_dict().items():
            assert torch.equal(value, start[early][name] * masks.get(name, torch.ones(()))), name
    assert int(alive.sum()) == 15


def test_lottery_ticket_trains_once_per_round_from_the_rewinding_step(make_config: Any) -> None:
    result = run_trial(make_config({"method": "lottery-ticket", "prunings": 2, "rewind": 0.1}))
    assert result.row["steps"] == 60 + 2 * (60 - 6)
    for number, density in enumerate((1, 0.1**0.5, 0.1)):
        (found,) = {point["density"] for point in result.curves if point["round"] == number}
        assert found == pytest.approx(density, abs=1e-3)
    assert [point["step"] for point in result.curves][-1] == result.row["steps"]
    assert sorted({point["round"] for point in result.curves}) == [0, 1, 2]


# Controls


def test_random_draws_erk_or_uniform_counts_and_looks_at_no_weight() -> None:
    for distribution, expected in {"erk": {"0": 18, "1": 14}, "uniform": {"0": 20, "1": 12}}.items():
        drawn = []
        for scale, seed in ((1.0, 0), (-5.0, 0), (1.0, 1)):
            method = make(Random, 0.1, seed, distribution=distribution)
            layers = [nn.Linear(20, 10, bias=False), nn.Linear(10, 12, bias=False)]
            for layer in layers:
                layer.weight.data *= scale
            attach(method, *layers)
            assert counts(method.masks) == expected  # sides 30 and 22: 32 · 30/52 = 18.46
            drawn.append(joined(method.masks))
        assert torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[0], drawn[2])


def test_layer_matched_random_prunes_as_many_per_layer_as_magnitudes_would() -> None:
    torch.manual_seed(0)
    method = make(RandomLayerMatched, 0.1, begin=0.0, end=1.0, updates=5, power=3)
    network = attach(method, nn.Linear(20, 30), nn.Linear(30, 10))
    network[1].weight.data *= 3
    before = torch.ones(900)
    for step in range(1, 6):
        weights = {name: weight.detach().clone() for name, weight in method.weights.items()}
        density = 0.1 + 0.9 * (1 - step / 5) ** 3
        by_size = top(joined(weights).abs(), round(900 * density))
        method.after_step(Progress(step, 5, 0))
        after = joined(method.masks)
        expected = {"0": int(by_size[:600].sum()), "1": int(by_size[600:].sum())}
        assert counts(method.masks) == counts(method.weights) == expected
        assert torch.all(after <= before)
        assert not torch.equal(after, by_size)
        before = after
    assert int(before.sum()) == 90


@pytest.mark.parametrize("score", ["snip", "magnitude"])
def test_shuffled_mask_keeps_the_counts_of_each_layer_and_not_the_places(score: str) -> None:
    modules, batch = classifier()
    weights, loss = loss_of(nn.Sequential(*modules), batch, 1)
    worth = weights.abs() * (
        torch.autograd.functional.jacobian(loss, weights).abs() if score == "snip" else 1
    )
    chosen = top(worth, 10)
    shuffled = []
    for seed in range(3):
        modules, batch = classifier()
        method = make(ShuffledMask, 10 / 35, seed, score=score)
        attach(method, *modules, batch=batch)
        assert counts(method.masks) == {"0": int(chosen[:20].sum()), "2": int(chosen[20:].sum())}
        shuffled.append(joined(method.masks))
    assert not any(torch.equal(a, b) for a, b in itertools.combinations([chosen, *shuffled], 2))


# Dynamic sparse training


def dynamic(cls: Any, weight: Tensor, mask: Tensor, **options: Any) -> tuple[Any, nn.Linear]:
    """A method on one layer, with a mask of the test's own."""
    method = make(cls, 0.5, every=1, end=1.0, fraction=0.5, **options)
    (layer,) = attach(method, nn.Linear(weight.shape[1], weight.shape[0], bias=False))
    layer.weight.data = weight.clone()
    method.set_masks({"0": mask})
    return method, layer


WEIGHT = torch.tensor([[0.5, -0.1, 0.2, -0.9, 0.3], [9.0, 9.0, 9.0, 9.0, 9.0]])
FIRST_ROW = torch.tensor([[1.0] * 5, [0.0] * 5])


def test_rigl_drops_the_smallest_weights_and_grows_the_largest_gradients_at_zero() -> None:
    method, layer = dynamic(RigL, WEIGHT, FIRST_ROW)
    gradient = torch.tensor([[5.0, 0.1, 0.1, 6.0, 7.0], [0.4, -3.0, 1.0, -0.5, 2.0]])
    layer.weight.grad = gradient.clone()
    early = Progress(1, 1000, 0)
    method.after_backward(early)
    assert torch.equal(layer.weight.grad, gradient * FIRST_ROW)
    layer.weight.data += 1e-3  # a step that moves every weight, masked ones as well
    method.after_step(early)
    # 2 of 5 move: 0.5 · ½(1 + cos(π/1000)) · 5 = 2.5
    assert method.masks["0"].tolist() == [[1.0, 0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0, 1.0]]
    kept = torch.tensor([[0.501, 0.0, 0.0, -0.899, 0.301], [0.0] * 5])
    assert torch.allclose(layer.weight, kept)
    assert int(layer.weight.count_nonzero()) == 3
    layer.weight.grad = gradient.clone()
    method.after_backward(Progress(2, 1000, 0))
    assert torch.equal(layer.weight.grad, gradient * method.masks["0"])  # grown weights learn


def test_rigl_may_grow_again_what_it_has_just_dropped() -> None:
    """Evci et al., algorithm 1: grow among all that are not left active after the drop."""
    method, layer = dynamic(RigL, WEIGHT, FIRST_ROW)
    layer.weight.grad = torch.tensor([[0.0, 9.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
    method.after_backward(Progress(1, 1000, 0))
    method.after_step(Progress(1, 1000, 0))
    assert method.masks["0"].tolist() == [[1.0, 1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0, 1.0]]


def test_set_drops_the_smallest_weights_and_grows_others_at_random_from_initial_values() -> None:
    places: set[tuple[int, ...]] = set()
    for seed in range(20):
        method, layer = dynamic(SET, WEIGHT, FIRST_ROW, seed=seed)
        layer.weight.grad = torch.tensor([[1.0] * 5, [1.0, 0.0, 0.0, 0.0, 0.0]])
        method.after_backward(Progress(1, 1000, 0))
        method.after_step(Progress(1, 1000, 0))
        assert torch.equal(layer.weight[0, [0, 3, 4]], WEIGHT[0, [0, 3, 4]])
        assert int(method.masks["0"].sum()) == 5
        grown = method.masks["0"][1]
        assert torch.equal(layer.weight[1], grown * method.initial["0"][1])
        assert int(layer.weight[1].count_nonzero()) == int(grown.sum())
        places.add(tuple(method.masks["0"][1].int().tolist()))
    assert len(places) > 5
    assert any(sum(place) == 2 for place in places)  # both of the dropped stay away


@pytest.mark.parametrize("cls", [SET, RigL])
def test_dynamic_methods_move_less_along_a_cosine_keep_each_density_and_stop(cls: Any) -> None:
    torch.manual_seed(0)
    method = make(cls, 0.25, every=5, fraction=0.41, end=0.75, distribution="uniform")
    layers = attach(method, nn.Linear(20, 20, bias=False), nn.Linear(20, 40, bias=False))
    # connections that were off grow first, so that those that move can be counted
    method.growth = lambda: {n: torch.rand(m.shape) - 2 * m for n, m in method.masks.items()}
    found = []
    for step in range(1, 21):
        before = method.masks["1"].clone()
        for layer in layers:
            layer.weight.grad = torch.randn_like(layer.weight)
        progress = Progress(step, 20, 0)
        method.after_backward(progress)
        with torch.no_grad():
            for layer in layers:
                layer.weight -= 0.1 * torch.randn_like(layer.weight)
        method.after_step(progress)
        assert counts(method.masks) == {"0": 100, "1": 200}
        assert all(torch.all((method.masks[n] == 1) | (w == 0)) for n, w in method.weights.items())
        found.append(int((before - method.masks["1"]).clamp_min(0).sum()))
    moved = {step: int(200 * 0.41 / 2 * (1 + math.cos(math.pi * step / 15))) for step in (5, 10)}
    assert found == [moved.get(step, 0) for step in range(1, 21)]


@pytest.mark.parametrize("cls", [SET, RigL])
def test_dynamic_methods_start_from_erk(cls: Any) -> None:
    """Density of a layer = ε (n_in + n_out + h + w) / (n_in · n_out · h · w), with one ε for all."""
    method = make(cls, 0.2)
    attach(method, nn.Conv2d(4, 8, 3), nn.Conv2d(8, 16, (5, 3)), nn.Linear(100, 60))
    shapes = {"0": (8, 4, 3, 3), "1": (16, 8, 5, 3), "2": (60, 100)}
    total = 0.2 * sum(math.prod(shape) for shape in shapes.values())
    epsilon = total / sum(sum(shape) for shape in shapes.values())
    for name, shape in shapes.items():
        density = min(1.0, epsilon * sum(shape) / math.prod(shape))
        assert counts(method.masks)[name] == pytest.approx(density * math.prod(shape), abs=1)
    assert sum(counts(method.masks).values()) == round(total)


# Regularisers


def test_l1_subgradient_adds_the_sum_of_sizes_until_the_cut() -> None:
    method = make(L1Subgradient, 0.4, strength=0.5, end=0.5)
    first, second = attach(method, linear([1.0, -2.0, 0.25]), linear([-3.0], [0.5]))
    penalty = method.penalty(Progress(1, 10, 0))
    assert float(penalty.detach()) == 0.5 * 6.75
    penalty.backward()
    assert first.weight.grad.tolist() == [[0.5, -0.5, 0.5]]
    assert second.weight.grad.tolist() == [[-0.5], [0.5]]
    for step in range(1, 5):
        method.after_step(Progress(step, 10, 0))
    assert int(first.weight.count_nonzero()) == 3  # it makes no zeros by itself
    method.after_step(Progress(5, 10, 0))
    assert first.weight.tolist() == [[0.0, -2.0, 0.0]]
    assert second.weight.tolist() == [[-3.0], [0.0]]
    assert method.penalty(Progress(6, 10, 0)) is None


def test_hoyer_square_by_hand_and_whatever_the_scale() -> None:
    weight = torch.tensor([[3.0, -4.0], [0.0, 1.0]], requires_grad=True)
    value = hoyer_square(weight)
    assert value.item() == pytest.approx(64 / 26)
    value.backward()
    # Yang et al., equation 5: 2 sign(w) Σ|w| / (Σw²)² · (Σw² − |w| Σ|w|)
    by_hand = torch.tensor([[2 * 8 / 676 * (26 - 24), -2 * 8 / 676 * (26 - 32)], [0.0, 16 / 676 * (26 - 8)]])
    assert weight.grad is not None
    assert torch.allclose(weight.grad, by_hand)
    assert hoyer_square(-1e3 * weight).item() == pytest.approx(64 / 26)
    assert float(hoyer_square(torch.tensor([0.0, -7.0, 0.0]))) == 1
    assert float(hoyer_square(torch.full((2, 3), -0.1))) == pytest.approx(6)


def test_deep_hoyer_sums_its_layers_until_the_cut() -> None:
    method = make(DeepHoyer, 0.5, strength=0.1, end=0.5)
    first, _ = attach(method, linear([3.0, -4.0]), linear([1.0], [1.0]))
    assert method.penalty(Progress(1, 2, 0)).item() == pytest.approx(0.1 * (49 / 25 + 2))
    method.after_step(Progress(1, 2, 0))
    assert method.penalty(Progress(2, 2, 0)) is None
    assert first.weight.tolist() == [[3.0, -4.0]]


def test_group_lasso_soft_thresholds_whole_columns() -> None:
    method = make(GroupLasso, None, meet_target=False, strength=10 / math.sqrt(2))
    (layer,) = attach(method, linear([3.0, 0.3, 0.0], [-4.0, 0.4, 2.0]))
    method.after_step(Progress(1, 10, 0, step_size=lambda _: 0.1))
    # thresholds: strength · √2 · 0.1 = 1; norms 5, 0.5 and 2
    assert torch.allclose(layer.weight, torch.tensor([[2.4, 0.0, 0.0], [-3.2, 0.0, 1.0]]))
    assert int(layer.weight[:, 1].count_nonzero()) == 0


def test_group_lasso_takes_a_neurons_own_inputs_once_nobody_reads_it() -> None:
    method = make(GroupLasso, None, meet_target=False, strength=1.0)
    batch = (torch.randn(2, 2), NO_BATCH[1])
    first, second = attach(method, linear([5.0, 6.0], [7.0, 8.0]), linear([0.05, 4.0]), batch=batch)
    method.after_step(Progress(1, 1, 0, step_size=lambda _: 0.1))
    assert int(first.weight.count_nonzero()) == 4
    method.finalise()
    assert second.weight.tolist() == [[0.0, pytest.approx(3.9)]]
    assert (first.weight != 0).tolist() == [[False, False], [True, True]]


def test_group_lasso_ranks_units_against_those_of_their_layer_that_are_left() -> None:
    """Two of four inputs are empty: against the mean of all four the lesser of the others would
    outrank the lesser neuron of the second layer."""
    method = make(GroupLasso, 0.5, strength=0.0, end=1.0)
    batch = (torch.randn(2, 4), NO_BATCH[1])
    first = linear([0.9, 1.0, 0.0, 0.0], [0.9, 1.0, 0.0, 0.0])
    attach(method, first, linear([1.1, 1.05], [1.1, 1.05]), batch=batch)
    masks = method.cut()  # the best of each layer, then 1.05 (of 1.075) before 0.9 (of 0.95, not 0.475)
    assert masks["0"].tolist() == [[0, 1, 0, 0], [0, 1, 0, 0]]
    assert masks["1"].tolist() == [[1, 1], [1, 1]]


# Neurons, channels and patterns


def reach(masks: list[Tensor]) -> list[Tensor]:
    """Connections on a path from input to output, by products of 0/1 matrices (no biases)."""
    found = []
    for i, mask in enumerate(masks):
        ahead, behind = torch.ones(masks[0].shape[1]), torch.ones(masks[-1].shape[0])
        for earlier in masks[:i]:
            ahead = ((earlier @ ahead) > 0).float()
        for later in reversed(masks[i + 1 :]):
            behind = ((behind @ later) > 0).float()
        found.append(mask * behind[:, None] * ahead)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_alive_connections_are_those_on_a_path(seed: int) -> None:
    torch.manual_seed(seed)
    network = nn.Sequential(*mlp(6, 9, 8, 4, bias=False))
    weights = {name: network.get_parameter(f"{name}.weight") for name in ("0", "2", "4")}
    masks = {name: (torch.rand(weight.shape) < 0.15).float() for name, weight in weights.items()}
    expected = reach(list(masks.values()))
    found = Paths(network, torch.zeros(3, 6)).alive(masks)
    assert [mask.tolist() for mask in found.values()] == [mask.tolist() for mask in expected]
    assert sum(counts(found).values()) < sum(counts(masks).values())


def test_paths_are_not_followed_through_norms_without_a_shift() -> None:
    """What a neuron without inputs sends on there is its running mean, which is not zero."""
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False), nn.ReLU(), nn.Linear(3, 2))
    masks = {"0": torch.zeros(3, 4), "3": torch.ones(2, 3)}
    found = Paths(network, torch.zeros(2, 4)).alive(masks)
    assert counts(found) == counts(masks)


NETWORKS: dict[str, tuple[list[nn.Module], tuple[int, ...]]] = {
    "biases": (mlp(4, 6, 5, 3), (4,)),
    "no biases": (mlp(4, 6, 5, 3, bias=False), (4,)),
    "batch norm": ([nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)], (4,)),
    "convolution": (
        [nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.ReLU(), nn.Conv2d(3, 2, 2, bias=False), nn.Flatten(),
         nn.Linear(8, 2)], (1, 3, 3)),
    "max pooling": (
        [nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
         nn.Linear(3, 2)], (1, 2, 2)),
}  # fmt: skip


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_connection_is_alive_exactly_if_the_output_changes_without_it(kind: str) -> None:
    """Brute force: positive weights and images, each connection removed in turn."""
    torch.manual_seed(0)
    modules, shape = NETWORKS[kind]
    network = nn.Sequential(*modules).double().eval()
    for parameter in network.parameters():
        parameter.data = torch.rand_like(parameter) + 0.5
    layers = {n: m for n, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    masks = {n: (torch.rand_like(layer.weight) < 0.4).double() for n, layer in layers.items()}
    images = torch.rand(200, *shape, dtype=torch.float64)
    alive = Paths(network, images).alive(masks)
    state = {f"{name}.weight": layer.weight.detach() * masks[name] for name, layer in layers.items()}
    full = functional_call(network, state, (images,))
    pruned = {f"{name}.weight": layer.weight.detach() * alive[name] for name, layer in layers.items()}
    assert torch.allclose(functional_call(network, pruned, (images,)), full)
    for name, mask in masks.items():
        for place in mask.flatten().nonzero()[:, 0]:
            without = state[f"{name}.weight"].flatten().index_fill(0, place, 0).view_as(mask)
            output = functional_call(network, state | {f"{name}.weight": without}, (images,))
            assert bool(alive[name].flatten()[place]) == (not torch.allclose(output, full)), (name, place)


@pytest.mark.parametrize(
    ("scale", "inputs", "hidden"), [("layer", [0, 1], [0, 2]), ("global", [0, 1, 2], [2])]
)
def test_neuron_norm_keeps_the_units_whose_readers_weigh_most(
    scale: str, inputs: list[int], hidden: list[int]
) -> None:
    """Norms of the readers are 3, 4, 1 (inputs) and 0.2, 0.1, 0.4 (hidden neurons)."""
    method = make(NeuronNorm, 8 / 15, scale=scale, begin=0.0, end=1.0, updates=1)
    first, second = attach(
        method,
        linear([3.0, -4.0, 1.0], [-3.0, 4.0, 1.0], [3.0, 4.0, -1.0]),
        nn.ReLU(),
        linear([0.2, 0.1, -0.4], [-0.2, 0.1, 0.4]),
        batch=(torch.zeros(2, 3), NO_BATCH[1]),
    )[::2]
    method.after_step(ONLY_STEP)
    grid = {(row, column) for row in hidden for column in inputs}
    assert {(int(r), int(c)) for r, c in first.weight.nonzero()} == grid
    assert sorted({int(column) for _, column in second.weight.nonzero()}) == hidden
    assert int(second.weight.count_nonzero()) == 2 * len(hidden)
    assert all(first.weight[r, c].abs().item() == [3, 4, 1][c] for r, c in grid)


def test_neuron_norm_keeps_one_unit_of_each_layer_at_any_density() -> None:
    torch.manual_seed(0)
    method = make(NeuronNorm, 0.001, begin=0.0, end=1.0, updates=1)
    network = attach(method, *mlp(8, 6, 5, 3), batch=(torch.zeros(2, 8), NO_BATCH[1]))
    network[0].weight.data[:, :3] *= 100  # the three best units of all are in one layer
    method.after_step(ONLY_STEP)
    assert counts(method.masks) == {"0": 1, "2": 1, "4": 3}


def test_slimming_removes_the_channels_with_the_smallest_scales_and_only_what_they_feed() -> None:
    torch.manual_seed(0)
    method = make(NetworkSlimming, 0.5, strength=0.1, end=0.5)
    network = attach(
        method,
        *[nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 2), nn.BatchNorm2d(3), nn.ReLU()],
        *[nn.Flatten(), nn.Linear(12, 2)],
        batch=(torch.zeros(2, 1, 4, 4), NO_BATCH[1]),
    )
    network[1].weight.data = torch.tensor([0.9, -0.1, -0.8, 0.2])
    network[4].weight.data = torch.tensor([0.3, -0.7, 0.05])
    for norm in (network[1], network[4]):
        norm.bias.data.normal_()
        norm.running_mean.normal_()
    penalty = method.penalty(Progress(1, 2, 0))
    assert penalty.item() == pytest.approx(0.1 * 3.05)
    penalty.backward()
    assert torch.equal(network[1].weight.grad, torch.tensor([0.1, -0.1, -0.1, 0.1]))
    silenced = {name: value.clone() for name, value in network.state_dict().items()}
    method.after_step(Progress(1, 2, 0))
    # by scale 0.9 0.8 0.7 0.3 0.2 …: four channels leave 8 + 16 + 16 = 40 of 88, five would leave 52
    assert torch.equal(network[1].weight, torch.tensor([0.9, 0.0, -0.8, 0.0]))
    assert torch.equal(network[4].weight, torch.tensor([0.3, -0.7, 0.0]))
    assert counts(method.masks) == {"0": 8, "3": 16, "7": 16}
    assert method.penalty(Progress(2, 2, 0)) is None
    for name, kept in {"1": [1, 0, 1, 0], "4": [1, 1, 0]}.items():
        for part in ("weight", "bias"):
            silenced[f"{name}.{part}"] *= torch.tensor(kept)
    images = torch.randn(5, 1, 4, 4)
    network.eval()
    assert torch.allclose(network(images), functional_call(network, silenced, (images,)), atol=1e-6)


class PreActivation(nn.Module):
    """The second norm reads a sum, and comes right behind a layer with as many channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.last = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        before = self.first(images)
        out: torch.Tensor = self.last(before + self.second(self.norm(before).relu())).mean((2, 3))
        return out


class Concatenated(nn.Module):
    """As in a DenseNet: the second norm reads more channels than the layer in front of it has."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.last = nn.Conv2d(4, 3, 3, padding=1), nn.BatchNorm2d(7)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        before = self.norm(self.first(images)).relu()
        out: torch.Tensor = self.last(torch.cat([before, self.second(before)], 1)).mean((2, 3))
        return out


@pytest.mark.parametrize("kind", [PreActivation, Concatenated])
def test_slimming_leaves_norms_alone_that_read_more_than_their_layer(kind: type[nn.Module]) -> None:
    method, network = make(NetworkSlimming, 0.9, strength=0.1, end=0.5), kind()
    layers = {name: network.get_submodule(name) for name in ("first", "second")}
    method.attach(network, layers, (torch.zeros(2, 1, 5, 5), NO_BATCH[1]))
    assert method.norms == {"first": "norm"}
    assert network.training
    method.after_step(Progress(1, 2, 0))
    assert {*method.channels} == {"first"}


def test_slimming_without_a_norm_that_reads_its_layer_alone_says_so() -> None:
    method, network = make(NetworkSlimming, 0.9), PreActivation()
    with pytest.raises(
        ValueError, match="no batch norm in scope reads the output of the layer in front of it"
    ):
        method.attach(network, {"second": network.second}, (torch.zeros(2, 1, 5, 5), NO_BATCH[1]))


def test_two_of_four_keeps_the_two_largest_of_each_four_in_a_row() -> None:
    method = make(NM, None)
    (layer,) = attach(
        method,
        linear(
            [1.0, -4.0, 3.0, -2.0, 0.1, 0.2, -0.3, 0.05, 7.0], [9.0, 8.0, -7.0, 6.0, 1.0, 2.0, 3.0, -4.0, 0.5]
        ),
    )
    assert (
        layer.weight.tolist()
        == torch.tensor([[0, -4, 3, 0, 0, 0.2, -0.3, 0, 7], [9, 8, 0, 0, 0, 0, 3, -4, 0.5]]).tolist()
    )


def test_n_m_groups_follow_n_and_m() -> None:
    method = make(NM, None, n=1, m=3)
    (layer,) = attach(method, linear([1.0, -2.0, 0.5, 3.0, 4.0, -5.0]))
    assert layer.weight.tolist() == [[0.0, -2.0, 0.0, 0.0, 0.0, -5.0]]


def test_n_m_passes_gradients_straight_through_and_decays_what_is_masked() -> None:
    """SR-STE: g(W̃) + λ (1 − mask) ⊙ W; masks are chosen anew and then stand."""
    method = make(NM, None, refine=0.1, every=2, end=0.75)
    network = attach(method, linear([1.0, -2.0, 3.0, -4.0]))
    gradient = [0.5, -1.0, 2.0, 4.0]

    def step(number: int) -> list[float]:
        network.zero_grad()
        network(torch.tensor([gradient])).sum().backward()
        method.after_backward(Progress(number, 8, 0))
        found: list[float] = method.weights["0"].grad[0].tolist()
        method.after_step(Progress(number, 8, 0))
        return found

    assert step(1) == pytest.approx([0.5 + 0.1 * 1, -1 - 0.1 * 2, 2, 4])
    method.weights["0"].data[0, 0] = 5.0
    assert network[0].weight.tolist() == [[0.0, 0.0, 3.0, -4.0]]
    step(2)
    assert network[0].weight.tolist() == [[5.0, 0.0, 0.0, -4.0]]
    assert step(3) == pytest.approx([0.5, -1 - 0.2, 2 + 0.3, 4])
    assert step(6) == [0.5, 0.0, 0.0, 4.0]  # past `end` the mask's own gradient
    method.weights["0"].data[0, 1] = 9.0
    step(8)
    assert network[0].weight.tolist() == [[5.0, 0.0, 0.0, -4.0]]
    method.finalise()
    assert network[0].weight.tolist() == [[5.0, 0.0, 0.0, -4.0]]


def test_what_is_attached_does_not_hide_the_paths() -> None:
    """Neurons' switchers use up their budget on connections that lead somewhere."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    paths = Paths(network, torch.zeros(1, 20))
    weights = {name: layer.weight for name, layer in network.named_children() if isinstance(layer, nn.Linear)}
    scores = {name: torch.rand(weight.shape[1]) for name, weight in weights.items()}
    before = select_units(scores, weights, 0.3, paths)
    for name in weights:
        parametrize.register_parametrization(network.get_submodule(name), "weight", nn.Identity())
    after = select_units(scores, weights, 0.3, paths)
    assert all(torch.equal(before[name], after[name]) for name in weights)
    assert all(torch.equal(mask, paths.alive(after)[name]) for name, mask in after.items())
    total = sum(weight.numel() for weight in weights.values())
    assert 0.2 < sum(int(mask.sum()) for mask in after.values()) / total <= 0.3


@pytest.mark.parametrize("classes", [2, 4, 10])
def test_paths_that_end_in_a_softmax_cannot_be_followed(classes: int) -> None:
    class Logs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 5), nn.Linear(5, classes)
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            return F.log_softmax(self.scale * self.second(self.first(x).relu()), 1)

    network = Logs()
    masks = {"first": torch.ones(5, 6), "second": torch.ones(classes, 5)}
    masks["first"][0] = 0
    found = Paths(network, torch.zeros(3, 6)).alive(masks)
    assert all(torch.equal(found[name], mask) for name, mask in masks.items())
