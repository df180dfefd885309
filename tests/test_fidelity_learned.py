"""What makes each method with learned switches that method, by hand or by another way of computing."""

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.testing import assert_close

from switchbench import datasets
from switchbench.methods import (
    DST,
    L0,
    STR,
    ContinuousSparsification,
    Magnitude,
    Powerpropagation,
    Progress,
    Switcher,
    SwitcherEquivariant,
    SwitcherNeurons,
    SwitcherPaper,
    VariationalDropout,
)
from switchbench.methods.contract import OTHERS, WEIGHTS
from switchbench.methods.l0 import GATES
from switchbench.methods.parts import concrete, pruning_schedules
from switchbench.methods.parts.noise import NoiseTable
from switchbench.methods.powerpropagation import Powered
from switchbench.methods.switchers import unet as unet_module
from switchbench.methods.switchers.equivariant import EquivariantReader
from switchbench.methods.switchers.gates import BARELY, Budgeted, Step, gates, openness, threshold
from switchbench.methods.switchers.row import RowReader
from switchbench.methods.switchers.turns import READER, READER_NORMS
from switchbench.methods.switchers.unet import UNet, UNetReader
from switchbench.methods.thresholds import Masking, Shrinking, long_tail
from switchbench.methods.variational import NOISE, Divergence
from switchbench.spec.training import TrainingConfig
from switchbench.trial import seeds
from switchbench.trial.loop import Training
from switchbench.trial.optimisers import Optimisers
from switchbench.trial.run import run_trial

SHAPES = ((5, 6), (4, 5))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def attach(method: Any, *shapes: tuple[int, int]) -> list[nn.Linear]:
    layers = [nn.Linear(inputs, outputs) for outputs, inputs in shapes]
    batch = (torch.zeros(2, shapes[0][1]), torch.zeros(2, dtype=torch.int64))
    method.attach(nn.Sequential(*layers), {str(i): layer for i, layer in enumerate(layers)}, batch)
    return layers


def make(cls: Any, density: float | None, **options: Any) -> Any:
    return cls(cls.Config(**options), density, torch.Generator().manual_seed(0))


def slopes(function: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
    """Value and gradients of a function whose output is weighted with fixed unequal numbers."""
    variables = [each.detach().clone().requires_grad_() for each in inputs]
    value = function(*variables)
    weights = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).view(value.shape)
    return value.detach(), *torch.autograd.grad((value * weights).sum(), variables)


def doubles(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, dtype=torch.float64)


# L0


def test_hard_concrete_sample_and_its_gradient() -> None:
    logits, noise = doubles(200, scale=3), doubles(200, scale=3)
    value, slope = slopes(lambda x: concrete.sample(x, noise), logits)
    plain, expected = slopes(
        lambda x: (torch.sigmoid((noise + x) / (2 / 3)) * (1.1 + 0.1) - 0.1).clamp(0, 1), logits
    )
    assert_close(value, plain)
    assert_close(slope, expected)
    assert (value == 0).any()
    assert (value == 1).any()
    assert ((value > 0) & (value < 1)).any()


def test_probability_of_an_open_gate_is_how_often_it_opens() -> None:
    logits = torch.tensor([-4.0, -2.0, -1.0, 0.0, 1.0, 3.0])
    many = logits.expand(100_000, -1)
    often = (concrete.sample(many, concrete.logistic(torch.empty_like(many))) > 0).float().mean(0)
    assert_close(concrete.open_probability(logits), often, atol=0.006, rtol=0)


def test_expected_open_gates_and_their_gradient() -> None:
    logits = doubles(50, scale=2)
    value, slope = slopes(concrete.expected_open, logits)
    plain, expected = slopes(lambda x: torch.sigmoid(x - 2 / 3 * math.log(0.1 / 1.1)).sum(), logits)
    assert_close(value, plain)
    assert_close(slope, expected)


def test_noise_table_is_logistic_and_read_from_random_places() -> None:
    noise = NoiseTable(concrete.logistic, torch.device("cpu"), 1000)
    uniform = noise.table.double().sigmoid().sort().values
    assert (uniform - torch.linspace(0, 1, len(uniform), dtype=torch.float64)).abs().max() < 0.003
    like = torch.empty(20, 50)
    first, second = noise.draw(like), noise.draw(like)
    assert first.shape == like.shape
    assert not torch.equal(first, second)
    starts = torch.stack([noise.draw(torch.empty(1)) for _ in range(2000)])
    assert starts.mean().abs() < 0.25  # standard error 0.04
    assert starts.var() == pytest.approx(math.pi**2 / 3, rel=0.2)


def test_l0_gates_start_as_open_as_asked_and_are_sampled_in_training() -> None:
    method: L0 = make(L0, None, start=0.8, every=1)
    (layer,) = attach(method, (40, 50))
    assert method.learned["0"].logits.sigmoid().mean().item() == pytest.approx(0.8, abs=0.005)
    method.before_step(Progress(1, 10, 0))
    gate = layer.weight / method.weights["0"]
    logit = math.log(0.8 / 0.2)
    expected = 1 / (1 + math.exp(-(logit - 2 / 3 * math.log(0.1 / 1.1))))
    assert (gate > 0).float().mean().item() == pytest.approx(expected, abs=0.03)
    assert not torch.equal(layer.weight, layer.weight)


def test_l0_gates_have_no_noise_in_evaluation_and_are_folded() -> None:
    method: L0 = make(L0, None)
    (layer,) = attach(method, (1, 4))
    raw = torch.tensor([[1.0, -2.0, 3.0, -4.0]])
    method.weights["0"].data = raw.clone()
    method.learned["0"].logits.data = torch.tensor([[-3.0, 0.0, 3.0, math.log(3)]])
    layer.eval()
    expected = raw * torch.tensor([[0.0, 0.5, 1.0, 0.8]])  # 1.2 σ − 0.1, clamped
    assert_close(layer.weight, expected)
    assert layer.weight[0, 0] == 0
    method.finalise()
    assert_close(layer.weight.data, expected)


def test_l0_neuron_gates_switch_columns_and_count_for_all_their_weights() -> None:
    method: L0 = make(L0, None, units="neuron", strength=0.5, every=1)
    layers = attach(method, *SHAPES)
    method.before_step(Progress(1, 10, 0))
    gate = layers[0].weight / method.weights["0"]
    assert_close(gate, gate[:1].expand_as(gate))
    with torch.no_grad():
        method.learned["0"].logits.copy_(torch.tensor([[-9.0, 9, 9, -9, 9, 9]]))
        method.learned["1"].logits.copy_(torch.tensor([[-9.0, 9, 9, 9, 9]]))
    penalty = method.penalty(Progress(1, 10, 0))
    assert penalty is not None
    shift = 2 / 3 * math.log(1 / 11)
    open_ = [torch.sigmoid(method.learned[name].logits - shift).sum() for name in "01"]
    assert_close(penalty, 0.5 * (5 * open_[0] + 4 * open_[1]))
    method.network.eval()
    method.finalise()
    assert layers[1].weight.count_nonzero(0).tolist() == [0, 4, 4, 4, 4]
    assert layers[0].weight.count_nonzero(0).tolist() == [0, 4, 4, 0, 4, 4]
    assert layers[0].weight[0].count_nonzero() == 0  # nobody reads that neuron any more


def test_l0_shares_a_sample_over_every_so_many_steps() -> None:
    method: L0 = make(L0, None, every=3)
    (layer,) = attach(method, (20, 30))
    seen: list[Tensor] = []
    for step in range(1, 9):
        progress, fresh = Progress(step, 10, 0), step % 3 == 1
        method.before_step(progress)
        effective = layer.weight
        (slope,) = torch.autograd.grad(effective.sum(), method.learned["0"].logits, allow_unused=True)
        seen.append(effective.detach())
        assert (slope is not None) == fresh
        assert set(method.learning(progress)) == ({WEIGHTS, OTHERS, GATES} if fresh else {WEIGHTS, OTHERS})
        assert (method.penalty(progress) is not None) == fresh
    same = [torch.equal(one, other) for one, other in itertools.pairwise(seen)]
    assert same == [True, True, False, True, True, False, True]


# Variational dropout


def divergence(weight: Tensor, log_variance: Tensor) -> Tensor:
    log_alpha = log_variance - weight.square().log()
    negative = 0.63576 * torch.sigmoid(1.87320 + 1.48695 * log_alpha) - 0.5 * (-log_alpha).exp().log1p()
    return (0.63576 - negative).sum()


def test_divergence_and_its_gradients() -> None:
    weight = doubles(60).abs().add(0.1) * torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(30)
    log_variance = doubles(60, scale=4)
    found = slopes(Divergence.apply, weight, log_variance)
    for one, other in zip(found, slopes(divergence, weight, log_variance), strict=True):
        assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_divergence_is_that_from_the_log_uniform_prior() -> None:
    """Against E log|ε| − ½ log α + (γ + log 2) / 2 for ε ~ N(1, α), which goes to 0 for large α."""
    places = 400_000
    normal = torch.special.ndtri((torch.arange(places, dtype=torch.float64) + 0.5) / places)
    for log_alpha in (-6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0):
        exact = (1 + math.exp(log_alpha / 2) * normal).abs().log().mean() - log_alpha / 2
        exact += (0.5772156649 + math.log(2)) / 2
        value = Divergence.apply(torch.ones(1), torch.tensor([log_alpha]))
        assert float(value) == pytest.approx(float(exact), abs=0.02), log_alpha


def test_divergence_of_weights_with_hardly_any_noise_is_finite() -> None:
    value = Divergence.apply(torch.ones(1), torch.tensor([-20.0]))
    assert float(value) == pytest.approx(0.63576 + 10, rel=1e-3)


def test_divergence_fades_in_and_weighs_on_the_weights_for_the_steps_between() -> None:
    method: VariationalDropout = make(VariationalDropout, None, strength=0.1, every=4, fade=0.4)
    attach(method, (3, 4))
    weight, log_variance = method.weights["0"], method.learned["0"].log_variance
    assert method.penalty(Progress(4, 100, 0)) is None
    for step, faded in ((21, 0.525), (41, 1.0), (81, 1.0)):
        penalty = method.penalty(Progress(step, 100, 0))
        assert penalty is not None
        plain = 0.1 * faded * divergence(weight, log_variance)
        assert_close(penalty, plain, rtol=1e-3, atol=1e-5)
        found = torch.autograd.grad(penalty, [weight, log_variance])
        expected = torch.autograd.grad(plain, [weight, log_variance])
        assert_close(found[0], 4 * expected[0], rtol=1e-3, atol=1e-4)
        assert_close(found[1], expected[1], rtol=1e-3, atol=1e-5)
    assert set(method.learning(Progress(3, 100, 0))) == {WEIGHTS, OTHERS}
    assert set(method.learning(Progress(5, 100, 0))) == {WEIGHTS, OTHERS, NOISE}


@pytest.mark.parametrize(
    ("layer", "image"),
    [
        (nn.Linear(3, 2), torch.tensor([[1.0, -2.0, 0.5]])),
        (nn.Conv2d(2, 3, 3, stride=2, padding=1), torch.linspace(-1, 2, 32).view(1, 2, 4, 4)),
    ],
)
def test_local_reparametrisation_is_noise_on_the_weights(layer: nn.Module, image: Tensor) -> None:
    method: VariationalDropout = make(VariationalDropout, None)
    method.attach(nn.Sequential(layer), {"0": layer}, (image, torch.zeros(1, dtype=torch.int64)))
    weight, noise = method.weights["0"].detach(), method.learned["0"]
    nn.init.uniform_(noise.log_variance, -3, 0)
    noise.update()
    draws = 20_000
    sampled = weight + (0.5 * noise.log_variance.detach()).exp() * torch.randn(draws, *weight.shape)
    with torch.no_grad():
        outputs = layer(image.expand(draws, *image.shape[1:])).flatten(1)
        bias = layer.get_parameter("bias").repeat(draws)
        if isinstance(layer, nn.Linear):
            reference = F.linear(image, sampled.flatten(0, 1), bias)
        else:
            reference = F.conv2d(image, sampled.flatten(0, 1), bias, stride=2, padding=1)
    reference = reference.reshape(draws, -1)
    spread = reference.std(0)
    assert ((outputs.mean(0) - reference.mean(0)) / spread).abs().max() < 0.05
    assert_close(outputs.std(0), spread, rtol=0.04, atol=0)


def test_variances_follow_the_log_variances_and_carry_their_gradient() -> None:
    method: VariationalDropout = make(VariationalDropout, None, every=3)
    (layer,) = attach(method, (2, 3))
    noise = method.learned["0"]
    noise.table.table.fill_(1.0)
    images = torch.randn(5, 3)
    for step, learned in ((1, True), (2, False), (3, False), (4, True)):
        noise.log_variance.data += 0.5 if learned else 0.0
        method.after_step(Progress(step, 100, 0))
        assert_close(noise.variance, noise.log_variance.exp())
        (found,) = torch.autograd.grad(layer(images).square().sum(), noise.log_variance)
        weight, bias = method.weights["0"], layer.get_parameter("bias")
        spread = F.linear(images.square(), noise.log_variance.exp())
        outputs = F.linear(images, weight, bias) + (spread + 1e-8).sqrt()
        (expected,) = torch.autograd.grad(outputs.square().sum(), noise.log_variance)
        assert_close(found, expected)


def test_variational_dropout_drops_what_is_mostly_noise_and_leaves_no_hook() -> None:
    method: VariationalDropout = make(VariationalDropout, None)
    (layer,) = attach(method, (1, 4))
    method.weights["0"].data = torch.tensor([[1.0, -1.0, 1.0, 2.0]])
    method.learned["0"].log_variance.data = torch.tensor([[2.99, 3.01, 40.0, 3.01]])
    images = torch.randn(6, 4)
    assert not torch.equal(layer(images), layer(images))
    layer.eval()
    expected = torch.tensor([[1.0, 0.0, 0.0, 2.0]])  # log α of the last is 3.01 − log 4
    assert torch.equal(layer.weight, expected)
    assert torch.equal(layer(images), F.linear(images, expected, layer.bias))
    method.finalise()
    assert torch.equal(layer.weight, expected)
    layer.train()
    assert torch.equal(layer(images), F.linear(images, expected, layer.bias))
    assert not layer._forward_hooks


# Dynamic sparse training


def test_long_tailed_estimator() -> None:
    points = torch.tensor([0.0, 0.1, 0.3, 0.399, 0.5, 0.99, 1.01, 5.0])
    expected = torch.tensor([2.0, 1.6, 0.8, 0.404, 0.4, 0.4, 0.0, 0.0])
    assert_close(long_tail(points.clone()), expected)
    assert_close(long_tail(-points), expected)


@pytest.mark.parametrize("shape", [(4, 30), (4, 3, 5, 5)])
def test_masking_and_its_gradients(shape: tuple[int, ...]) -> None:
    """Against autograd through w · m(|w| − t), where m has the step's value and the slope of the
    estimator's integral."""

    def reference(weight: Tensor, t: Tensor) -> Tensor:
        distance = weight.abs() - t.view(-1, *(1,) * (len(shape) - 1))
        size = distance.abs()
        tail = torch.where(size < 1, 0.48 + 0.4 * (size - 0.4), 0.72 + 0 * size)
        soft = distance.sign() * torch.where(size < 0.4, 2 * size - 2 * size**2, tail)
        return weight * ((distance > 0).double() + soft - soft.detach())

    weight = doubles(*shape)
    t = doubles(shape[0]).abs()
    for one, other in zip(slopes(Masking.apply, weight, t), slopes(reference, weight, t), strict=True):
        assert_close(one, other)


def test_dst_has_a_threshold_per_neuron_which_the_penalty_raises() -> None:
    method: DST = make(DST, None, strength=0.5)
    (layer,) = attach(method, (2, 3))
    t = method.learned["0"].t
    assert t.tolist() == [0, 0]
    t.data = torch.tensor([0.3, math.log(2)])
    method.weights["0"].data = torch.tensor([[0.2, -0.4, 0.6], [0.2, -0.8, 0.6]])
    assert_close(layer.weight.detach(), torch.tensor([[0, -0.4, 0.6], [0, -0.8, 0]]))
    penalty = method.penalty(Progress(1, 10, 0))
    assert penalty.item() == pytest.approx(0.5 * (math.exp(-0.3) + 0.5))
    (slope,) = torch.autograd.grad(penalty, [t])
    assert_close(slope, torch.tensor([-0.5 * math.exp(-0.3), -0.25]))
    method.finalise()
    assert_close(layer.weight.data, torch.tensor([[0, -0.4, 0.6], [0, -0.8, 0]]))


def test_dst_resets_a_layer_with_too_little_left() -> None:
    method: DST = make(DST, None, floor=0.3, every=5)
    attach(method, (2, 4), (2, 2))
    method.weights["0"].data = torch.tensor([[0.1, -0.2, 0.3, 0.4], [0.1, 0.2, 0.3, -0.4]])
    method.weights["1"].data = torch.tensor([[0.1, -0.9], [0.2, 0.8]])
    for threshold_ in method.learned.values():
        threshold_.t.data.fill_(0.35)
    method.after_step(Progress(4, 10, 0))
    assert method.learned["0"].t.tolist() == pytest.approx([0.35, 0.35])
    method.after_step(Progress(5, 10, 0))  # 2 of 8 are left in one layer, 2 of 4 in the other
    assert method.learned["0"].t.tolist() == [0, 0]
    assert method.learned["1"].t.tolist() == pytest.approx([0.35, 0.35])


# Soft threshold reparametrisation


def test_soft_threshold_and_its_gradients() -> None:
    weight, s = doubles(7, 9), torch.tensor(-0.5, dtype=torch.float64)
    threshold_ = float(s.sigmoid())
    found = slopes(lambda w, s: Shrinking.apply(w, s.sigmoid()), weight, s)
    expected = slopes(lambda w, s: w.sign() * (w.abs() - s.sigmoid()).relu(), weight, s)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other)
    assert torch.equal(found[0] == 0, weight.abs() <= threshold_)
    assert 0 < int((found[0] == 0).sum()) < weight.numel()


def test_str_has_a_threshold_per_layer_which_weight_decay_raises() -> None:
    method: STR = make(STR, None, start=-4.0, strength=0.5, threshold_lr=0.1)
    layers = attach(method, *SHAPES)
    groups = method.parameter_groups()
    assert [parameter.shape for parameter in groups[0].parameters] == [torch.Size([])] * 2
    optimisers = Optimisers(TrainingConfig(steps=1), {WEIGHTS: [*method.weights.values()]}, groups)
    torch.stack([0 * layer.weight.sum() for layer in layers]).sum().backward()
    optimisers.step(1.0)
    s = method.learned["0"].s
    assert s.item() == pytest.approx(-4 + 0.1 * 0.5 * 4)
    s.data.fill_(0.0)
    assert method.found()["threshold of 0"] == 0.5
    method.weights["0"].data = torch.tensor([[0.5, -0.5, 0.75, -0.75, 0.25, 2.0]])
    method.finalise()
    assert torch.equal(layers[0].weight.data, torch.tensor([[0, 0, 0.25, -0.25, 0, 1.5]]))


# Continuous sparsification


def test_sigmoid_gates_and_their_gradients() -> None:
    """Loss and penalty together, against autograd."""
    method: ContinuousSparsification = make(
        ContinuousSparsification, None, strength=0.3, hardness=100, end=0.5
    )
    (layer,) = attach(method, (4, 5))
    gate, weight = method.learned["0"], method.weights["0"]
    nn.init.normal_(gate.s, std=0.2)
    progress = Progress(25, 100, 0)
    method.before_step(progress)
    upstream = torch.randn(4, 5)
    effective = layer.weight
    assert_close(effective, weight * torch.sigmoid(10 * gate.s))  # β = 100^(0.25 / 0.5)
    penalty = method.penalty(progress)
    assert penalty is not None
    found = torch.autograd.grad((effective * upstream).sum() + penalty, [weight, gate.s])
    soft = torch.sigmoid(10 * gate.s)
    plain = (weight * soft * upstream).sum() + 0.3 * soft.sum()
    assert penalty.item() == pytest.approx(0.3 * soft.sum().item(), rel=1e-5)
    for one, other in zip(found, torch.autograd.grad(plain, [weight, gate.s]), strict=True):
        assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_hardness_grows_exponentially_until_the_mask_stands() -> None:
    method: ContinuousSparsification = make(ContinuousSparsification, None, hardness=16, end=0.8)
    (layer,) = attach(method, (4, 5))
    gate, raw = method.learned["0"], method.weights["0"]
    nn.init.normal_(gate.s)
    gate.s.data[0, 0] = 0  # not above zero: off
    hard = raw * (gate.s > 0)
    for step in range(1, 11):
        method.before_step(Progress(step, 10, 0))
        layer.train()
        if step < 8:
            assert gate.beta == pytest.approx(2 ** (step / 2))
            assert not torch.equal(layer.weight, hard)
            assert method.penalty(Progress(step, 10, 0)) is not None
        else:
            assert torch.equal(layer.weight, hard)
            assert method.penalty(Progress(step, 10, 0)) is None
        layer.eval()
        assert torch.equal(layer.weight, hard)
    method.finalise()
    assert torch.equal(layer.weight, hard)


# Powerpropagation


@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0, 2.5, 3.0])
def test_powerpropagation_starts_from_the_same_function(exponent: float) -> None:
    method: Powerpropagation = make(Powerpropagation, 0.5, exponent=exponent)
    layer = nn.Linear(6, 5)
    before = layer.weight.detach().clone()
    method.attach(nn.Sequential(layer), {"0": layer}, (torch.zeros(2, 6), torch.zeros(2, dtype=torch.int64)))
    assert_close(layer.weight.detach(), before, rtol=1e-5, atol=1e-7)
    raw = method.weights["0"].detach()
    assert_close(raw, before.sign() * before.abs() ** (1 / exponent))
    assert_close(layer.weight.detach(), raw * raw.abs() ** (exponent - 1))


@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0, 2.5, 3.0])
def test_powerpropagation_gradient(exponent: float) -> None:
    theta = doubles(30)
    found = slopes(lambda x: Powered.apply(x, exponent), theta)
    expected = slopes(lambda x: x.sign() * x.abs() ** exponent, theta)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other)
    if exponent > 1:
        zero = torch.zeros(3, dtype=torch.float64)
        assert slopes(lambda x: Powered.apply(x, exponent), zero)[1].tolist() == [0, 0, 0]


def test_powerpropagation_prunes_the_smallest_weights() -> None:
    method: Powerpropagation = make(Powerpropagation, 0.5, exponent=3, begin=0.0, end=0.5)
    layers = attach(method, (1, 4), (2, 1))
    layers[0].weight = torch.tensor([[0.1, -0.6, 0.2, -0.05]])
    layers[1].weight = torch.tensor([[-0.3], [0.01]])
    for step in range(1, 11):
        method.after_step(Progress(step, 10, 0))
    for layer, expected in zip(layers, ([[0, -0.6, 0.2, 0]], [[-0.3], [0]]), strict=True):
        assert_close(layer.weight.detach(), torch.tensor(expected))
    (layers[0](torch.randn(2, 4)) ** 2).sum().backward()
    gradient = method.weights["0"].grad
    assert gradient is not None
    assert (gradient != 0).tolist() == [[False, True, True, False]]
    method.finalise()
    assert torch.equal(layers[0].weight != 0, torch.tensor([[False, True, True, False]]))


# Gate functions of the switchers


def test_threshold_is_the_middle_between_on_and_off() -> None:
    logits, on = torch.tensor([3.0, -1.0, 2.0, 0.0]), torch.tensor([1.0, 0.0, 1.0, 0.0])
    assert float(threshold(logits, on)) == 1
    assert float(threshold(logits, torch.ones(4))) == -2


def test_budgeted_gradient_conserves_the_budget_and_is_a_soft_top_ks() -> None:
    """Against autograd through σ((z − τ) / T), with dτ from the implicit function theorem."""
    logits, temperature, on = doubles(9), 0.7, torch.zeros(9, dtype=torch.float64)
    on[logits.topk(4).indices] = 1
    lowest = logits[on == 1].min()

    def soft(z: Tensor) -> Tensor:
        slope = torch.softmax(-2 * F.softplus((lowest - logits) / temperature) - logits / temperature, 0)
        moved = lowest + (slope * (z - logits)).sum()  # σ' / Σσ', since σ' = σ² exp(−x)
        return torch.sigmoid((z - moved) / temperature)

    hard, found = slopes(lambda z: Budgeted.apply(z, on, temperature), logits)
    assert torch.equal(hard, on)
    assert_close(found / temperature, slopes(soft, logits)[1])
    assert float(found.sum()) == pytest.approx(0, abs=1e-12)
    assert found.abs().max() > 0.01


def test_step_gates_are_straight_through() -> None:
    logits = torch.tensor([-1.0, 0.0, 0.5], dtype=torch.float64)
    value, found = slopes(lambda z: Step.apply(z, 2.0), logits)
    assert value.tolist() == [0, 0, 1]
    assert_close(found, 2 * slopes(lambda z: torch.sigmoid(z / 2), logits)[1])


@pytest.mark.parametrize("kind", ["binary", "relu", "hard_concrete"])
@pytest.mark.parametrize("noisy", [False, True])
def test_gates_are_exactly_zero_where_the_budget_closes_them(kind: Any, noisy: bool) -> None:
    logits, on = torch.randn(500), torch.zeros(500)
    on[logits.topk(100).indices] = 1
    gate = gates(kind, logits, on, 2.0, noisy)
    assert torch.equal(gate == 0, on == 0)
    assert gate.min() == 0
    assert gate[on == 1].min() >= BARELY


def test_gates_by_hand() -> None:
    logits, on = torch.tensor([3.0, -1.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 1.0, 0.0])
    assert_close(gates("relu", logits, on, 2.0, False), torch.tensor([2.5, 0, 0.5, 0]))
    assert_close(gates("relu", logits, None, 2.0, False), torch.tensor([3.0, 0, 1, 0]))
    assert gates("binary", logits, None, 2.0, False).tolist() == [1, 0, 1, 0]
    assert gates("binary", logits, on, 2.0, False).tolist() == [1, 0, 1, 0]
    soft = torch.sigmoid(logits / 2 - math.log(11)) * 1.2 - 0.1  # opens above zero, like the others
    assert_close(gates("hard_concrete", logits, None, 2.0, False), soft.relu())
    above = torch.sigmoid((logits - 0.5) / 2 - math.log(11)) * 1.2 - 0.1  # closed up to the threshold
    assert (above > 0).tolist() == [True, False, True, False]
    assert_close(gates("hard_concrete", logits, on, 2.0, False), above.relu())


def test_what_a_penalty_weighs() -> None:
    logits = torch.tensor([3.0, -1.0, 1.0, 0.0])
    assert float(openness("relu", logits, 2.0)) == pytest.approx(1.0)
    assert_close(openness("binary", logits, 2.0), torch.sigmoid(logits / 2).mean())
    many = logits.expand(100_000, -1)
    often = (gates("hard_concrete", many, None, 2.0, noisy=True) > 0).float().mean()
    assert_close(openness("hard_concrete", logits, 2.0), often, atol=0.005, rtol=0)


# Readers


@pytest.mark.parametrize(
    ("shape", "convolutions", "norms"),
    [
        ((784, 300), 9 * 43_656 + 4 * 43_648 + 9 * 43_648 + 72, 504 + 2 * 248 + 1),
        ((300, 100), 9 * 10_888 + 4 * 10_880 + 9 * 10_880 + 72, 248 + 2 * 120 + 1),
        ((100, 10), 9 * 10_888 + 2 * 10_752 + 4 * 128 + 9 * 10_880 + 72, 248 + 2 * 120 + 1),
    ],
)
def test_unet_has_the_published_sizes(shape: tuple[int, int], convolutions: int, norms: int) -> None:
    assert sum(parameter.numel() for parameter in UNet(*shape).parameters()) == convolutions + 2 * norms


def test_batch_norm_and_relu_follow_transposed_convolutions() -> None:
    unet, order = UNet(17, 24), []
    for module in unet.modules():
        if not [*module.children()]:
            module.register_forward_hook(lambda module, *_: order.append(type(module)))
    unet(torch.randn(17, 24))
    places = [i for i, kind in enumerate(order) if kind is nn.ConvTranspose2d]
    assert len(places) == 2
    assert all(order[i + 1 : i + 3] == [nn.BatchNorm2d, nn.ReLU] for i in places)
    assert order[-2:] == [nn.Conv2d, nn.BatchNorm2d]


def by_hand(unet: Any, weight: Tensor) -> Tensor:
    """A U-Net in PyTorch's usual memory format, with nothing done in place."""

    def normed(image: Tensor, norm: Any) -> Tensor:
        return F.batch_norm(image, None, None, norm.weight, norm.bias, training=True)

    def block(image: Tensor, layers: Any) -> Tensor:
        return normed(F.conv2d(image, layers[0].weight.contiguous(), padding=1), layers[1]).relu()

    levels = [block(weight.contiguous()[None, None], unet.first)]
    for down in unet.down:
        levels.append(block(F.max_pool2d(levels[-1], down[0].kernel_size), down[1]))
    image = levels.pop()
    for up, grown, merge in zip(unet.up, unet.grown, unet.merge, strict=True):
        skip = levels.pop()
        odd = [had % new for had, new in zip(skip.shape[2:], up.stride, strict=True)]
        larger = F.conv_transpose2d(image, up.weight.contiguous(), stride=up.stride, output_padding=odd)
        image = block(torch.cat([skip, normed(larger, grown[0]).relu()], dim=1), merge)
    return normed(F.conv2d(image, unet.last[0].weight.contiguous(), padding=1), unet.last[1])[0, 0]


@pytest.mark.parametrize("shape", [(49, 66), (130, 131), (60, 5)])
def test_fast_unet_equals_one_by_hand(shape: tuple[int, int]) -> None:
    unet, weight = UNet(*shape).double(), doubles(*shape[::-1]).T.requires_grad_()
    sought = [weight, *unet.parameters()]
    upstream = doubles(*shape)
    found, expected = unet(weight), by_hand(unet, weight)
    assert_close(found, expected)
    pairs = zip(*(torch.autograd.grad(gates, sought, upstream) for gates in (found, expected)), strict=True)
    for one, other in pairs:
        assert_close(one, other)


@pytest.mark.parametrize("shape", [(130, 131), (60, 5)])
@pytest.mark.parametrize("frozen", ["weight", "readers"])
def test_what_saves_time_in_the_unet_changes_no_bit(
    shape: tuple[int, int], frozen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, weight, upstream = (
        UNet(*shape),
        torch.randn(*shape, requires_grad=frozen != "weight"),
        torch.randn(shape),
    )
    for parameter in fast.parameters():
        parameter.requires_grad_(frozen == "weight" or parameter.dim() == 1)
    plain = copy.deepcopy(fast)
    for module in plain.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False

    def results(unet: UNet) -> list[Tensor]:
        learning = [each for each in (weight, *unet.parameters()) if each.requires_grad]
        gates = unet(weight)
        return [gates, *torch.autograd.grad(gates, learning, upstream)]

    found = results(fast)
    monkeypatch.setattr(unet_module, "VECTOR", 0)
    for one, other in zip(found, results(plain), strict=True):
        assert torch.equal(one, other)


def test_unet_reader_sees_inputs_by_outputs_and_gives_one_logit_per_gate() -> None:
    seen: list[torch.Size] = []
    for units, expected in ((False, (9, 20)), (True, (20,))):
        reader = UNetReader(9, 20, units)
        reader.unet.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
        assert reader(torch.randn(9, 20), torch.ones(9, 20)).shape == expected
    assert seen == [(20, 9)] * 2


@pytest.mark.parametrize("units", [False, True])
def test_equivariant_reader_follows_permutations(units: bool) -> None:
    reader = EquivariantReader(hidden=8, rank=3, units=units, silent=False).double()
    weight, gate = doubles(12, 7), (torch.rand(12, 7) > 0.5).double()
    rows, columns = torch.randperm(12), torch.randperm(7)
    scores, moved = reader(weight, gate), reader(weight[rows][:, columns], gate[rows][:, columns])
    assert_close(moved, scores[columns] if units else scores[rows][:, columns])
    assert scores.std() > 1e-3


@pytest.mark.parametrize("units", [False, True])
def test_row_reader_reads_one_neurons_weights(units: bool) -> None:
    reader = RowReader(5, 6, hidden=8, units=units, silent=False)
    weight, changed = torch.randn(5, 6), torch.randn(5, 6)
    index = (slice(None), 2) if units else 2
    changed[index] = weight[index]
    scores, others = (reader(each, torch.ones(5, 6)) for each in (weight, changed))
    assert scores.shape == ((6,) if units else (5, 6))
    assert_close(scores[2], others[2])
    assert not torch.allclose(scores[3], others[3])


# The papers' switchers

PAPER: dict[str, Any] = {
    "reader": "unet", "sees": "weights", "prior": "none", "normalise": False, "detach": False, "gate": "relu",
    "schedule": "epochs", "sparsity": "none", "begin": 0, "end": 1, "reader_optimizer": "sgd", "reader_lr": 0.1,
}  # fmt: skip


@pytest.mark.parametrize(("preset", "units"), [(SwitcherPaper, "connection"), (SwitcherNeurons, "neuron")])
def test_presets_have_the_papers_settings(preset: type[Switcher], units: str) -> None:
    options = preset.Config().model_dump()
    expected = PAPER | {"units": units}
    assert {key: options[key] for key in expected} == expected
    assert not preset.takes_target(preset.Config())
    method = make(preset, None)
    attach(method, (9, 16))
    groups = method.parameter_groups()
    assert {group.name for group in groups} == {READER, READER_NORMS}
    assert all(
        (group.optimizer, group.lr, group.momentum, group.weight_decay) == ("sgd", 0.1, 0, 0)
        for group in groups
    )


def parameters(module: nn.Module, kind: tuple[type[nn.Module], ...]) -> Tensor:
    found = [p for m in module.modules() if isinstance(m, kind) for p in m.parameters(recurse=False)]
    return torch.cat([parameter.detach().flatten() for parameter in found])


@pytest.mark.parametrize("preset", [SwitcherPaper, SwitcherNeurons])
def test_networks_take_turns_by_epoch_exactly(preset: type[Switcher], make_config: Any) -> None:
    seen: list[tuple[int, Tensor, Tensor, Tensor, Tensor]] = []

    class Watched(preset):  # type: ignore[valid-type,misc]
        def after_step(self, progress: Progress) -> None:
            super().after_step(progress)
            weights = torch.cat([weight.detach().flatten() for weight in self.weights.values()])
            kernels = parameters(self.readers, (nn.Conv2d, nn.ConvTranspose2d))
            norms, biases = (
                parameters(self.readers, (nn.BatchNorm2d,)),
                parameters(self.network, (nn.Linear,)),
            )
            seen.append((progress.epoch, weights, kernels, norms, biases))

    config = make_config(preset.name, network={"network": "mlp", "hidden": [16]})
    training = TrainingConfig(epochs=4, batch_size=512)
    splits = datasets.split(datasets.load("digits"), 0.1, seeds.generator(0, "split"))
    network = config.network.build(splits.input_shape, 10)
    layers = {"1": network[1], "3": network[3]}
    Training(network, layers, make(Watched, None), splits, training, seed=0).run()
    assert [row[0] for row in seen] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    for (_, *before), (epoch, *after) in itertools.pairwise(seen):
        moved = [not torch.equal(one, other) for one, other in zip(before, after, strict=True)]
        assert moved == [epoch % 2 == 0, epoch % 2 == 1, True, True]


@pytest.mark.parametrize("detach", [False, True])
def test_the_weights_gradient_flows_through_the_reader_unless_detached(detach: bool) -> None:
    method: Switcher = make(SwitcherPaper, None, detach=detach)
    (layer,) = attach(method, (16, 20))
    upstream, weight = torch.randn(16, 20), method.weights["0"]
    method.before_step(Progress(1, 10, 0))
    found = torch.autograd.grad((layer.weight * upstream).sum(), weight)[0]
    reader: Any = method.readers[0]
    gate = reader.unet((weight.detach() if detach else weight).T).T.relu()
    assert_close(
        found, torch.autograd.grad((weight * gate * upstream).sum(), weight)[0], rtol=1e-3, atol=1e-4
    )
    assert torch.allclose(found, upstream * gate, atol=1e-3) == detach


@pytest.mark.parametrize("preset", [SwitcherPaper, SwitcherNeurons])
def test_gates_are_folded_into_plain_weights(preset: type[Switcher]) -> None:
    method = make(preset, None)
    layers = attach(method, (30, 40), (10, 30))
    for step in (9, 10):
        method.before_step(Progress(step, 10, 1))
        method.network(torch.randn(4, 40))
        method.after_step(Progress(step, 10, 1))
    method.network.eval()
    images = torch.randn(5, 40)
    before, raw = method.network(images), method.weights["0"].detach().clone()
    logits = method.readers.eval()[0](raw, raw)
    method.finalise()
    assert_close(method.network(images), before)
    folded = layers[0].weight.detach()
    assert 0 < folded.count_nonzero() < folded.numel()
    if preset is SwitcherPaper:
        assert_close(folded, raw * logits.relu())
    else:
        assert torch.equal(folded.count_nonzero(0) > 0, logits > 0)
    assert not parametrize.is_parametrized(layers[0])


# The family


@pytest.mark.parametrize("reader", ["equivariant", "row", "free"])
def test_switcher_is_magnitude_pruning_until_the_reader_learns(reader: str) -> None:
    window = {"begin": 0.1, "end": 0.6, "updates": 7}
    switcher: Switcher = make(SwitcherEquivariant, 0.15, reader=reader, every=3, **window)
    magnitude: Magnitude = make(Magnitude, 0.15, **window)
    layers, plain = attach(switcher, (20, 30), (8, 20)), attach(magnitude, (20, 30), (8, 20))
    for name, weight in magnitude.weights.items():
        weight.data = switcher.weights[name].detach().clone()
    counts = []
    for step in range(1, 41):
        progress = Progress(step, 40, 0)
        switcher.before_step(progress)
        switcher.after_step(progress)
        magnitude.after_step(progress)
        if pruning_schedules.due(step, 40, 0.1, 0.6, 7):
            counts.append(sum(int(layer.weight.count_nonzero()) for layer in layers))
            assert all(
                torch.equal(one.weight, other.weight) for one, other in zip(layers, plain, strict=True)
            )
    assert len(counts) == 7
    assert counts[-1] == round(0.15 * 760)


def test_switcher_without_learning_keeps_the_units_with_the_largest_weights() -> None:
    method: Switcher = make(SwitcherEquivariant, 0.5, units="neuron", begin=0.0, end=0.5)
    (layer,) = attach(method, (5, 8))
    norms = method.weights["0"].norm(dim=0)
    for step in range(1, 11):
        method.after_step(Progress(step, 10, 0))
    assert torch.equal(layer.weight.count_nonzero(0) > 0, norms >= norms.topk(4).values.min())


def test_every_kth_step_is_the_readers_and_gates_stand_between() -> None:
    options = {"every": 16, "begin": 0.125, "end": 0.5, "keep_learning": 0.5, "updates": 3}
    method: Switcher = make(SwitcherEquivariant, 0.3, **options)
    (layer,) = attach(method, (20, 30))
    reads, changes, before = [], [], layer.weight.detach().clone()
    for step in range(1, 161):
        progress = Progress(step, 160, 0)
        learning = set(method.learning(progress))
        assert learning in ({READER}, {WEIGHTS, OTHERS})
        reads += [step] if learning == {READER} else []
        method.before_step(progress)
        assert method.gates["0"].gate.requires_grad == (learning == {READER})
        method.after_step(progress)
        changes += [] if torch.equal(layer.weight, before) else [step]
        before = layer.weight.detach().clone()
        if step in (50, 100):
            for parameter in method.readers.parameters():
                nn.init.normal_(parameter)
    assert reads == [32, 48, 64, 80, 96, 112]
    assert set(changes) <= {*reads, 40, 60, 80}
    assert {40, 60, 64, 112} <= set(changes)


@pytest.mark.parametrize("kind", ["binary", "relu", "hard_concrete"])
def test_a_penalty_lowers_the_density(kind: str, make_config: Any) -> None:
    def density(strength: float) -> float:
        options = {"gate": kind, "sparsity": "penalty", "strength": strength, "every": 2, "reader_lr": 0.3}
        found: float = run_trial(
            make_config({"method": "switcher-equivariant", "reader": "free", **options})
        ).row["density"]
        return found

    assert density(1000.0) < density(0.0) - 0.1


def watch(method: Switcher, seen: list[tuple[Tensor, Tensor]]) -> None:
    method.readers[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs))


def test_normalised_weights_have_unit_root_mean_square() -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    method: Switcher = make(SwitcherEquivariant, 0.3, normalise=True, begin=0.0, end=0.9, updates=10)
    attach(method, (6, 7))
    watch(method, seen)
    weight = method.weights["0"].detach().clone()
    for step in (5, 6):
        gate = method.gates["0"].gate
        method.after_step(Progress(step, 10, 0))
    assert_close(seen[1][0], weight / weight.square().mean().sqrt())
    assert torch.equal(seen[1][1], gate)
    assert gate.unique().tolist() == [0, 1]


def test_shuffled_control_shows_weights_and_gates_in_one_fixed_other_order() -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    method: Switcher = make(SwitcherEquivariant, 0.3, sees="shuffled", begin=0.0, end=0.9, updates=10)
    attach(method, (6, 7))
    watch(method, seen)
    weight = method.weights["0"].detach().clone()
    gates_before = []
    for step in (5, 6):
        gates_before.append(method.gates["0"].gate.detach().clone())
        method.after_step(Progress(step, 10, 0))
    for (shown, gate), before in zip(seen, gates_before, strict=True):
        assert torch.equal(shown.flatten().sort().values, weight.flatten().sort().values)
        assert (shown == weight).float().mean() < 0.3
        order = (weight.flatten()[None] == shown.flatten()[:, None]).float().argmax(1)
        assert torch.equal(gate.flatten(), before.flatten()[order])
    assert torch.equal(seen[0][0], seen[1][0])
    assert not torch.equal(seen[0][1], seen[1][1])


def at_rest(sees: str, units: str, prior: str, scale: float) -> tuple[Tensor, Tensor]:
    """Random weights (6 × 8) and which of them a control keeps at half density while it learns nothing."""
    seen: list[tuple[Tensor, Tensor]] = []
    method: Switcher = make(SwitcherEquivariant, 0.5, sees=sees, begin=0.0, units=units, prior=prior)
    (layer,) = attach(method, (6, 8))
    weight = scale * torch.randn(6, 8)
    method.weights["0"].data = weight.clone()
    watch(method, seen)
    for step in range(1, 11):
        method.after_step(Progress(step, 10, 0))
    if sees == "constant":
        assert all(torch.equal(shown, torch.ones(6, 8)) for pair in seen for shown in pair)
    kept = layer.weight != 0
    assert int(kept.sum()) == 24
    return weight.abs(), kept


@pytest.mark.parametrize("units", ["connection", "neuron"])
def test_constant_control_without_a_prior_knows_nothing_of_the_weights(units: str) -> None:
    _, first = at_rest("constant", units, "none", 1.0)
    _, again = at_rest("constant", units, "none", 5.0)
    assert torch.equal(first, again)


@pytest.mark.parametrize("units", ["connection", "neuron"])
@pytest.mark.parametrize("sees", ["constant", "shuffled"])
def test_controls_of_the_input_keep_the_prior(sees: str, units: str) -> None:
    size, kept = at_rest(sees, units, "magnitude", 1.0)
    worth = size if units == "connection" else size.square().mean(0).expand_as(size)
    assert worth[kept].min() > worth[~kept].max()


@pytest.mark.parametrize(("units", "number"), [("connection", 30 + 20), ("neuron", 6 + 5)])
def test_free_gates_learn_a_number_each_on_top_of_magnitudes(units: str, number: int) -> None:
    method: Switcher = make(SwitcherEquivariant, 0.5, reader="free", begin=0.0, end=0.5, units=units)
    layers = attach(method, *SHAPES)
    (group,) = method.parameter_groups()
    assert sum(parameter.numel() for parameter in group.parameters) == number
    assert not any(parameter.any() for parameter in group.parameters)

    def chosen() -> list[Tensor]:
        method._switch(1.0, noisy=False)
        return [layer.weight != 0 for layer in layers]

    first = chosen()
    for raw in method.weights.values():
        nn.init.normal_(raw)
    prior = method.weights["0"].detach().abs()
    again = chosen()
    assert not torch.equal(first[0], again[0])
    if units == "connection":  # at rest they prune by magnitude
        assert prior[again[0]].min() > prior[~again[0]].max()
    reader: Any = method.readers[0]
    with torch.no_grad():
        reader.logits[..., -1] = 100.0
        reader.logits[..., 0] = -100.0
    moved = chosen()[0]
    assert moved[:, -1].all()
    assert not moved[:, 0].any()


FAMILY = itertools.product(
    ["equivariant", "row", "unet", "free"],
    ["binary", "relu", "hard_concrete"],
    ["connection", "neuron"],
    ["steps", "epochs"],
    ["target", "penalty", "none"],
)


@pytest.mark.parametrize(("reader", "gate", "units", "schedule", "sparsity"), FAMILY)
def test_parts_go_together(
    reader: str, gate: str, units: str, schedule: str, sparsity: str, make_config: Any
) -> None:
    """Ten steps, in epochs of three; a target is met exactly, by neurons not exceeded."""
    options = {"reader": reader, "gate": gate, "units": units, "schedule": schedule, "sparsity": sparsity}
    result = run_trial(
        make_config(
            {"method": "switcher-equivariant", **options, **({"every": 2} if schedule == "steps" else {})},
            0.2 if sparsity == "target" else None,
            network={"network": "mlp", "hidden": [9]},
            training={"steps": 10, "batch_size": 512},
        )
    )
    weights = [result.network.get_parameter(f"{i}.weight") for i in (1, 3)]
    assert all(weight.isfinite().all() for weight in weights)
    left, total = sum(int(weight.count_nonzero()) for weight in weights), 64 * 9 + 9 * 10
    if sparsity != "target":
        assert 0 < left < total
    elif units == "connection":
        assert left == round(0.2 * total)
    else:
        assert 0.15 * total < left <= round(0.2 * total)


@pytest.mark.parametrize(("end", "keep_learning"), [(0.7, 0.0), (0.6, 0.25)])
@pytest.mark.parametrize("gate", ["binary", "relu"])
def test_turns_by_epoch_may_end_between_two_steps(
    end: float, keep_learning: float, gate: str, make_config: Any
) -> None:
    """Turns end after 5.6 of 8 steps, in the reader's epoch; gates then stand, at the target."""
    options = {"schedule": "epochs", "gate": gate, "end": end, "keep_learning": keep_learning}
    training = {"steps": 8, "batch_size": 512}
    row = run_trial(make_config({"method": "switcher-equivariant", **options}, 0.1, training=training)).row
    assert row["density"] == 164 / 1640
