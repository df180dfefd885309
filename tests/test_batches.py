"""Augmentation: each image in its own way, whole batches at once, from the seed alone."""

from typing import Any

import pytest
import torch

from switchbench import datasets
from switchbench.datasets import Augmentation, Batch, Split
from switchbench.datasets.augment import Draw
from switchbench.methods import METHODS
from switchbench.registration import is_own
from switchbench.spec import file as specfile
from switchbench.spec.trial import TrialConfig
from switchbench.trial import seeds
from switchbench.trial.run import run_trial

CPU = torch.device("cpu")


def images(count: int = 50) -> torch.Tensor:
    seeded = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (count, 3, 6, 5), generator=seeded, dtype=torch.uint8)


def test_each_image_is_a_crop_of_itself_padded_and_maybe_mirrored() -> None:
    before = images()
    draw = Augmentation(crop=2, flip=True).draw(50, torch.Generator().manual_seed(1), CPU)
    assert draw is not None
    after = draw.apply(before)
    assert after.dtype == torch.uint8
    padded = torch.nn.functional.pad(before, [2] * 4)
    for number in range(50):
        down, right = draw.shifts[number].tolist()
        crop = padded[number, :, down : down + 6, right : right + 5]
        assert torch.equal(after[number], crop.flip(2) if draw.flips[number] else crop)
    assert set(draw.shifts.flatten().tolist()) == set(range(5))
    assert 10 < int(draw.flips.sum()) < 40


def test_without_a_shift_or_a_flip_nothing_changes() -> None:
    assert Augmentation().draw(3, torch.Generator(), CPU) is None
    still = Draw(2, torch.full((50, 2), 2), torch.zeros(50, dtype=torch.bool))
    assert torch.equal(still.apply(images()), images())


def test_only_training_batches_are_varied() -> None:
    data = datasets.load("digits")
    split: Split = datasets.split(data, 0.2, seeds.generator(0, "split")).train
    rows = torch.arange(20)
    draw = Draw(2, torch.zeros((20, 2), dtype=torch.int64), torch.zeros(20, dtype=torch.bool))
    plain, labels = split.batch(rows)
    moved, same = split.batch(*Batch(rows, draw))
    assert torch.equal(labels, same)
    assert torch.equal(moved[:, :, 2:, 2:], plain[:, :, :-2, :-2])


def test_validation_and_test_images_are_never_varied(make_config: Any, monkeypatch: Any) -> None:
    seen: dict[int, set[bool]] = {}
    batch = Split.batch

    def note(self: Split, index: Any, draw: Any = None) -> Any:
        seen.setdefault(len(self), set()).add(draw is not None)
        return batch(self, index, draw)

    monkeypatch.setattr(Split, "batch", note)
    run_trial(make_config(training={"epochs": 1, "batch_size": 64, "augment": {"crop": 1}}))
    assert seen[144] == {False}  # validation
    assert seen[360] == {False}  # test
    assert True in seen[1293]


def test_a_seed_decides_what_is_seen_and_augmentation_moves_no_other_draw(make_config: Any) -> None:
    varied = {"steps": 20, "batch_size": 64, "augment": {"crop": 1, "flip": True}}
    one, again = (run_trial(make_config(training=varied)).row for _ in range(2))
    assert one["test_loss"] == again["test_loss"]
    other = run_trial(make_config(training={"steps": 20, "batch_size": 64})).row
    assert other["test_loss"] != one["test_loss"]
    first, second = (
        _batches({"steps": 20, "batch_size": 64} | extra)
        for extra in ({}, {"augment": {"crop": 1, "flip": True}})
    )
    assert all(torch.equal(a.rows, b.rows) for a, b in zip(first, second, strict=True))
    assert all(a.draw is None and b.draw is not None for a, b in zip(first, second, strict=True))


def _batches(training: dict[str, Any]) -> list[Batch]:
    from switchbench.spec.training import TrainingConfig
    from switchbench.trial.loop import _epochs

    split = datasets.split(datasets.load("digits"), 0.2, seeds.generator(0, "split")).train
    config = TrainingConfig(**({"augment": Augmentation()} | training))
    return [batch for _, batches in _epochs(split, config, 0, 0) for batch in batches]


def test_the_last_batches_of_a_schedule_are_the_same_from_any_start() -> None:
    from switchbench.spec.training import TrainingConfig
    from switchbench.trial.loop import _epochs

    split = datasets.split(datasets.load("digits"), 0.2, seeds.generator(0, "split")).train
    config = TrainingConfig(epochs=3, batch_size=64, augment=Augmentation(crop=1))
    whole, rest = ([b for _, batches in _epochs(split, config, 0, k) for b in batches] for k in (0, 25))
    assert len(whole) - len(rest) == 25
    for one, other in zip(whole[25:], rest, strict=True):
        assert one.draw is not None
        assert other.draw is not None
        assert torch.equal(one.rows, other.rows)
        assert torch.equal(one.draw.shifts, other.draw.shifts)


def config(dataset: str, **training: Any) -> TrialConfig:
    return TrialConfig.of(
        network="resnet-18", dataset=dataset, method="dense", training={"epochs": 1} | training
    )


@pytest.mark.parametrize(
    ("dataset", "default"),
    [
        ("cifar-10", {"crop": 4, "flip": True}),
        ("cifar-100", {"crop": 4, "flip": True}),
        ("svhn", {"crop": 4, "flip": False}),
        ("fashion-mnist", {"crop": 0, "flip": False}),
    ],
)
def test_a_data_set_has_its_default_and_a_spec_its_own(dataset: str, default: dict[str, Any]) -> None:
    resolved = config(dataset)
    assert resolved.training.augment == Augmentation(**default)
    assert resolved.trial_id == config(dataset, augment=default).trial_id
    own = config(dataset, augment={"crop": 2})
    assert own.training.augment == Augmentation(crop=2)
    assert own.trial_id != resolved.trial_id
    again = TrialConfig.model_validate_json(own.model_dump_json())
    assert again.trial_id == own.trial_id


def test_options_that_came_later_move_no_earlier_result(spec: Any) -> None:
    plain = specfile.parse(spec).trials()[0]
    named = {"augment": {"crop": 0, "flip": False}, "precision": "float32", "compile": False}
    assert (
        specfile.parse(spec | {"training": spec["training"] | named}).trials()[0].trial_id == plain.trial_id
    )
    changes: list[dict[str, Any]] = [
        {"augment": {"flip": True}},
        {"precision": "bfloat16"},
        {"compile": True},
        {"compile": "reduce-overhead"},
    ]
    specs = [spec | {"training": spec["training"] | change} for change in changes]
    ids = {specfile.parse(changed).trials()[0].trial_id for changed in specs}
    assert len(ids | {plain.trial_id}) == 1 + len(changes)


def test_ids_with_a_compiler_are_those_of_switchbench_0_1() -> None:
    """A value was added to ``compile``; ids of results with the old ones stay."""
    training = {"steps": 20, "batch_size": 64}
    ids = {
        value: TrialConfig.of(
            dataset="digits", network="mlp", method="dense", training=training | {"compile": value}
        ).trial_id
        for value in (False, True)
    }
    assert ids == IDS_OF_COMPILE


IDS_OF_COMPILE = {False: "fce1d1991f592506", True: "e0d534f0611d2239"}


def test_bfloat16_trains_and_weights_stay_float32(make_config: Any) -> None:
    result = run_trial(make_config(training={"epochs": 10, "batch_size": 64, "precision": "bfloat16"}))
    assert all(parameter.dtype == torch.float32 for parameter in result.network.parameters())
    plain = run_trial(make_config(training={"epochs": 10, "batch_size": 64}))
    assert result.row["test_loss"] != plain.row["test_loss"]
    assert result.row["test_accuracy"] == pytest.approx(plain.row["test_accuracy"], abs=0.05)


@pytest.mark.slow  # below, with a stand-in for the compiler, which takes half a minute
def test_a_compiled_network_learns_the_same(make_config: Any, monkeypatch: Any) -> None:
    compiled: list[Any] = []
    compile_ = torch.compile

    def note(network: Any, **options: Any) -> Any:
        compiled.append(network)
        return compile_(network, **options)

    monkeypatch.setattr(torch, "compile", note)
    short = {"steps": 30, "batch_size": 64}
    plain, fast = (run_trial(make_config("set", training=short | {"compile": c})).row for c in (False, True))
    assert len(compiled) == 2  # the network, and the copy that it is measured by
    assert fast["test_loss"] == pytest.approx(plain["test_loss"], rel=1e-3)
    assert fast["train_flops"] == plain["train_flops"]


@pytest.mark.slow  # test_a_compiled_network_learns_the_same has one method
@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if is_own(method)])
def test_every_method_can_be_compiled(method: str, make_config: Any, monkeypatch: Any) -> None:
    """The network is traced with everything that a method puts in front of its weights; no code is generated."""
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network, **_: compile_(network, backend="aot_eager"))
    network = {"network": "mlp", "hidden": [20, 12], "batch_norm": method == "network-slimming"}
    short = {"steps": 30, "batch_size": 64}
    plain, traced = (
        run_trial(make_config(method, network=network, training=short | {"compile": c})).row
        for c in (False, True)
    )
    assert traced["density"] == plain["density"]
    assert traced["test_loss"] == pytest.approx(plain["test_loss"], rel=1e-3)


def test_the_compiler_is_told_to_use_cuda_graphs(make_config: Any, monkeypatch: Any) -> None:
    modes: list[Any] = []

    def stand_in(network: Any, mode: Any) -> Any:
        modes.append(mode)
        return network

    monkeypatch.setattr(torch, "compile", stand_in)
    for compiled in (True, "reduce-overhead"):
        run_trial(make_config(training={"steps": 2, "batch_size": 64, "compile": compiled}))
    assert modes == [None, None, "reduce-overhead", "reduce-overhead"]  # the network, and the timed copy


def test_what_is_compiled_is_what_is_trained(make_config: Any, monkeypatch: Any) -> None:
    calls: list[int] = []

    def stand_in(network: Any, **options: Any) -> Any:
        number = len(calls)
        calls.append(0)

        def forward(images: Any) -> Any:
            calls[number] += 1
            return network(images)

        return forward

    monkeypatch.setattr(torch, "compile", stand_in)
    short = {"steps": 30, "batch_size": 64}
    plain, fast = (run_trial(make_config("set", training=short | {"compile": c})).row for c in (False, True))
    timed, trained = sorted(calls)  # the copy that plain steps are timed on, and the network
    assert trained == 30 - 1  # the step whose FLOPs are counted runs without
    assert timed == 10
    assert fast["test_loss"] == plain["test_loss"]
