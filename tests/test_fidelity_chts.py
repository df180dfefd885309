"""Cannistraci-Hebb training's soft rule: links by enumerating paths, draws by their frequencies, moves by hand."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from switchbench.methods import CHTs, Progress, chts
from switchbench.methods.chts import draw, link_scores, removal_scores
from switchbench.methods.parts.masks import keep_top

SHARP: dict[str, Any] = {"begin_sharpness": 1.0, "end_sharpness": 1.0, "growth_sharpness": 1.0}


def attached(*layers: nn.Module, density: float = 0.5, seed: int = 0, **options: Any) -> CHTs:
    config = CHTs.Config(**{"every": 1, "end": 1.0, "fraction": 0.5} | options)
    method = CHTs(config, density, torch.Generator().manual_seed(seed))
    batch = (torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))
    method.attach(nn.Sequential(*layers), {str(i): layer for i, layer in enumerate(layers)}, batch)
    return method


def with_weight(weight: Tensor, **options: Any) -> tuple[CHTs, nn.Linear]:
    """A method on one layer, half of whose weights are on: those that are not NaN."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    method = attached(layer, **options)
    layer.weight.data = weight.nan_to_num()
    method.set_masks({"0": (~weight.isnan()).float()})
    return method, layer


def step(method: CHTs, layers: Any, number: int, steps: int) -> None:
    """Gradients, and a step of an optimiser that moves every weight, masked ones as well."""
    for layer in layers:
        layer.weight.grad = torch.randn_like(layer.weight)
    method.after_backward(Progress(number, steps, 0))
    for layer in layers:
        layer.weight.data += 0.1 * torch.randn_like(layer.weight)
    method.after_step(Progress(number, steps, 0))


# Link prediction


def predicted(links: set[tuple[int, int]], output: int, input_: int) -> float:
    """Enumerate the paths of three links between a pair, then count the links of every node on them."""
    edges = {frozenset((("out", o), ("in", i))) for o, i in links}
    nodes = {node for edge in edges for node in edge}
    neighbours = {node: {other for other in nodes if frozenset((node, other)) in edges} for node in nodes}
    pair = {("out", output), ("in", input_)}
    community = {
        node
        for first, second in itertools.permutations(nodes - pair, 2)
        if first in neighbours.get(("out", output), ())
        and second in neighbours[first]
        and ("in", input_) in neighbours[second]
        for node in (first, second)
    }
    score = 0.0
    for node in community:
        inner = len(neighbours[node] & community)
        outer = len(neighbours[node] - community - pair)
        score += (1 + inner) / (1 + outer)
    return score


@pytest.mark.parametrize(
    ("outputs", "inputs", "density"), [(3, 4, 0.5), (5, 7, 0.4), (8, 5, 0.6), (6, 9, 0.15)]
)
def test_predicted_links_are_those_of_enumerated_paths(outputs: int, inputs: int, density: float) -> None:
    generator = torch.Generator().manual_seed(outputs)
    for _ in range(5):
        mask = (torch.rand(outputs, inputs, generator=generator) < density).double()
        links = {(o, i) for o, i in mask.nonzero().tolist()}
        found = link_scores(mask)
        for pair in itertools.product(range(outputs), range(inputs)):
            if pair not in links:
                assert float(found[pair]) == pytest.approx(predicted(links, *pair)), (pair, links)


def test_a_prediction_by_hand() -> None:
    # pair (0, 2). Paths: 0–0–1–2 and 0–1–1–2. Input 0 leads to output 1 only: (1 + 1) / 1. Input 1 leads to output 1
    # and to output 2, which is on no path: (1 + 1) / (1 + 1). Output 1 leads to inputs 0 and 1, and to 3, outside:
    # (1 + 2) / (1 + 1).
    mask = torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0]])
    assert float(link_scores(mask)[0, 2]) == 2 + 1 + 1.5


def test_predictions_do_not_depend_on_how_many_pairs_are_compared_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mask = (torch.rand(11, 17, generator=torch.Generator().manual_seed(0)) < 0.3).double()
    whole = link_scores(mask)
    monkeypatch.setattr(chts, "BLOCK", 40)
    torch.testing.assert_close(link_scores(mask), whole)


def test_nodes_without_links_are_predicted_none() -> None:
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    scores = link_scores(mask)
    assert not scores[2].any()
    assert not scores[:, 2].any()
    assert float(scores[1, 1]) > 0


# Draws


def test_removal_scores_by_hand() -> None:
    weight = torch.tensor([[1.0, -3.0, 0.0], [4.0, 0.0, -2.0]])
    rows, columns = (4.0, 6.0), (5.0, 3.0, 2.0)
    relative = removal_scores(weight, 0.0)
    size, mixed = removal_scores(weight, 1.0), removal_scores(weight, 0.25)
    for row, column in itertools.product(range(2), range(3)):
        w = abs(float(weight[row, column]))
        assert float(relative[row, column]) == pytest.approx(w / rows[row] + w / columns[column])
        assert float(size[row, column]) == pytest.approx(2 * w)
        expected = w / (0.25 + 0.75 * rows[row]) + w / (0.25 + 0.75 * columns[column])
        assert float(mixed[row, column]) == pytest.approx(expected)


def test_nodes_without_weights_have_scores_of_zero() -> None:
    weight = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert removal_scores(weight, 0.0).tolist() == [[2.0, 0.0], [0.0, 0.0]]


def inclusion(weights: list[float], number: int) -> list[float]:
    """How likely each place is among so many draws without replacement, by enumerating the draws."""
    chances = [0.0] * len(weights)
    for order in itertools.permutations(range(len(weights)), number):
        chance, left = 1.0, sum(weights)
        for place in order:
            chance *= weights[place] / left
            left -= weights[place]
        for place in order:
            chances[place] += chance
    return chances


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(("sharpness", "power"), [(0.0, 0.0), (0.5, 1.0), (0.75, 3.0), (0.2, 0.25)])
def test_draws_are_as_frequent_as_powers_of_the_scores_say(
    number: int, sharpness: float, power: float
) -> None:
    scores = torch.tensor([0.5, 1.0, 1.5, 2.0, 3.0])
    allowed = torch.tensor([True, True, True, True, False])
    keys = draw(
        scores.expand(40_000, 5), allowed.expand(40_000, 5), sharpness, torch.Generator().manual_seed(number)
    )
    drawn = torch.zeros_like(keys).scatter_(1, keys.topk(number).indices, 1).mean(0)
    expected = [*inclusion([score**power for score in scores[:4].tolist()], number), 0.0]
    torch.testing.assert_close(drawn, torch.tensor(expected), atol=0.01, rtol=0)


@pytest.mark.parametrize("sharpness", [1.0, 0.99999])
def test_sharp_draws_are_the_highest_scores(sharpness: float) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randperm(100, generator=generator).float() + 1
    keys = draw(scores, scores <= 90, sharpness, generator)
    assert torch.equal(keep_top({"": keys}, {"": 30})[""].bool(), (scores > 60) & (scores <= 90))


@pytest.mark.parametrize("sharpness", [0.5, 0.9, 1.0])
def test_zeros_are_drawn_last_but_before_what_is_not_allowed(sharpness: float) -> None:
    scores, allowed = torch.tensor([0.0, 1e-6, 0.0, 5.0, 0.0]), torch.tensor([True, True, True, False, False])
    places = set()
    for seed in range(30):
        torch.manual_seed(seed)  # of ties
        keys = draw(scores, allowed, sharpness, torch.Generator().manual_seed(seed))
        chosen = keep_top({"": keys}, {"": 2})[""]
        assert chosen[1] == 1
        assert not chosen[3:].any()
        places.add(int(chosen[2]))
    assert places == {0, 1}  # either zero


# Moves

X = torch.nan
WEIGHT = torch.tensor([[5.0, 1.0, X, X], [4.0, -3.0, 0.5, X], [X, X, X, -2.0]])


def test_a_sharp_move_drops_the_smallest_and_grows_the_best_predicted() -> None:
    method, _ = with_weight(WEIGHT, **SHARP)
    # a third of six go: 0.5 and 1. What is left, (0, 0), (1, 0), (1, 1) and (2, 3), has one path, 0–0–1–1, so that
    # the link (0, 1) comes back; all others have scores of zero
    moved = method._moved({}, 0.34)["0"]
    assert torch.equal(moved[:2, :2], torch.ones(2, 2))
    assert moved[2, 3] == 1
    assert int(moved.sum()) == 6


def test_relative_importance_keeps_what_is_alone_in_its_row_or_column() -> None:
    weight = torch.tensor([[9.0, 8.0, 7.0, X], [X, X, X, 0.1]])
    kept = {}
    for magnitude in (0.0, 1.0):
        method, _ = with_weight(weight, magnitude=magnitude, **SHARP)
        worth = removal_scores(method.weights["0"].detach(), magnitude)
        kept[magnitude] = keep_top({"": worth.masked_fill(weight.isnan(), -1)}, {"": 3})[""]
        moved = method._moved({}, 0.25)["0"]
        assert torch.equal(moved * kept[magnitude], kept[magnitude])
    assert kept[0.0].tolist() == [[1, 1, 0, 0], [0, 0, 0, 1]]
    assert kept[1.0].tolist() == [[1, 1, 1, 0], [0, 0, 0, 0]]


def test_what_stays_at_a_move_is_drawn_by_the_sizes_of_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    method, _ = with_weight(torch.tensor([[1.0, -2.0, X, X], [X, X, 3.0, 4.0]]))
    left: list[Tensor] = []

    def noted(mask: Tensor) -> Tensor:
        left.append(mask)
        return link_scores(mask)

    monkeypatch.setattr(chts, "link_scores", noted)
    method.sharpness = 0.75
    for _ in range(3_000):
        method._moved({}, 0.5)
    stays = torch.stack(left).mean(0)[[0, 0, 1, 1], [0, 1, 2, 3]]
    expected = inclusion([1.0, 8.0, 27.0, 64.0], 2)
    torch.testing.assert_close(stays, torch.tensor(expected), atol=0.03, rtol=0)
    assert all(int(mask.sum()) == 2 for mask in left)


def test_what_grows_at_a_move_is_drawn_by_the_predictions_of_what_is_left() -> None:
    weight = torch.tensor([[5.0, 4.0, 7.0, X], [3.0, X, 2.0, X], [X, 6.0, X, 0.1], [X, 2.0, X, 8.0]])
    method, _ = with_weight(weight, density=9 / 16, begin_sharpness=1.0)
    left = (weight.nan_to_num() > 1).float()
    links = {(o, i) for o, i in left.nonzero().tolist()}
    scores = {
        pair: predicted(links, *pair) for pair in itertools.product(range(4), range(4)) if pair not in links
    }
    grown = torch.stack([method._moved({}, 0.12)["0"] - left for _ in range(3_000)])
    assert (grown.flatten(1).sum(1) == 1).all()
    for pair, score in scores.items():
        expected = score / sum(scores.values())
        assert float(grown.mean(0)[pair]) == pytest.approx(expected, abs=0.03)
    assert len(set(scores.values())) > 3


def test_moves_become_sharper_linearly() -> None:
    layer = nn.Linear(6, 4)
    method = attached(layer, every=2, end=0.8, begin_sharpness=0.2, end_sharpness=0.6)
    sharpness = 0.2
    for number in range(1, 21):
        step(method, [layer], number, 20)
        if number % 2 == 0 and number < 16:  # 0.8 of 20 steps
            sharpness = 0.2 + 0.4 * number / 16
        assert method.sharpness == pytest.approx(sharpness)


def test_weights_grow_from_their_last_value_or_as_they_were_initialised() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 4, bias=False)
    last = layer.weight.detach().clone()
    method = attached(layer, growth_sharpness=0.0)
    ever = method.masks["0"].bool()
    again = first = 0
    for number in range(1, 31):
        layer.weight.grad = torch.randn(4, 6)
        method.after_backward(Progress(number, 30, 0))
        layer.weight.data += torch.randn(4, 6)
        before = method.masks["0"].bool()
        last = torch.where(before, layer.weight.detach(), last)
        method.after_step(Progress(number, 30, 0))
        after = method.masks["0"].bool()
        assert torch.equal(layer.weight.detach(), last * after)
        again += int((after & ~before & ever).sum())
        first += int((after & ~ever).sum())
        ever |= after
    assert again > 10
    assert first > 5


def test_every_layer_keeps_its_budget_and_zeros_stay_zero() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.Linear(40, 30), nn.Linear(30, 10)]
    method = attached(*layers, density=0.2)
    budgets = method.layer_budgets
    assert sum(budgets.values()) == round(0.2 * (216 + 1200 + 300))
    moves = 0
    for number in range(1, 31):
        before = method.masks
        step(method, layers, number, 30)
        moves += any(not torch.equal(before[name], method.masks[name]) for name in before)
        for name, layer in zip(budgets, layers, strict=True):
            assert int(method.masks[name].sum()) == budgets[name]
            assert not (layer.get_parameter("weight") * (1 - method.masks[name])).any()
    assert moves > 20


def test_a_convolution_moves_as_outputs_by_inputs_and_places() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, 3, bias=False)
    linear = nn.Linear(27, 8, bias=False)
    linear.weight.data = conv.weight.detach().flatten(1).clone()
    moved = []
    for layer in (conv, linear):
        method = attached(layer, density=0.3, distribution="uniform")
        torch.manual_seed(0)
        moved.append(method._moved({}, 0.4)["0"].flatten(1))
    assert torch.equal(*moved)


def test_the_same_seed_has_the_same_bits(make_config: Any) -> None:
    from switchbench.trial.run import run_trial

    def weights(seed: int) -> list[Tensor]:
        config = make_config({"method": "chts", "every": 10}).model_copy(update={"seed": seed})
        return [*run_trial(config).network.state_dict().values()]

    first, again, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not all(torch.equal(*pair) for pair in zip(first, other, strict=True))
