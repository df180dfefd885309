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
    "fashion-mnist": "73e3021628e95e87",
    "fashion-mnist-all-methods": "9fdcef99a07633ec",
    "fashion-mnist-lenet-5": "cfc1481cc56a9aa2",
    "paper-cifar10": "9169c070d4918a7b",
    "paper-cifar10-smoke": "24203583eed58c82",
    "paper-cifar100": "f53dc50c393ec9a1",
    "paper-cifar100-smoke": "6d80d772faad5c55",
    "paper-mnist": "7b141ceb17dac60e",
    "paper-mnist-smoke": "76081fe1191e8f4d",
    "quickstart": "0f4b2d2d2e2eff08",
    "search-fashion-mnist": "df3390c42e751621",
    "search-switcher": "57e85b439b9c6788",
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
