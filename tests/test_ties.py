"""Equal scores: chosen by the trial's seed, not by position, and drawn from no other stream."""

from typing import Any

import pytest
import torch
from torch import Tensor

from switchbench.methods.parts import patterns
from switchbench.methods.parts.masks import keep_top
from switchbench.methods.parts.neurons import select_units
from switchbench.trial.run import run_trial


def select(notation: str, score: Tensor, density: float, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return patterns.parse(notation).select({"a": score}, {"a": score}, density)["a"]


@pytest.mark.parametrize("notation", ["unstructured", "2:4", "block 3x4"])
def test_ties_are_broken_by_the_seed_alone(notation: str) -> None:
    score = torch.ones(30, 64)
    one, again, other = (select(notation, score, 0.5, seed) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one.sum() == other.sum() == 30 * 64 / 2
    full = (one.mean(1) == 1).sum()
    assert full < 3  # by position it was half of the rows, or of the columns in each group
    assert (one.mean(0) == 1).sum() < 3


def test_tied_units_are_not_the_first() -> None:
    scores, weights = (
        {"a": torch.ones(50), "b": torch.ones(50)},
        {"a": torch.ones(4, 50), "b": torch.ones(4, 50)},
    )
    torch.manual_seed(0)
    masks = select_units(scores, weights, 0.5)
    kept = {name: int(mask[0].sum()) for name, mask in masks.items()}
    assert sum(kept.values()) == 50
    assert min(kept.values()) > 10  # by position they were all in the first layer


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_what_is_above_the_tie_stays_and_no_stream_is_drawn_from(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    score = torch.tensor([2.0, 1, 1, 1, 1, 1, 1, 1, 1, 0], device=device)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    mask = keep_top({"a": score}, 4)["a"]
    assert torch.equal(torch.get_rng_state(), before)
    assert mask[0] == 1
    assert mask[-1] == 0
    assert mask.sum() == 4
    assert torch.equal(keep_top({"a": score}, 9)["a"], (score > 0).float())  # all that are tied stay
    picks = set()
    for seed in range(5):
        torch.manual_seed(seed)
        picks.add(tuple(keep_top({"a": score}, 4)["a"].tolist()))
    assert len(picks) > 1


def test_a_constant_start_is_not_pruned_by_position(
    make_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All weights equal and frozen by a learning rate of nearly zero: 10 % of the connections of 30 neurons."""
    from switchbench.spec.components import NetworkChoice

    build = NetworkChoice.build

    def constant(self: Any, *arguments: Any) -> Any:
        network = build(self, *arguments)
        for parameter in network.parameters():
            torch.nn.init.constant_(parameter, 0.1)
        return network

    monkeypatch.setattr(NetworkChoice, "build", constant)
    config = make_config(
        {"method": "magnitude", "begin": 0.0, "end": 0.5, "updates": 1},
        0.1,
        network={"network": "mlp", "hidden": [30]},
        training={"steps": 4, "optimizer": "sgd", "lr": 1e-30},
    )
    one, other = (run_trial(config.model_copy(update={"seed": seed})) for seed in (0, 1))
    weight, another = (result.network.get_parameter("1.weight") for result in (one, other))
    kept = (weight != 0).sum(1)
    assert int((kept == 64).sum()) == 0  # by position it was 3 of 30, and nothing of the others
    assert int((kept > 0).sum()) > 25
    assert not torch.equal(weight != 0, another != 0)


@pytest.mark.parametrize("notation", ["unstructured", "2:4", "block 3x4"])
def test_two_layers_of_one_size_do_not_choose_the_same_positions(notation: str) -> None:
    torch.manual_seed(0)
    pattern = patterns.parse(notation, "global" if notation == "2:4" else "uniform")
    layers = {"a": torch.ones(30, 64), "b": torch.ones(30, 64)}
    masks = pattern.select(layers, layers, 0.5)
    assert not torch.equal(masks["a"], masks["b"])
    assert masks["a"].sum() == masks["b"].sum()


def test_two_calls_choose_among_the_same_ties_by_their_sizes() -> None:
    """Without a state: one that is made again, as after a checkpoint, is the same."""
    torch.manual_seed(0)
    score = {"a": torch.ones(1000)}
    half, again, less = (keep_top(score, number)["a"] for number in (500, 500, 499))
    assert torch.equal(half, again)
    assert 200 < int((half * less).sum()) < 300  # about as many as two independent draws share
