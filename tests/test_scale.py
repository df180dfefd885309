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
    "fashion-mnist": "a2e1e52ac8bf624b",
    "fashion-mnist-all-methods": "1ec2dbda16863a0e",
    "fashion-mnist-lenet-5": "5ddf9c1090aceacb",
    "paper-cifar10": "7f4025800a3a452a",
    "paper-cifar10-smoke": "9467cf7e019e2e4c",
    "paper-cifar100": "6aa95045b36d90b4",
    "paper-cifar100-smoke": "f650e1678cd091f1",
    "paper-mnist": "0a2b5d90836263bf",
    "paper-mnist-smoke": "ec32aba692cc1df9",
    "quickstart": "333617db76a5ce50",
    "search-fashion-mnist": "d84d413060ff88e5",
    "search-switcher": "94f05939651acbba",
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
