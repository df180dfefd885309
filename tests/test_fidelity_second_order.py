"""Methods of second order, of probabilities and of phases, by hand or by another way of computing."""

import itertools
import re
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from switchbench.methods import ACDC, CAP, GraNet, ProbMask, Progress, RateRewinding, SRigL
from switchbench.methods.parts import surgeon
from switchbench.methods.parts.noise import NoiseTable
from switchbench.methods.probmask import Relaxed, RelaxedMask, project

BATCH = (torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def make(cls: Any, density: float | None, **options: Any) -> Any:
    return cls(cls.Config(**options), density, torch.Generator().manual_seed(0))


def attach(method: Any, *shapes: tuple[int, int]) -> list[nn.Linear]:
    layers = [nn.Linear(inputs, outputs) for outputs, inputs in shapes]
    batch = (torch.zeros(2, shapes[0][1]), torch.zeros(2, dtype=torch.int64))
    method.attach(nn.Sequential(*layers), {str(i): layer for i, layer in enumerate(layers)}, batch)
    return layers


# Optimal brain surgeon


def hessians(blocks: int, size: int) -> Tensor:
    root = torch.randn(blocks, size, 3 * size, dtype=torch.float64)
    return root @ root.mT / (3 * size)


def least_loss(hessian: Tensor, weights: Tensor, removed: list[int]) -> tuple[float, Tensor]:
    """Half δᵀHδ at its lowest with the removed weights at zero, by solving for the free ones."""
    free = [place for place in range(len(weights)) if place not in removed]
    change = torch.zeros_like(weights)
    change[removed] = -weights[removed]
    if free and removed:
        cross = hessian[free][:, removed] @ change[removed]
        change[free] = -torch.linalg.solve(hessian[free][:, free], cross)
    return float(0.5 * change @ hessian @ change), weights + change


def test_inverses_are_those_of_the_damped_fisher_matrix() -> None:
    gradients = torch.randn(7, 3, 4, dtype=torch.float64)
    found = surgeon.inverse_fisher(gradients, damping=0.1)
    fisher = torch.einsum("sbi,sbj->bij", gradients, gradients) / 7
    mean = fisher.diagonal(dim1=1, dim2=2).mean()
    torch.testing.assert_close(
        found, torch.linalg.inv(fisher + 0.1 * mean * torch.eye(4, dtype=torch.float64))
    )


def test_correction_minimises_the_quadratic_loss_of_a_removal() -> None:
    hessian, weights = hessians(5, 6), torch.randn(5, 6, dtype=torch.float64)
    removed = (torch.rand(5, 6) < 0.5).double()
    removed[0], removed[1] = 0, 1
    found = surgeon.corrected(weights, torch.linalg.inv(hessian), removed)
    for block in range(5):
        _, expected = least_loss(hessian[block], weights[block], removed[block].nonzero().flatten().tolist())
        torch.testing.assert_close(found[block], expected)


def test_losses_of_removal_are_those_of_removing_one_by_one() -> None:
    hessian, weights = hessians(4, 5), torch.randn(4, 5, dtype=torch.float64)
    found = surgeon.removal_losses(weights, torch.linalg.inv(hessian))
    for block in range(4):
        removed: list[int] = []
        before = highest = 0.0
        while len(removed) < 5:
            left = [place for place in range(5) if place not in removed]
            costs = {
                place: least_loss(hessian[block], weights[block], [*removed, place])[0] for place in left
            }
            chosen = min(costs, key=lambda place: costs[place])
            highest = max(highest, costs[chosen] - before)
            assert found[block, chosen] == pytest.approx(highest, rel=1e-4)
            before = costs[chosen]
            removed.append(chosen)
        assert found[block].argsort().tolist() == removed


def test_cap_prunes_and_corrects_each_block_as_the_quadratic_says() -> None:
    method: CAP = make(CAP, 0.5, begin=0.0, end=1.0, updates=1, samples=6, block=4, damping=0.01)
    (layer,) = attach(method, (2, 4))
    weights = layer.weight.detach().clone()
    gradients = torch.randn(6, 2, 4)
    for step in range(1, 7):
        layer.weight.grad = gradients[step - 1].clone()
        method.after_backward(Progress(step, 6, 0))
        method.after_step(Progress(step, 6, 0))
    fisher = torch.einsum("sbi,sbj->bij", gradients, gradients).double() / 6  # a row is a block of four
    fisher += 0.01 * fisher.diagonal(dim1=1, dim2=2).mean() * torch.eye(4)
    assert int(layer.weight.count_nonzero()) == 4
    for row in range(2):
        removed = (layer.weight[row] == 0).nonzero().flatten().tolist()
        _, expected = least_loss(fisher[row], weights[row].double(), removed)
        torch.testing.assert_close(layer.weight[row].detach(), expected.float(), atol=1e-4, rtol=1e-3)

    def loss(kept: tuple[int, ...]) -> float:
        gone = [place for place in range(8) if place not in kept]
        parts = ([place - 4 * row for place in gone if place // 4 == row] for row in range(2))
        return sum(least_loss(fisher[row], weights[row].double(), part)[0] for row, part in enumerate(parts))

    every = {kept: loss(kept) for kept in itertools.combinations(range(8), 4)}
    kept = tuple(layer.weight.flatten().nonzero().flatten().tolist())
    assert sorted(every.values()).index(every[kept]) < 7  # greedy: among the best tenth of all choices


def test_cap_forms_blocks_of_what_is_left() -> None:
    method: CAP = make(CAP, 0.25, begin=0.0, end=1.0, updates=2, samples=4, block=3)
    layers = attach(method, (4, 4), (2, 4))
    for step in range(1, 9):
        for layer in layers:
            layer.weight.grad = torch.randn_like(layer.weight)
        method.after_backward(Progress(step, 8, 0))
        method.after_step(Progress(step, 8, 0))
        if step == 5:
            left = method._positions()
            assert len(left) == sum(int(layer.weight.count_nonzero()) for layer in layers) < 24
    assert sum(int(layer.weight.count_nonzero()) for layer in layers) == 6
    assert not method.event


# Probabilities


def test_projection_is_the_nearest_point_within_the_budget() -> None:
    values = torch.randn(50, dtype=torch.float64) + 0.5
    found = project(values, 10.0)
    assert float(found.sum()) == pytest.approx(10.0, abs=1e-2)
    assert ((found >= 0) & (found <= 1)).all()
    inner = (found > 0) & (found < 1)
    shifts = (values - found)[inner]  # the conditions of Karush, Kuhn and Tucker: one multiplier
    assert float(shifts.max() - shifts.min()) < 1e-6
    shift = float(shifts.mean())
    assert (values[found == 0] <= shift + 1e-6).all()
    assert (values[found == 1] >= shift + 1 - 1e-6).all()
    assert torch.equal(project(found, 20.0), found)


def test_relaxed_masks_and_their_gradients() -> None:
    weight = torch.randn(30, dtype=torch.float64, requires_grad=True)
    p = torch.rand(30, dtype=torch.float64).mul(0.8).add(0.1).requires_grad_()
    noise = torch.rand(30, dtype=torch.float64).logit()
    scale = torch.linspace(-1, 2, 30, dtype=torch.float64)
    found = torch.autograd.grad((Relaxed.apply(weight, p, noise, 0.5) * scale).sum(), [weight, p])
    plain = weight * torch.sigmoid(((p / (1 - p)).log() + noise) / 0.5)
    torch.testing.assert_close(found, torch.autograd.grad((plain * scale).sum(), [weight, p]))


def test_a_relaxed_mask_is_mostly_open_as_often_as_its_probability_says() -> None:
    weight = nn.Parameter(torch.ones(4))
    mask = RelaxedMask(
        weight, NoiseTable(lambda t: t.uniform_(1e-6, 1 - 1e-6).logit_(), torch.device("cpu"), 4)
    )
    mask.p.data = torch.tensor([0.1, 0.5, 0.9, 1.0])
    mask.temperature = 0.01
    with torch.no_grad():
        often = torch.stack([mask(weight) > 0.5 for _ in range(4_000)]).float().mean(0)
    torch.testing.assert_close(often, mask.p.detach(), atol=0.04, rtol=0)


def test_prob_mask_ends_with_the_most_probable_connections() -> None:
    method: ProbMask = make(ProbMask, 0.25, begin=0.0, end=0.5)
    (layer,) = attach(method, (2, 4))
    method.relaxed["0"].p.data = torch.tensor([[0.9, 0.1, 0.2, 0.3], [0.4, 0.5, 0.05, 0.6]])
    for step in range(1, 11):
        method.before_step(Progress(step, 10, 0))
        method.after_step(Progress(step, 10, 0))
        assert float(method.relaxed["0"].p.sum()) <= method.kept + 1e-3
    layer.eval()
    method.finalise()
    assert layer.weight.nonzero().tolist() == [[0, 0], [1, 3]]


# Phases and growth


def test_granet_prunes_then_replaces_small_weights_by_large_gradients() -> None:
    method: GraNet = make(GraNet, 0.5, begin=0.0, end=1.0, updates=2, regenerate=0.8)
    (layer,) = attach(method, (2, 4))
    layer.weight.data = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    layer.weight.grad = torch.tensor([[-9.0, 0.1, 0.2, 0.3], [0.4, 0.5, 0.6, 0.7]])
    method.after_backward(Progress(1, 2, 0))
    method.after_step(Progress(1, 2, 0))
    # the schedule leaves round(8 · 9/16) = 4; of 5, 6, 7, 8 one (0.4 · 4) makes room for the largest gradient of what is off, 9 at weight 1
    assert method.masks["0"].tolist() == [[1, 0, 0, 0], [0, 1, 1, 1]]
    assert layer.weight.tolist() == [[0, 0, 0, 0], [0, 6, 7, 8]]


def test_granet_keeps_the_schedules_densities_and_grows_from_zero() -> None:
    method: GraNet = make(GraNet, 0.25, begin=0.0, end=0.5, updates=5, power=3)
    (layer,) = attach(method, (4, 10))
    for step in range(1, 21):
        before = layer.weight.detach().clone()
        layer.weight.grad = torch.randn_like(layer.weight)
        method.after_backward(Progress(step, 20, 0))
        method.after_step(Progress(step, 20, 0))
        if step % 2 == 0 and step <= 10:
            passed = step / 10
            assert int(method.masks["0"].sum()) == round(40 * (0.25 + 0.75 * (1 - passed) ** 3))
        grown = (before == 0) & method.masks["0"].bool() if method.masks else torch.zeros(1)
        assert not (layer.weight * grown).any()
        layer.weight.data += 0.01 * method.masks.get("0", torch.ones(1)) * torch.randn_like(layer.weight)
    assert int((method.masks["0"]).sum()) == 10


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"updates": 1}, "updates 1: nothing grows at the only event: use magnitude"),
        ({"schedule": "one-shot"}, "schedule 'one-shot': nothing grows at the only event: use magnitude"),
    ],
)
def test_granet_that_cannot_grow_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        GraNet.Config(**options)


def test_ac_dc_without_a_compressed_phase_before_the_last_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        ACDC.Config(phases=0)


def test_ac_dc_has_phases_between_begin_and_end() -> None:
    with pytest.raises(ValueError, match=r"begin 0.7 must come before end 0.6"):
        ACDC.Config(begin=0.7, end=0.6)


def test_ac_dc_alternates_and_ends_compressed() -> None:
    method: ACDC = make(ACDC, 0.25, begin=0.2, end=0.8, phases=3)
    (layer,) = attach(method, (2, 4))
    dense = []
    for step in range(1, 101):
        layer.weight.data += 0.01  # what a step of the optimiser does
        method.after_step(Progress(step, 100, 0))
        dense.append(int(layer.weight.count_nonzero()) > 2)
    # warm-up 0 to 20 %, then 3 × (compressed, dense) phases of 10 %, and compressed from 80 % on
    phases = [[*group] for _, group in itertools.groupby(dense)]
    assert [group[0] for group in phases] == [True, False, True, False, True, False, True, False]
    assert sum(map(len, phases)) == 100
    assert all(
        abs(len(group) - expected) <= 1
        for group, expected in zip(phases, [20, 10, 10, 10, 10, 10, 10, 20], strict=True)
    )


def test_rate_rewinding_keeps_the_weights_and_puts_back_the_step() -> None:
    method: RateRewinding = make(RateRewinding, 0.25, prunings=2, rewind=0.3)
    (layer,) = attach(method, (2, 4))
    for step in range(1, 11):
        layer.weight.data += 0.1 * torch.randn_like(layer.weight)
        method.after_step(Progress(step, 10, 0))
    trained = layer.weight.detach().clone()
    assert method.rewind() == 3
    kept = layer.weight != 0
    assert int(kept.sum()) == 4
    assert torch.equal(layer.weight.detach(), trained * kept)
    assert trained.abs()[kept].min() >= trained.abs()[~kept].max()


def test_srigl_drops_and_grows_to_a_constant_fan_in_by_hand() -> None:
    method: SRigL = make(SRigL, 0.5, every=1, end=1.0, fraction=0.5, salient=0.0)
    (layer,) = attach(method, (2, 4))
    assert method.masks["0"].sum(1).tolist() == [2, 2]
    layer.weight.data = torch.tensor([[5.0, 1.0, 0.0, 0.0], [4.0, 3.0, 0.0, 0.0]])
    method.set_masks({"0": (layer.weight != 0).float()})
    growth = {"0": torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.9, 0.8]])}
    # half of four go: 1 and 3; each neuron grows its largest gradient again, though both of the layer's are below
    assert method._moved(growth, 0.5)["0"].tolist() == [[1, 0, 0, 1], [1, 0, 1, 0]]


def test_srigl_switches_neurons_off_that_are_not_salient_and_keeps_the_budget() -> None:
    method: SRigL = make(SRigL, 0.5, every=1, end=1.0, fraction=0.5, salient=0.6)
    (layer,) = attach(method, (3, 4))
    layer.weight.data = torch.tensor([[5.0, 6.0, 0.0, 0.0], [4.0, 3.0, 0.0, 0.0], [0.2, 0.1, 0.0, 0.0]])
    method.set_masks({"0": (layer.weight != 0).float()})
    growth = {"0": torch.tensor([[0.0, 0.0, 0.9, 0.8], [0.0, 0.0, 0.7, 0.6], [0.0, 0.0, 0.5, 0.4]])}
    # two of six go, those of the last neuron, whose gradients are not among the two largest either
    moved = method._moved(growth, 0.34)["0"]
    assert moved.tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    method.set_masks({"0": moved})
    moved = method._moved({"0": torch.ones(3, 4)}, 0.34)["0"]  # off for good
    assert moved.sum(1).tolist() == [3, 3, 0]


def test_srigl_keeps_room_for_its_connections() -> None:
    method: SRigL = make(SRigL, 0.75, every=1, end=1.0, fraction=0.5, salient=1.0)
    (layer,) = attach(method, (4, 4))
    layer.weight.data = torch.rand(4, 4) + 0.1
    layer.weight.data.mul_(method.masks["0"])
    for _ in range(5):
        moved = method._moved({"0": torch.rand(4, 4)}, 0.5)
        assert int(moved["0"].sum()) == 12
        method.set_masks(moved)
        layer.weight.data = (torch.rand(4, 4) + 0.1) * moved["0"]
    rows = moved["0"].sum(1)
    assert rows[rows > 0].max() - rows[rows > 0].min() <= 1
