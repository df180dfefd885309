"""The small shared modules, against values worked out by hand."""

import pytest
import torch

from switchbench.methods.parts import distributions, masks, pruning_schedules


def test_keep_top_global_ranks_layers_together() -> None:
    scores = {"a": torch.tensor([[1.0, 9.0], [3.0, 4.0]]), "b": torch.tensor([8.0, 2.0])}
    kept = masks.keep_top(scores, 3)
    assert kept["a"].tolist() == [[0, 1], [0, 1]]
    assert kept["b"].tolist() == [1, 0]


def test_keep_top_per_layer() -> None:
    scores = {"a": torch.tensor([1.0, 9.0, 3.0]), "b": torch.tensor([0.1, 0.2])}
    kept = masks.keep_top(scores, {"a": 1, "b": 2})
    assert kept["a"].tolist() == [0, 1, 0]
    assert kept["b"].tolist() == [1, 1]


def test_ties_are_broken_not_kept_in_excess() -> None:
    kept = masks.keep_top({"a": torch.ones(1000), "b": torch.ones(500)}, 700)
    assert sum(int(mask.sum()) for mask in kept.values()) == 700


def test_keeping_more_than_there_is_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot keep 5 of 4"):
        masks.keep_top({"a": torch.ones(4)}, 5)


def test_scores_that_are_no_numbers_are_an_error() -> None:
    with pytest.raises(ValueError, match="NaN"):
        masks.keep_top({"a": torch.tensor([1.0, torch.nan])}, 1)


def test_random_masks_follow_the_generator() -> None:
    like = {"a": torch.zeros(30, 20), "b": torch.zeros(50)}
    draw = [masks.random_masks(like, {"a": 60, "b": 5}, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert int(draw[0]["a"].sum()) == 60
    assert int(draw[0]["b"].sum()) == 5
    assert torch.equal(draw[0]["a"], draw[1]["a"])
    assert not torch.equal(draw[0]["a"], draw[2]["a"])


def test_uniform_budget_sums_to_the_total() -> None:
    weights = {name: torch.zeros(shape) for name, shape in {"a": (7, 3), "b": (5, 5), "c": (3, 1)}.items()}
    keep = distributions.layer_budgets(weights, 0.3, "uniform")
    assert sum(keep.values()) == distributions.budget(weights, 0.3) == round(0.3 * 49)
    assert all(abs(keep[name] - 0.3 * weights[name].numel()) < 1 for name in keep)


def test_erk_density_is_proportional_to_sides_over_area() -> None:
    weights = {"a": torch.zeros(100, 300), "b": torch.zeros(50, 100)}
    keep = distributions.layer_budgets(weights, 0.1, "erk")
    assert sum(keep.values()) == 3500
    # 400 and 150 are the sums of sides: 3500 * 400 / 550 and 3500 * 150 / 550
    assert keep == {"a": 2545, "b": 955}


def test_erk_fills_small_layers_and_passes_the_rest_on() -> None:
    weights = {"wide": torch.zeros(300, 784), "small": torch.zeros(2, 2)}
    keep = distributions.layer_budgets(weights, 0.1, "erk")
    assert keep["small"] == 4
    assert sum(keep.values()) == round(0.1 * (300 * 784 + 4))


def test_cubic_schedule_values() -> None:
    # Zhu & Gupta: s_t = s_f (1 - (1 - t)^3), density = 1 - s_t; s_f = 0.9 and t = 1/4, 1/2, 3/4
    values = [
        pruning_schedules.polynomial(x, begin=0.2, end=0.6, final=0.1)
        for x in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0)
    ]
    sparsities = [0, 0, 0.9 * (1 - 0.75**3), 0.9 * (1 - 0.5**3), 0.9 * (1 - 0.25**3), 0.9, 0.9]
    assert values == pytest.approx([1 - sparsity for sparsity in sparsities])


@pytest.mark.parametrize(("steps", "times"), [(1000, 100), (60, 100), (7, 3), (1, 5)])
def test_events_fall_in_the_window_and_the_last_at_its_end(steps: int, times: int) -> None:
    fired = [step for step in range(1, steps + 1) if pruning_schedules.due(step, steps, 0.1, 0.6, times)]
    assert fired[-1] == min(step for step in range(1, steps + 1) if step / steps >= 0.6)
    assert all(step / steps > 0.1 for step in fired)
    assert len(fired) <= times
    if steps == 1000:
        assert len(fired) == times


def test_one_shot_is_one_event() -> None:
    assert [step for step in range(1, 11) if pruning_schedules.due(step, 10, 0.5, 0.5, 1)] == [5]
