"""The rules of fair measurement that a single trial keeps."""

import json
import time
from typing import Any

import pytest
import torch

from switchbench import datasets
from switchbench.datasets import Split
from switchbench.errors import InputError
from switchbench.measure import evaluation
from switchbench.methods import METHODS, Method
from switchbench.networks import MLP, NETWORKS
from switchbench.spec.trial import TrialConfig
from switchbench.trial import loop as training
from switchbench.trial import seeds
from switchbench.trial.control import Control
from switchbench.trial.outcomes import Diverged, Skipped
from switchbench.trial.run import run_trial


class Probe(Method):
    """Records what the trial shows a method."""

    last: "Probe"

    def attach(self, network: Any, layers: Any, batch: Any) -> None:
        super().attach(network, layers, batch)
        Probe.last = self
        self.start = [parameter.detach().clone() for parameter in network.parameters()]
        self.inputs: list[torch.Tensor] = []
        network.register_forward_pre_hook(lambda module, args: self.inputs.append(args[0].clone()))

    @classmethod
    def takes_target(cls, config: Any) -> bool:
        return False


class Greedy(Probe):
    """Draws from every generator in reach, at every step."""

    def after_step(self, progress: Any) -> None:
        torch.rand(5)
        torch.rand(5, generator=self.generator)


@pytest.fixture(autouse=True)
def probes(monkeypatch: Any) -> None:
    monkeypatch.setitem(METHODS, "probe", Probe)
    monkeypatch.setitem(METHODS, "greedy", Greedy)


def test_same_seed_means_same_weights_and_same_batches_for_every_method(make_config: Any) -> None:
    run_trial(make_config("probe", seed=3))
    first = Probe.last
    run_trial(make_config("greedy", seed=3))
    second = Probe.last
    assert type(first) is not type(second)
    for a, b in zip(first.start, second.start, strict=True):
        assert torch.equal(a, b)
    assert len(first.inputs) == len(second.inputs)
    for a, b in zip(first.inputs, second.inputs, strict=True):
        assert torch.equal(a, b)


def test_other_seed_means_other_weights_batches_and_validation_images(make_config: Any) -> None:
    run_trial(make_config("probe", seed=3))
    first = Probe.last
    run_trial(make_config("probe", seed=4))
    assert not torch.equal(first.start[0], Probe.last.start[0])
    assert not torch.equal(first.inputs[0], Probe.last.inputs[0])


def test_splits_are_disjoint_complete_and_keep_the_test_set_fixed() -> None:
    data = datasets.load("digits")
    one, two = (datasets.split(data, 0.2, seeds.generator(s, "split")) for s in (0, 1))
    assert (len(one.train), len(one.validation), len(one.test)) == (1150, 287, 360)
    assert one.test.source is two.test.source is data.test
    assert one.train.rows is not None
    assert one.validation.rows is not None
    assert two.validation.rows is not None
    assert set(one.validation.rows.tolist()) != set(two.validation.rows.tolist())
    assert sorted([*one.train.rows.tolist(), *one.validation.rows.tolist()]) == list(range(1437))


def test_images_are_normalised_by_the_training_split() -> None:
    splits = datasets.split(datasets.load("digits"), 0.2, seeds.generator(0, "split"))
    images, labels = splits.train.batch(slice(None))
    assert images.shape == (1150, 1, 8, 8)
    assert labels.shape == (1150,)
    assert float(images.mean()) == pytest.approx(0, abs=1e-4)
    assert float(images.std(correction=0)) == pytest.approx(1, abs=1e-4)


def test_the_test_split_is_read_once_after_training(make_config: Any, monkeypatch: Any) -> None:
    reads: list[int] = []
    real, sizes = evaluation.evaluate, {144: "validation", 360: "test"}

    def spy(network: Any, split: Split) -> Any:
        reads.append(len(split))
        return real(network, split)

    monkeypatch.setattr(training, "evaluate", spy)
    monkeypatch.setattr("switchbench.trial.run.evaluate", spy)
    run_trial(make_config("probe", training={"epochs": 3}))
    assert [sizes[size] for size in reads] == ["validation"] * 4 + ["test"]


def test_a_config_fits_its_json(make_config: Any) -> None:
    config = make_config({"method": "magnitude", "label": "mine", "end": 0.5}, 0.05, seed=2)
    again = TrialConfig.model_validate_json(config.model_dump_json())
    assert again == config
    assert again.trial_id == config.trial_id


def test_identity_is_what_decides_the_result(make_config: Any) -> None:
    base = make_config("magnitude")
    assert make_config({"method": "magnitude", "label": "another name"}).trial_id == base.trial_id
    assert make_config({"method": "magnitude", "end": 0.75}).trial_id == base.trial_id  # the default
    others = [
        make_config({"method": "magnitude", "end": 0.61}),
        make_config("magnitude", 0.2),
        make_config("magnitude", seed=1),
        make_config("magnitude", scope="all"),
        make_config("magnitude", validation=0.2),
        make_config("magnitude", training={"steps": 61, "batch_size": 64}),
        make_config("magnitude", network={"network": "mlp", "hidden": [20, 13]}),
    ]
    assert len({base.trial_id, *(other.trial_id for other in others)}) == len(others) + 1


def test_a_new_version_of_a_method_is_a_new_trial(make_config: Any, monkeypatch: Any) -> None:
    before = make_config("magnitude").trial_id
    monkeypatch.setattr(METHODS["magnitude"], "version", 2)
    assert make_config("magnitude").trial_id != before


def test_pinned_identities() -> None:
    """If one of these changes, stored results are not found again: raise a version on purpose."""
    base: dict[str, Any] = {"network": "lenet-300-100", "dataset": "digits", "training": {"epochs": 60}}
    window = {"begin": 0.1, "end": 0.6, "power": 3.0}  # the defaults when these ids were pinned
    magnitude, l1 = {"method": "magnitude"} | window, {"method": "l1", "strength": 1e-3, "end": 0.6}
    ids = {
        "dense": TrialConfig.of(**base, method="dense").trial_id,
        "magnitude": TrialConfig.of(**base, method=magnitude, density=0.05, seed=1).trial_id,
        "l1": TrialConfig.of(**base, method=l1, density=0.1).trial_id,
    }
    assert ids == {
        "dense": "77d86a91a48e8c52",
        "magnitude": "236320c5b6d5a4e3",
        "l1": "04762a8d91436745",
    }


def test_divergence_is_an_error_of_its_own(make_config: Any) -> None:
    with pytest.raises(Diverged, match="training loss is"):
        run_trial(make_config("dense", training={"steps": 300, "optimizer": "sgd", "lr": 1e20}))


def test_divergence_at_the_very_last_step_is_seen(make_config: Any) -> None:
    with pytest.raises(Diverged, match="finished network"):
        run_trial(make_config("dense", training={"steps": 1, "optimizer": "sgd", "lr": 1e38}))


def test_a_deadline_ends_a_trial(make_config: Any) -> None:
    with pytest.raises(TimeoutError, match="deadline passed at step 1 of 60"):
        run_trial(make_config("dense"), control=Control(deadline=time.monotonic()))


def test_a_method_may_decline(make_config: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(Probe, "skip", classmethod(lambda cls, config, network, layers: "not today"))
    with pytest.raises(Skipped, match="not today"):
        run_trial(make_config("probe"))


def test_the_callers_process_is_left_as_it_was(make_config: Any) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    threads = torch.get_num_threads()
    run_trial(make_config("dense"))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_curves_and_row_agree(make_config: Any) -> None:
    result = run_trial(make_config("magnitude", training={"epochs": 5}))
    assert [point["epoch"] for point in result.curves] == [0, 1, 2, 3, 4]
    assert result.curves[-1]["step"] == result.row["steps"] == 5 * 11
    assert result.curves[-1]["val_accuracy"] == result.row["val_accuracy"]
    assert result.curves[-1]["density"] == result.row["density"]
    assert set(json.loads(result.row["density_layers"])) == {"1", "3", "5"}


def test_a_config_explains_what_is_wrong() -> None:
    with pytest.raises(InputError, match=r"training\.epoch: unknown key.*|training: unknown key"):
        TrialConfig.of(network="mlp", dataset="digits", method="dense", training={"epoch": 3})


def test_what_a_network_has_frozen_stays_frozen_whoever_takes_turns(
    make_config: Any, monkeypatch: Any
) -> None:
    class Frozen(MLP):
        """An mlp whose biases never learn."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            for name, parameter in self.named_parameters():
                parameter.requires_grad_("bias" not in name)

    Frozen.name = "frozen"
    monkeypatch.setitem(NETWORKS, "frozen", Frozen)
    biases = []
    for method in ("dense", {"method": "switcher-equivariant", "every": 5}):
        network = run_trial(make_config(method, network={"network": "frozen", "hidden": [20]})).network
        biases.append([p for name, p in network.named_parameters() if "bias" in name])
    assert all(torch.equal(*pair) for pair in zip(*biases, strict=True))
