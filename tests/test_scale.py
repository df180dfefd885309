"""Many trials: what they share is computed once, and their ids are those of trials made one by one.

Seconds and memory are measured by ``make benchmark``, not here.
"""

import hashlib
from typing import Any

import pytest

from switchbench.datasets.registry import DATASETS
from switchbench.spec import file as specfile
from switchbench.spec.components import DatasetChoice
from switchbench.spec.shipped import shipped
from switchbench.spec.trial import TrialConfig

IDS = {
    "fashion-mnist": "f92d02e9425bd886",
    "fashion-mnist-all-methods": "b3e73005a4ad9141",
    "fashion-mnist-lenet-5": "317930df968b6104",
    "paper-cifar10": "ce688ce89e122655",
    "paper-cifar10-smoke": "0f849c9011438512",
    "paper-cifar100": "ca4a8fb9a640eabd",
    "paper-cifar100-smoke": "f68715a0207edd7a",
    "paper-mnist": "6feaeebf78ae22a3",
    "paper-mnist-smoke": "94fc88581f09552b",
    "quickstart": "f76f002a2f25f047",
    "search-fashion-mnist": "62d0d5dbab35fa3f",
    "search-switcher": "31c741d28b7b14d4",
}
"""Hash of the ids of all trials of each shipped spec, from initial weights and with a dense start. They
changed last with the defaults of the pruning windows."""


@pytest.mark.parametrize("name", IDS)
def test_the_trials_of_shipped_specs_keep_their_ids(name: str) -> None:
    ids = []
    for changes in ((), ("start={epochs: 2}",)):
        for trial in specfile.load(name, changes).trials():
            start = trial.start_trial
            ids += [trial.trial_id, start.trial_id if start else "-"]
    assert hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16] == IDS[name]


def test_every_shipped_spec_is_pinned() -> None:
    assert IDS.keys() == shipped().keys()


def test_trials_of_a_comparison_are_those_that_are_made_one_by_one(spec: Any) -> None:
    spec |= {"start": {"steps": 5}}
    for trial in specfile.parse(spec).trials():
        alone = TrialConfig.model_validate(trial.model_dump(mode="json"))
        assert trial == alone
        assert trial.trial_id == alone.trial_id
        assert trial.start_trial == alone.start_trial


def test_a_data_set_is_identified_once_for_all_trials(spec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    identity = DatasetChoice.identity

    def counted(choice: DatasetChoice) -> dict[str, Any]:
        looks.append(choice.name)
        return identity(choice)

    monkeypatch.setattr(DatasetChoice, "identity", counted)
    trials = specfile.parse(spec | {"seeds": 50}).trials()
    assert len(trials) > 100
    assert looks == ["digits"]


def test_registered_sizes_of_the_digits_are_theirs() -> None:
    facts = DATASETS["digits"].facts
    data = DatasetChoice.model_validate("digits").load()
    assert facts
    assert (facts.train, facts.shape, facts.classes) == (len(data.train), data.input_shape, data.classes)
