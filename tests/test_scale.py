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
    "fashion-mnist": "fa15a7d5c90b793b",
    "fashion-mnist-all-methods": "7e025ef42b8046d2",
    "fashion-mnist-lenet-5": "298d2ae9dfc1b2e7",
    "paper-cifar10": "d672d208fb3ed3dc",
    "paper-cifar10-smoke": "aedfb86a72f28e68",
    "paper-cifar100": "1fc6b9b3caec8027",
    "paper-cifar100-smoke": "4a1180e5e91a4ba5",
    "paper-mnist": "911ba77e1dbab410",
    "paper-mnist-smoke": "03b1a07e92fbab1d",
    "quickstart": "b787303cbd2c8755",
    "search-fashion-mnist": "082600f4e3f627fa",
    "search-switcher": "303d3a806bb0a5b0",
}
"""Hash of the ids of all trials of each shipped spec, from initial weights and with a dense start. They were
made when each trial was still hashed by itself."""


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
