"""What a comparison will cost is known before it runs, and is what it then costs."""

import math
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import torch

import switchbench
from switchbench.compare import order
from switchbench.errors import InputError
from switchbench.spec import file as specfile
from switchbench.spec.shipped import shipped
from switchbench.spec.trial import TrialConfig
from switchbench.trial.estimate import Estimate, _count, estimate, estimates, plain_flops
from switchbench.trial.run import run_trial

LARGE = {"network": "mlp", "hidden": [1000, 600]}
"""A network whose steps are counted on the meta device."""


@pytest.mark.parametrize(
    "method",
    [
        *("dense", "magnitude", "lottery-ticket", "switcher-paper", "l1"),
        *("random", "set", "snip", "synflow", "variational-dropout", "switcher"),  # need values
    ],
)
def test_an_estimate_is_what_the_trial_takes(method: str, make_config: Any) -> None:
    config = make_config(method, training={"epochs": 4, "batch_size": 128})
    predicted, row = estimate(config), run_trial(config).row
    if method != "lottery-ticket":  # it goes back to a step after the first
        assert predicted.steps == row["steps"]
    assert predicted.complete
    assert predicted.flops == pytest.approx(row["train_flops"], rel=0.15)


def test_what_needs_values_is_left_out_and_said(make_config: Any) -> None:
    predicted, dense = (estimate(make_config(method, network=LARGE)) for method in ("snip", "dense"))
    assert not predicted.complete
    assert predicted.flops == dense.flops


@pytest.mark.parametrize("method", ["dense", "str", "switcher-paper"])
def test_large_steps_are_counted_without_values_as_small_ones_are(
    method: str, make_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(method)
    taken = estimate(config)
    _count.cache_clear()
    monkeypatch.setattr("switchbench.trial.estimate.SHORT_STEP", 0)
    assert estimate(config) == taken
    _count.cache_clear()


def test_what_a_method_computes_before_the_first_step_is_included(make_config: Any) -> None:
    predicted, dense = (estimate(make_config(method)) for method in ("snip", "dense"))
    assert predicted.flops == pytest.approx(dense.flops * (1 + 1 / dense.steps))  # one forward and backward


def test_an_estimate_leaves_random_numbers_and_threads_alone(make_config: Any) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    _count.cache_clear()
    estimate(make_config("switcher"))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_data_that_are_not_here_can_be_planned_for(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("SWITCHBENCH_DATA", str(tmp_path))
    config = TrialConfig.of(network="resnet-18", dataset="cifar-10", method="dense", training="cifar")
    predicted = estimate(config)
    assert predicted.steps == 200 * math.ceil(45_000 / 128)
    per_image = predicted.flops / predicted.steps / 128
    assert 3 * 2 * 0.55e9 < per_image < 3 * 2 * 0.56e9  # three passes of 0.56 G multiply-accumulates


def test_costs_of_a_plan_are_grouped_and_summed(spec: Any, tmp_path: Path) -> None:
    spec |= {"start": {"steps": 5}}
    costs = switchbench.plan(spec, tmp_path).costs()
    assert list(costs) == [
        *("dense start on mlp-20, digits, all", "dense on mlp-20, digits, fc"),
        *("random on mlp-20, digits, fc", "magnitude on mlp-20, digits, fc", "all"),
    ]
    assert [cost.trials for cost in costs.values()] == [2, 2, 4, 4, 12]
    assert costs["all"].steps == 2 * 5 + 10 * 20
    assert costs["all"].flops == sum(cost.flops for name, cost in costs.items() if name != "all")
    assert Estimate(1, 10, 7.2e15, True).hours(2.0) == pytest.approx(1.0)


def test_groups_of_the_same_name_each_have_a_cost_of_their_own(make_config: Any) -> None:
    small = make_config(
        {"method": "dense", "label": "a on b"}, network={"network": "mlp", "hidden": [10], "label": "c"}
    )
    large = make_config(
        {"method": "dense", "label": "a"}, network={"network": "mlp", "hidden": [90], "label": "b on c"}
    )
    one, other = estimate(small), estimate(large)
    assert other.flops > 2 * one.flops
    costs = estimates([small, large])
    assert list(costs) == ["a on b on c, digits, fc"]
    assert costs["a on b on c, digits, fc"].flops == one.flops + other.flops


def test_a_network_that_cannot_take_the_images_is_one_line(make_config: Any) -> None:
    with pytest.raises(InputError, match="network 'lenet-5': images of 8×8 pixels are too small"):
        estimate(make_config(network="lenet-5"))


@pytest.mark.parametrize("name", [name for name in shipped() if "paper-" in name])
def test_the_papers_specs_can_be_planned(name: str, tmp_path: Path) -> None:
    plan = switchbench.plan(name, tmp_path)
    methods = {trial.method.name for trial in plan.trials}
    assert methods == {"dense", "random", "magnitude", "l1", "switcher", "switcher-paper", "switcher-neurons"}
    if not name.endswith("-smoke"):
        smoke = switchbench.plan(f"{name}-smoke", tmp_path)
        networks = ({trial.network.name for trial in p.trials} for p in (plan, smoke))
        assert next(networks) == next(networks)


def test_longest_trials_start_first_within_each_seed(spec: Any, monkeypatch: Any) -> None:
    spec |= {"methods": ["dense", "switcher-paper", "lottery-ticket"]}
    trials = specfile.parse(spec).trials()
    assert plain_flops(trials[0]) == estimate(trials[0]).flops
    assert order.longest_first(trials) == trials  # all of them are short
    monkeypatch.setattr(order, "LONG_FLOPS", 1.0)
    ordered = order.longest_first(trials)
    assert [(trial.seed, trial.method.label, trial.density) for trial in ordered] == [
        (seed, method, density)
        for seed in (0, 1)
        for method, densities in (
            ("switcher-paper", [None]),
            ("lottery-ticket", [0.2, 0.1]),
            ("dense", [None]),
        )
        for density in densities
    ]


def test_a_thread_that_estimates_changes_no_trial_that_trains(make_config: Any) -> None:
    """As one does that an interrupted run has left behind: torch's random numbers and cache are the process's."""
    config, ended = make_config("movement", training={"epochs": 12, "batch_size": 64}), Event()
    alone = run_trial(config).row
    estimated = []

    def count() -> None:
        while not ended.is_set():
            _count.cache_clear()
            estimated.append(estimate(config))

    thread = Thread(target=count)
    thread.start()
    try:
        beside = run_trial(config).row
    finally:
        ended.set()
        thread.join()
    assert (beside.val_loss, beside.test_accuracy) == (alone.val_loss, alone.test_accuracy)
    assert {each.complete for each in estimated} == {True}
