"""What makes each method that method, on cases small enough to check by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from switchbench import datasets
from switchbench.methods import (
    L1,
    METHODS,
    Magnitude,
    Movement,
    Progress,
    Switcher,
    SwitcherEquivariant,
    SwitcherPaper,
)
from switchbench.methods.contract import OTHERS, WEIGHTS
from switchbench.methods.switchers.equivariant import EquivariantReader
from switchbench.methods.switchers.gates import Budgeted
from switchbench.methods.switchers.turns import READER, READER_NORMS
from switchbench.methods.switchers.unet import UNet, pooling
from switchbench.networks import NETWORKS, Network
from switchbench.trial import seeds
from switchbench.trial.loop import Training
from switchbench.trial.run import run_trial

BATCH = (torch.zeros(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64))


def attach(method: Any, *shapes: tuple[int, int]) -> list[nn.Linear]:
    layers = [nn.Linear(inputs, outputs) for outputs, inputs in shapes]
    method.attach(nn.Sequential(*layers), {str(i): layer for i, layer in enumerate(layers)}, BATCH)
    return layers


def make(cls: Any, density: float | None, **options: Any) -> Any:
    return cls(cls.Config(**options), density, torch.Generator().manual_seed(0))


def test_gradual_magnitude_prunes_the_smallest_and_never_revives() -> None:
    method: Magnitude = make(Magnitude, 0.25, begin=0.0, end=0.5, updates=10, power=3)
    (layer,) = attach(method, (2, 4))
    layer.weight.data = torch.tensor([[0.1, -0.2, 0.3, -0.4], [0.5, -0.6, 0.7, -0.8]])
    alive = []
    for step in range(1, 11):
        method.after_step(Progress(step, 10, 0))
        alive.append(int(layer.weight.count_nonzero()))
        if step == 2:
            layer.weight.data[0, 0] = 9.0  # an optimiser's momentum may push a pruned weight
    # 8 connections, density 0.25 + 0.75 (1 - t)^3 at t = 0.2, 0.4, 0.6, 0.8, 1
    assert alive[:5] == [round(8 * (0.25 + 0.75 * (1 - t) ** 3)) for t in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert alive[5:] == [2] * 5
    assert layer.weight.nonzero().tolist() == [[1, 2], [1, 3]]


def test_proximal_l1_is_soft_thresholding() -> None:
    method: L1 = make(L1, None, meet_target=False, strength=0.5)
    (layer,) = attach(method, (1, 4))
    layer.weight.data = torch.tensor([[0.3, -0.04, 0.05, -1.0]])
    method.after_step(Progress(1, 10, 0, step_size=lambda _: 0.1))
    assert torch.allclose(layer.weight, torch.tensor([[0.25, 0.0, 0.0, -0.95]]))
    assert int(layer.weight.count_nonzero()) == 2


def test_proximal_l1_follows_each_weights_step_size() -> None:
    method: L1 = make(L1, None, meet_target=False, strength=1.0)
    (layer,) = attach(method, (1, 3))
    layer.weight.data = torch.tensor([[1.0, 1.0, -1.0]])
    method.after_step(Progress(1, 10, 0, step_size=lambda _: torch.tensor([[0.1, 0.2, 2.0]])))
    assert torch.allclose(layer.weight, torch.tensor([[0.9, 0.8, 0.0]]))


def test_l1_stops_shrinking_at_its_target_and_then_trains_without_penalty() -> None:
    method: L1 = make(L1, 0.5, strength=1.0, end=0.5)
    (layer,) = attach(method, (1, 4))
    layer.weight.data = torch.tensor([[0.125, 0.25, 0.5, 0.625]])
    seen = []
    for step in range(1, 11):
        method.after_step(Progress(step, 10, 0, step_size=lambda _: 0.125))
        seen.append(layer.weight.detach().clone())
    assert torch.equal(seen[0], torch.tensor([[0.0, 0.125, 0.375, 0.5]]))
    assert all(torch.equal(weight, torch.tensor([[0.0, 0.0, 0.25, 0.375]])) for weight in seen[1:])


def test_random_masks_are_fixed_from_the_start(make_config: Any) -> None:
    result = run_trial(make_config("random", 0.2))
    assert all(point["density"] == pytest.approx(0.2, abs=1e-3) for point in result.curves)


def test_one_shot_stays_dense_until_its_end(make_config: Any) -> None:
    config = make_config({"method": "magnitude", "schedule": "one-shot", "end": 0.5}, training={"epochs": 10})
    densities = [point["density"] for point in run_trial(config).curves]
    assert densities[:4] == [1.0] * 4
    assert densities[5:] == pytest.approx([0.1] * 5, abs=1e-3)


# The paper's switcher


@pytest.mark.parametrize(
    ("shape", "levels", "convolutions"),
    [
        # encoder 9(8+8·16+…); decoder 2×2 transposed 4·(…); merge 9·(2c·c); last 9·8
        ((784, 300), 6, 9 * 43_656 + 4 * 43_648 + 9 * 43_648 + 72),
        ((300, 100), 5, 9 * 10_888 + 4 * 10_880 + 9 * 10_880 + 72),
        # three of the four poolings leave the short side (10, 5, 5, …) alone: those kernels are 2×1
        ((100, 10), 5, 9 * 10_888 + 2 * (8_192 + 2_048 + 512) + 4 * 128 + 9 * 10_880 + 72),
    ],
)
def test_unet_has_the_published_layers(shape: tuple[int, int], levels: int, convolutions: int) -> None:
    reader = UNet(*shape)
    assert len(pooling(*shape)) + 1 == levels
    kernels = [
        p for m in reader.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for p in m.parameters()
    ]
    assert sum(kernel.numel() for kernel in kernels) == convolutions
    assert all(kernel.dim() == 4 for kernel in kernels)  # no biases
    assert [m.out_channels for m in reader.modules() if isinstance(m, nn.Conv2d)][:levels] == [
        8, 16, 32, 64, 128, 256,
    ][:levels]  # fmt: skip
    assert reader(torch.randn(*shape)).shape == shape


@pytest.mark.parametrize("shape", [(64, 300), (10, 10), (3, 50), (2, 2), (17, 33)])
def test_unet_reads_any_shape(shape: tuple[int, int]) -> None:
    assert UNet(*shape)(torch.randn(*shape)).shape == shape


def test_about_half_the_gates_are_open_at_the_start() -> None:
    torch.manual_seed(0)
    gate = UNet(64, 300)(torch.randn(64, 300) * 0.1).relu()
    assert 0.3 < (gate > 0).float().mean() < 0.7


def test_paper_switcher_alternates_by_epoch() -> None:
    method: SwitcherPaper = make(SwitcherPaper, None)
    attach(method, (8, 8))
    assert set(method.learning(Progress(1, 10, epoch=0))) == {WEIGHTS, OTHERS, READER_NORMS}
    assert set(method.learning(Progress(1, 10, epoch=1))) == {READER, OTHERS, READER_NORMS}
    assert set(method.learning(Progress(1, 10, epoch=2))) == {WEIGHTS, OTHERS, READER_NORMS}


class Watched(SwitcherPaper):
    """Keeps a copy of weights and reader kernels after every step."""

    def attach(self, *arguments: Any) -> None:
        super().attach(*arguments)
        self.seen: list[tuple[int, Tensor, Tensor]] = []

    def after_step(self, progress: Progress) -> None:
        kernel = next(self.readers.parameters())
        self.seen.append((progress.epoch, self.weights["1"].detach().clone(), kernel.detach().clone()))


def test_paper_switcher_freezes_one_side_exactly_while_the_other_learns(make_config: Any) -> None:
    config = make_config("switcher-paper", training={"epochs": 4})
    data = datasets.load("digits")
    splits = datasets.split(data, 0.1, seeds.generator(0, "split"))
    torch.manual_seed(0)
    network = config.network.build(splits.input_shape, 10)
    method: Watched = make(Watched, None)
    Training(network, {"1": network[1], "3": network[3]}, method, splits, config.training, seed=0).run()
    for (_, weight, kernel), (epoch, next_weight, next_kernel) in zip(
        method.seen, method.seen[1:], strict=False
    ):
        assert torch.equal(weight, next_weight) == (epoch % 2 == 1)
        assert torch.equal(kernel, next_kernel) == (epoch % 2 == 0)


def test_paper_switcher_folds_its_gates() -> None:
    torch.manual_seed(0)
    method: SwitcherPaper = make(SwitcherPaper, None)
    layers = attach(method, (30, 40), (10, 30))
    network = nn.Sequential(layers[0], nn.ReLU(), layers[1]).eval()
    images = torch.randn(5, 40)
    method.before_step(Progress(1, 10, 0))
    method.before_evaluation()
    before, raw = network(images), method.weights["0"].detach().clone()
    method.finalise()
    assert torch.allclose(network(images), before, atol=1e-6)
    folded = layers[0].weight
    assert 0 < folded.count_nonzero() < folded.numel()
    assert torch.all((folded == 0) | (folded.sign() == raw.sign()))  # gates scale, never flip


def test_readers_see_raw_weights_with_gradient() -> None:
    """Neither normalised nor detached: the weight's gradient also flows through the reader."""
    torch.manual_seed(0)
    method: SwitcherPaper = make(SwitcherPaper, None)
    (layer,) = attach(method, (16, 16))
    method.before_step(Progress(1, 10, 0))
    layer.weight.sum().backward()
    with_reader = method.weights["0"].grad
    reader: Any = method.readers[0]
    gate = reader.unet(method.weights["0"].T).relu().T
    assert with_reader is not None
    assert not torch.allclose(with_reader, gate)  # the gate alone is the gradient when detached


# The cheap switcher


def test_budgeted_top_k_forward_is_exact_and_backward_keeps_the_budget() -> None:
    logits = torch.tensor([0.5, -1.0, 2.0, 0.1, -0.3], requires_grad=True)
    mask = Budgeted.apply(logits, torch.tensor([1.0, 0, 1, 0, 0]), 0.5)
    assert mask.tolist() == [1, 0, 1, 0, 0]
    mask.backward(torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0]))
    assert logits.grad is not None
    assert float(logits.grad.sum()) == pytest.approx(0, abs=1e-6)  # no gain from switching more on


def test_budgeted_top_k_gradient_is_that_of_a_soft_top_k() -> None:
    """Against autograd through σ((z − τ)/T) with τ solved so that the sum stays."""
    temperature, upstream = 0.5, torch.randn(8, generator=torch.Generator().manual_seed(1))
    logits = torch.randn(8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    threshold = logits.topk(3).values.min()
    budget = torch.sigmoid((logits - threshold) / temperature).sum()

    def soft(z: Tensor) -> Tensor:
        low, high = z.min() - 20, z.max() + 20
        for _ in range(200):
            middle = (low + high) / 2
            if torch.sigmoid((z - middle) / temperature).sum() > budget:
                low = middle
            else:
                high = middle
        return (torch.sigmoid((z - low) / temperature) * upstream.double()).sum()

    step = 1e-5
    numeric = torch.stack(
        [(soft(logits + step * unit) - soft(logits - step * unit)) / (2 * step) for unit in torch.eye(8)]
    )
    variable = logits.clone().requires_grad_()
    on = (logits >= threshold).double()
    Budgeted.apply(variable, on, temperature).backward(upstream.double())
    assert variable.grad is not None
    assert torch.allclose(variable.grad / temperature, numeric, atol=1e-4)


def test_equivariant_reader_follows_permutations() -> None:
    torch.manual_seed(0)
    reader = EquivariantReader(hidden=8, rank=3)
    for parameter in reader.parameters():
        nn.init.normal_(parameter)
    weight = torch.randn(12, 7)
    gate = (torch.rand(12, 7) > 0.5).float()
    rows, columns = torch.randperm(12), torch.randperm(7)
    moved = reader(weight[rows][:, columns], gate[rows][:, columns])
    assert torch.allclose(moved, reader(weight, gate)[rows][:, columns], atol=1e-5)
    assert reader(torch.randn(50, 3), torch.ones(50, 3)).shape == (50, 3)


def test_switcher_starts_as_magnitude_pruning() -> None:
    method: Switcher = make(SwitcherEquivariant, 0.25)
    (layer,) = attach(method, (12, 7))
    logits = method.reading.logits(method.weights, method.seen_gates, {})["0"]
    assert torch.allclose(logits, layer.weight.abs().log(), atol=1e-4)


def test_switcher_gives_every_kth_step_to_the_reader() -> None:
    method: Switcher = make(SwitcherEquivariant, 0.1, every=10, begin=0.1, end=0.5, keep_learning=0.4)
    attach(method, (4, 4))
    turns = [step for step in range(1, 201) if READER in method.learning(Progress(step, 200, 0))]
    assert turns == list(range(30, 141, 10))


def test_switched_off_weights_come_back_as_they_were() -> None:
    method: Switcher = make(SwitcherEquivariant, 0.25, begin=0.0, end=0.1, keep_learning=0.1)
    (layer,) = attach(method, (4, 4))
    raw = method.weights["0"].detach().clone()
    method.after_step(Progress(1, 10, 0))
    kept = layer.weight != 0
    assert int(kept.sum()) == 4
    method.weights["0"].data += 1  # an optimiser with a memory moves all of them
    method.after_step(Progress(2, 10, 0))
    assert torch.equal(layer.weight, (raw + 1) * kept)
    method.weights["0"].data += ~kept  # what a step before the release would do
    method._restore_closed()
    assert torch.equal(method.weights["0"], torch.where(kept, raw + 1, raw))


def test_the_reader_learns(make_config: Any) -> None:
    """With the reader at rest the switcher chooses other connections than with it learning."""
    still = run_trial(make_config({"method": "switcher-equivariant", "every": 5, "reader_lr": 1e-12}))
    moving = run_trial(make_config({"method": "switcher-equivariant", "every": 5, "reader_lr": 0.05}))
    assert any(
        not torch.equal(a != 0, b != 0)
        for a, b in zip(still.network.parameters(), moving.network.parameters(), strict=True)
    )
    assert METHODS["switcher"] is Switcher
    assert still.row["method_parameters"] == moving.row["method_parameters"] > 0


def test_zeros_in_place_are_gates_in_front(make_config: Any, monkeypatch: Any) -> None:
    """An optimiser without memory learns the same bits in both ways."""
    options = {
        "method": "switcher-equivariant",
        "every": 3,
        "end": 0.4,
        "keep_learning": 0.2,
        "reader_lr": 0.05,
    }
    config = make_config(options, training={"steps": 60, "optimizer": "sgd", "lr": 0.1})
    held = run_trial(config)
    monkeypatch.setattr(Switcher, "_zero_in_place", lambda self: None)
    gated = run_trial(config)
    for key, tensor in held.network.state_dict().items():
        assert torch.equal(tensor, gated.network.state_dict()[key]), key


@pytest.mark.parametrize("steps", [1, 8])
def test_turns_by_epoch_settle_even_where_no_step_falls_into_their_window(
    steps: int, make_config: Any
) -> None:
    options = {
        "method": "switcher-equivariant",
        "schedule": "epochs",
        "begin": 0.45,
        "end": 0.46,
        "keep_learning": 0.0,
    }
    result = run_trial(make_config(options, 0.2, training={"steps": steps}))
    assert result.row["density"] == pytest.approx(0.2, abs=1e-3)


def test_a_layer_that_is_used_twice_has_one_gate_and_the_whole_gradient(
    make_config: Any, monkeypatch: Any
) -> None:
    class Twice(Network, nn.Module):
        def __init__(self, *_: object) -> None:
            super().__init__()
            self.shared, self.out = nn.Linear(64, 64), nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.out(self.shared(self.shared(x.flatten(1)).relu()).relu())
            return result

    seen: list[bool] = []

    class Watched(Movement):
        """Compares what the gates saw with what the weights got, while all gates are open."""

        def after_backward(self, progress: Progress) -> None:
            super().after_backward(progress)
            if progress.fraction < 0.1:
                for name, weight in self.weights.items():
                    of_gate, of_weight = self.gates[name].gradient, weight.grad
                    assert of_gate is not None
                    assert of_weight is not None
                    seen.append(torch.equal(of_gate, of_weight))

    Twice.name, Watched.name = "twice", "watched"
    monkeypatch.setitem(NETWORKS, "twice", Twice)
    monkeypatch.setitem(METHODS, "watched", Watched)
    run_trial(make_config({"method": "watched", "begin": 0.1}, network="twice"))
    assert seen
    assert all(seen)
