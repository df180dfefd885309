"""Sparsity patterns, by hand, and with the scores that they combine with."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from switchbench.errors import InputError
from switchbench.methods import METHODS, GradualPruning, Progress
from switchbench.methods.parts import patterns
from switchbench.methods.parts.patterns import NM, Block, Neurons, Unstructured, parse
from switchbench.plugins.conformance import CHECKS, Case
from switchbench.trial.outcomes import Skipped
from switchbench.trial.run import run_trial

PATTERNED = sorted(
    name
    for name, method in METHODS.items()
    if method.__module__.startswith("switchbench.")
    and "pattern" in method.Config.model_fields
    and name != "granet"
)
DISTRIBUTED = [
    name
    for name in PATTERNED
    if "distribution" in METHODS[name].Config.model_fields and name != "random-layer-matched"
]
REFUSED = {("random-layer-matched", "neuron"), ("random-layer-matched", "block 4x4")}


def weights_of(network: nn.Module) -> list[Tensor]:
    kinds = nn.Linear | nn.Conv2d
    return [m.get_parameter("weight").detach() for m in network.modules() if isinstance(m, kinds)]


def per_group(weight: Tensor, size: int) -> Tensor:
    """Weights left in each group along the inputs of a linear layer; the last may be shorter."""
    padded = nn.functional.pad(weight != 0, (0, -weight.shape[1] % size))
    groups: Tensor = padded.unflatten(1, (-1, size))
    return groups.sum(-1)


def test_methods_with_a_score_have_the_option() -> None:
    assert PATTERNED == [
        "ac-dc", "cap", "grasp", "lamp", "magnitude", "movement", "obd", "powerpropagation", "random-layer-matched",
        "snip", "synflow", "taylor",
    ]  # fmt: skip


@pytest.mark.parametrize("m", [4, 7, 16, 64])  # compared in pairs, and sorted
def test_the_highest_of_each_group_are_those_of_topk(m: int) -> None:
    generator = torch.Generator().manual_seed(m)
    scores = torch.rand(30, 5 * m, generator=generator)
    scores[torch.rand(scores.shape, generator=generator) < 0.3] = -torch.inf
    groups = scores.unflatten(1, (-1, m))
    for n in (1, m // 2, m - 1):
        expected = torch.zeros_like(groups).scatter_(-1, groups.topk(n).indices, 1) * groups.isfinite()
        found = NM(n=n, m=m).select({"": scores}, {"": scores}, density=n / m)[""]
        assert torch.equal(found, expected.flatten(1))


@pytest.mark.parametrize("m", [4, 64])
def test_ties_within_a_group_are_broken_at_random(m: int) -> None:
    scores = torch.randint(0, 2, (200, m), generator=torch.Generator().manual_seed(m)).float()
    torch.manual_seed(0)
    mask = NM(n=2, m=m).select({"": scores}, {"": scores}, density=2 / m)[""]
    assert (mask.sum(1) == 2).all()
    ones = scores.sum(1).clamp_max(2)
    assert torch.equal((mask * scores).sum(1), ones)
    assert len(mask[(scores.sum(1) > 2)].argmax(1).unique()) > 1


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("unstructured", Unstructured()),
        ("neuron", Neurons()),
        ("1:8", NM(n=1, m=8)),
        ("block 2x16", Block(rows=2, columns=16)),
    ],
)
def test_patterns_are_read_from_their_notation(text: str, pattern: patterns.Pattern) -> None:
    assert parse(text) == pattern


@pytest.mark.parametrize("text", ["2:2", "4:2", "0:4", "2:4:8", "block", "block 0x4", "4x4", "neurons", ""])
def test_a_bad_pattern_is_one_line_that_names_it_and_what_is_allowed(text: str, make_config: Any) -> None:
    with pytest.raises(InputError) as caught:
        make_config({"method": "taylor", "pattern": text}, 0.5)
    (line,) = str(caught.value).splitlines()
    assert repr(text) in line
    assert "use unstructured, neuron, N:M such as 2:4 with N < M, or block ROWSxCOLUMNS" in line


def test_a_misspelt_pattern_is_met_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="'neurons' is no pattern; did you mean 'neuron'"):
        parse("neurons")


def test_scores_of_another_shape_name_the_layer() -> None:
    class Wrong(GradualPruning):
        def scores(self) -> dict[str, Tensor]:
            return {"0": torch.rand(5)}

    layer = nn.Linear(16, 5)
    method = Wrong(Wrong.Config(schedule="one-shot", end=0.6), 0.5, torch.Generator())
    method.attach(nn.Sequential(layer), {"0": layer}, (torch.zeros(2, 16), torch.zeros(2)))
    with pytest.raises(ValueError, match=r"layer '0': scores of shape \(5,\) for weights \(5, 16\)"):
        method.after_step(Progress(6, 10, 0))


@pytest.mark.parametrize("text", ["neuron", "2:4"])
def test_a_distribution_needs_a_pattern_that_leaves_it_open(text: str) -> None:
    with pytest.raises(ValueError, match=f"distribution 'erk' has no effect with pattern '{text}'"):
        GradualPruning.Config(pattern=text, distribution="erk")
    assert GradualPruning.Config(pattern="block 4x4", distribution="erk").distribution == "erk"


@pytest.mark.parametrize("text", ["neuron", "block 4x4"])
def test_random_pruning_matched_by_layer_is_for_connections(text: str, make_config: Any) -> None:
    with pytest.raises(InputError, match=f"pattern '{text}': connections are drawn"):
        make_config({"method": "random-layer-matched", "pattern": text}, 0.5)


def test_the_default_pattern_leaves_no_trace_in_ids(make_config: Any) -> None:
    for name in PATTERNED:
        options = METHODS[name].Config()
        assert options.pattern == "unstructured"  # type: ignore[attr-defined]
        assert "pattern" not in options.identity()
    before = {"method": "taylor", "begin": 0.1, "end": 0.6, "power": 3.0}  # the defaults of that time
    plain, said = make_config(before), make_config(before | {"pattern": "unstructured"})
    other = make_config(before | {"pattern": "neuron"})
    assert plain.trial_id == said.trial_id != other.trial_id
    assert plain.trial_id == "d80c3b890a2910c5"  # before the option existed


@pytest.mark.parametrize("name", PATTERNED)
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 8)])
def test_n_m_leaves_n_of_every_m_inputs_whatever_the_score(
    name: str, n: int, m: int, make_config: Any
) -> None:
    result = run_trial(make_config({"method": name, "pattern": f"{n}:{m}"}))
    first, second, third = weights_of(result.network)  # 64, 20 and 12 inputs
    assert torch.all(per_group(first, m) == n)
    assert torch.all(per_group(second, m)[:, :-1] == n)
    assert torch.all(per_group(third, m)[:, 0] == n)
    if (n, m) == (2, 4):
        assert result.row["density"] == 0.5
    assert result.row["target_density"] is None


def test_n_m_keeps_what_scores_highest_of_each_group_of_a_convolution() -> None:
    """Groups lie along the input channels, at each kernel position alone."""
    score = torch.rand(3, 8, 2, 2, generator=torch.Generator().manual_seed(0))
    (mask,) = NM(n=1, m=4).select({"a": score}, {"a": score}, 0.25).values()
    for group in (slice(0, 4), slice(4, 8)):
        assert torch.equal(mask[:, group].sum(1), torch.ones(3, 2, 2))
        assert torch.equal(mask[:, group].argmax(1), score[:, group].argmax(1))


def test_n_m_goes_down_by_one_weight_of_each_group() -> None:
    method: Any = METHODS["magnitude"]
    method = method(method.Config(pattern="2:4", begin=0.0, end=0.5, updates=50), None, torch.Generator())
    layer = nn.Linear(16, 5)
    method.attach(nn.Sequential(layer), {"0": layer}, (torch.zeros(2, 16), torch.zeros(2)))
    left = []
    for step in range(1, 101):
        method.after_step(Progress(step, 100, 0))
        (number,) = per_group(layer.weight, 4).unique().tolist()
        left.append(number)
    assert sorted(left, reverse=True) == left
    assert set(left) == {4, 3, 2}
    assert left[49:] == [2] * 51


def test_blocks_by_hand() -> None:
    """Blocks of 2×3 in a 5×7 matrix: those at the edges are smaller. By mean score, as many as fit."""
    means = torch.tensor([[9.0, 1.0, 8.0], [2.0, 7.0, 3.0], [6.0, 5.0, 4.0]])
    score = means.repeat_interleave(2, 0).repeat_interleave(3, 1)[:5, :7]
    kept = {}
    for budget in (7, 8, 13, 14, 17, 18):
        (mask,) = Block(rows=2, columns=3).select({"a": score}, {"a": score}, budget / 35).values()
        kept[budget] = sorted(score[mask == 1].unique().tolist(), reverse=True)
        assert mask.sum() <= budget
    # sizes: 9 and 7 of six, 8 of two, 6 and 5 of three, 4 of one
    assert kept == {7: [9], 8: [9, 8], 13: [9, 8], 14: [9, 8, 7], 17: [9, 8, 7, 6], 18: [9, 8, 7, 6]}


def test_blocks_do_not_exceed_a_budget_that_some_layers_cannot_use() -> None:
    large, small = torch.rand(8, 8, generator=torch.Generator().manual_seed(0)), torch.full((4, 4), 2.0)
    scores = {"large": large, "small": small}
    masks = Block("uniform", rows=4, columns=4).select(scores, scores, 0.3)  # 19 and 5 of 64 and 16
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"large": 16, "small": 0}
    masks = Block("uniform", rows=4, columns=4).select(scores, scores, 0.1)  # no layer has room for a block
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"large": 0, "small": 16}


def test_a_block_of_a_convolution_holds_whole_kernels() -> None:
    score = torch.rand(8, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    (mask,) = Block(rows=4, columns=2).select({"a": score}, {"a": score}, 0.5).values()
    assert torch.equal(mask, mask[:, :, :1, :1].expand_as(mask))
    assert int(mask.sum()) == 3 * 4 * 2 * 9  # half of six blocks
    by_mean = score.unflatten(1, (3, 2)).unflatten(0, (2, 4)).mean((1, 3, 4, 5)).flatten()
    chosen = mask[::4, ::2, 0, 0].flatten()
    assert by_mean[chosen == 1].min() > by_mean[chosen == 0].max()


@pytest.mark.parametrize("name", DISTRIBUTED)
@pytest.mark.parametrize("distribution", ["global", "uniform"])
def test_block_masks_are_whole_blocks_within_the_budget(
    name: str, distribution: str, make_config: Any
) -> None:
    config = make_config({"method": name, "pattern": "block 4x4", "distribution": distribution}, 0.3)
    result = run_trial(config)
    total = 64 * 20 + 20 * 12 + 12 * 10
    layers = 1 if distribution == "global" else 3
    assert 0.3 - 16 * layers / total < result.row["density"] <= 0.3
    for weight in weights_of(result.network):
        left, whole = (
            nn.functional.pad(each, (0, 0, 0, -weight.shape[0] % 4))
            .unflatten(0, (-1, 4))
            .unflatten(2, (-1, 4))
            .sum((1, 3))
            for each in ((weight != 0).float(), torch.ones_like(weight))
        )
        assert torch.all((left == 0) | (left == whole))


@pytest.mark.parametrize("name", [name for name in PATTERNED if name != "random-layer-matched"])
def test_the_neuron_pattern_leaves_whole_columns(name: str, make_config: Any) -> None:
    result = run_trial(make_config({"method": name, "pattern": "neuron"}, 0.3))
    assert 0.2 < result.row["density"] <= 0.3
    matrices = [weight != 0 for weight in weights_of(result.network)]
    for matrix, behind in zip(matrices, [*matrices[1:], None], strict=True):
        rows, columns = matrix.any(1), matrix.any(0)
        assert torch.equal(matrix, rows[:, None] & columns[None])  # kept units alone, and all of them
        if behind is not None:
            assert torch.equal(rows, behind.any(0))  # a neuron is made where it is read


def test_pruned_units_and_blocks_stay_pruned() -> None:
    """A budget that leaves room for what is pruned already does not bring it back."""
    score = torch.tensor([[3.0, -torch.inf, 1.0, 2.0]] * 2)
    for pattern in (Neurons(), Block(rows=2, columns=1), NM(n=3, m=4)):
        (mask,) = pattern.select({"a": score}, {"a": score}, 1.0).values()
        assert mask.tolist() == [[1, 0, 1, 1]] * 2


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("taylor", {"pattern": "2:4"}),
        ("movement", {"pattern": "neuron"}),
        ("magnitude", {"pattern": "block 4x4", "distribution": "uniform"}),
        ("snip", {"pattern": "block 4x4"}),
    ],
)
def test_patterns_keep_the_contract(name: str, options: dict[str, Any], check: str) -> None:
    try:
        CHECKS[check](Case(name, options))
    except Skipped as reason:
        pytest.skip(str(reason))
