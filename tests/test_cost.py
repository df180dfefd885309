"""What a method adds: FLOPs against hand counts and PyTorch's counter, time against itself."""

import time
from collections.abc import Collection
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from switchbench.methods import METHODS, Method, Progress
from switchbench.methods.contract import OTHERS, WEIGHTS
from switchbench.row import Row
from switchbench.spec.training import TrainingConfig
from switchbench.trial.cost import CostMeter
from switchbench.trial.flops import STRIDE, FlopCounter, StepFlops
from switchbench.trial.run import run_trial
from switchbench.trial.sparse_kernels import PAYS_UP_TO

STEPS, BATCH = 20, 64
LAYERS = (64 * 20, 20 * 12, 12 * 10)
PLAIN = 2 * BATCH * (3 * sum(LAYERS) - LAYERS[0])  # the first layer's input needs no gradient


def cost(make_config: Any, method: Any, **changes: Any) -> Row:
    return run_trial(make_config(method, training={"steps": STEPS, "batch_size": BATCH}, **changes)).row


def test_plain_training_is_counted_by_hand(make_config: Any) -> None:
    row = cost(make_config, "dense")
    assert row["train_flops"] == STEPS * PLAIN
    assert row["method_flops"] == 0
    assert row["plain_flops"] == STEPS * PLAIN
    assert row["method_parameters"] == 0


def test_rounds_scores_readers_and_noise_are_added(make_config: Any) -> None:
    ticket = cost(make_config, {"method": "lottery-ticket", "prunings": 2, "rewind": 0.0})
    assert ticket["method_flops"] == 2 * STEPS * PLAIN
    assert (ticket["rounds"], ticket["steps"]) == (3, 3 * STEPS)
    assert cost(make_config, "snip")["method_flops"] == PLAIN  # one forward and backward pass
    switcher = cost(make_config, {"method": "switcher-equivariant", "every": 2})
    assert switcher["method_flops"] > 0
    assert switcher["method_parameters"] > 0
    noisy = cost(make_config, {"method": "variational-dropout", "every": 1})
    # variances go through every layer once more, and gradients through all but the first input
    assert noisy["method_flops"] == STEPS * PLAIN


class _Alternating(Method):
    """In every other step only some groups learn, and the method computes."""

    groups: tuple[str, ...] = (WEIGHTS, OTHERS)

    def learning(self, progress: Progress) -> Collection[str] | None:
        return self.groups if progress.every(2) else None

    def after_backward(self, progress: Progress) -> None:
        if progress.every(2):
            _ = torch.ones(10, 10) @ torch.ones(10, 10)


class _OnlyBiases(_Alternating):
    groups = (OTHERS,)


def test_a_step_that_takes_less_than_a_plain_one_adds_nothing(
    make_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "biases", _OnlyBiases)
    row = cost(make_config, "biases")
    biases = PLAIN - 2 * BATCH * sum(LAYERS) + 2000  # weights get no gradient
    assert row["train_flops"] == STEPS // 2 * (PLAIN + biases)
    assert row["plain_flops"] == STEPS * PLAIN
    assert row["method_flops"] == 0


def test_sparse_kernels_save_and_scores_add(make_config: Any) -> None:
    training = {"steps": STEPS, "batch_size": BATCH, "kernels": "sparse"}
    found = [run_trial(make_config(method, 0.05, training=training)) for method in ("random", "snip")]
    assert [each.row["method_flops"] for each in found] == [0, PLAIN]  # one forward and backward pass
    for each, scores in zip(found, (0, PLAIN), strict=True):
        layers = [m.weight for m in each.network.modules() if isinstance(m, nn.Linear)]
        kept = {weight.numel(): int(weight.count_nonzero()) for weight in layers}
        used = [number if number <= PAYS_UP_TO * size else size for size, number in kept.items()]
        step = 2 * BATCH * (3 * sum(used) - used[0])  # images have no gradient
        assert each.row["train_flops"] == STEPS * step + scores
        assert each.row["plain_flops"] == STEPS * PLAIN


def test_what_is_added_in_short_batches_alone_is_counted(
    make_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digits: a full and a short batch an epoch, and the method acts at short ones."""
    monkeypatch.setitem(METHODS, "alternating", _Alternating)
    row = run_trial(make_config("alternating", training={"steps": STEPS, "batch_size": 1000})).row
    assert row["examples"] < STEPS * 1000
    assert row["method_flops"] == STEPS // 2 * 2000
    assert row["plain_flops"] == row["train_flops"] - row["method_flops"]


def test_the_counter_agrees_with_pytorchs_own() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, groups=1), nn.ReLU(), nn.Flatten(), nn.Linear(72, 5))
    images = torch.randn(4, 3, 8, 8, requires_grad=True)
    with FlopCounterMode(display=False) as theirs:
        network(images).sum().backward()
    with FlopCounter() as ours:
        network(images).sum().backward()
    assert ours.flops == theirs.get_total_flops() > 0


def test_kinds_of_steps_are_counted_apart_and_scaled() -> None:
    flops = StepFlops()
    small, large = torch.ones(1, 1), torch.ones(10, 10)
    for step in range(2 * STRIDE):
        with flops.step(frozenset({"reader"}) if step % 10 == 0 else None, examples=BATCH):
            _ = large @ large if step % 10 == 0 else small @ small
    again = StepFlops()
    again.load_state_dict(flops.state_dict())
    readers = len(range(0, 2 * STRIDE, 10))
    assert flops.total == again.total == readers * 2 * 1000 + (2 * STRIDE - readers) * 2
    again.load_state_dict([])  # what was counted is forgotten
    assert again.total == 0


def test_a_short_last_batch_does_not_bias_the_estimate(make_config: Any) -> None:
    # Digits: a full and a short batch an epoch, so that step STRIDE would be a short one.
    row = run_trial(make_config("dense", training={"steps": STRIDE + 3, "batch_size": 1000})).row
    assert row["examples"] < row["steps"] * 1000
    assert row["train_flops"] == row["steps"] * PLAIN / BATCH * 1000
    assert row["method_flops"] == 0


def test_a_full_batch_replaces_short_ones_that_came_first() -> None:
    flops = StepFlops()
    for size in (3, 10, 3, 10):
        with flops.step(None, examples=size):
            _ = torch.ones(size, 2) @ torch.ones(2, 2)
    assert flops.total == 4 * 2 * 10 * 2 * 2


def test_added_time_is_within_the_training(make_config: Any) -> None:
    row = cost(make_config, "switcher-paper")
    assert 0 < row["method_seconds"] < row["train_seconds"]
    assert row["method_seconds"] == pytest.approx(row["train_seconds"], rel=0.5)  # nearly all of it


def test_the_time_of_a_gpu_is_read_when_its_queue_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in whose queue takes a second when it is awaited."""
    clock = [0.0]

    def wait(device: torch.device) -> None:
        clock[0] += 1.0

    meter = CostMeter(nn.Linear(2, 2), TrainingConfig(steps=1))
    meter._device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "synchronize", wait)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    with meter.timed():
        clock[0] += 10.0
        with meter.untimed():
            clock[0] += 100.0
        clock[0] += 10.0
    assert meter.state_dict()["seconds"] == 10.0 + 1.0 + 10.0 + 1.0
