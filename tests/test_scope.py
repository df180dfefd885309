"""Which layers a method may sparsify: a kind, and patterns of names."""

from typing import Any

import pytest
from torch import nn

import switchbench
from switchbench.errors import InputError
from switchbench.spec import file as specfile
from switchbench.spec.components import NetworkChoice
from switchbench.spec.scope import Scope
from switchbench.trial.run import run_trial


@pytest.fixture
def lenet() -> nn.Module:
    return NetworkChoice.model_validate("lenet-5").build((1, 28, 28), 10)


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("fc", ["classifier.0", "classifier.2", "classifier.4"]),
        ("all", ["features.0", "features.3", "classifier.0", "classifier.2", "classifier.4"]),
        ({"include": ["features.*"]}, ["features.0", "features.3"]),
        ({"layers": "fc", "exclude": ["classifier.4"]}, ["classifier.0", "classifier.2"]),
        ({"include": ["*.0"], "exclude": ["features.*"]}, ["classifier.0"]),
        ({"layers": "fc", "include": ["features.*"]}, []),
    ],
)
def test_layers_in_scope(scope: Any, names: list[str], lenet: nn.Module) -> None:
    assert list(Scope.model_validate(scope).of(lenet)) == names


def test_a_scope_is_written_as_it_is_read() -> None:
    for written in ("fc", "all", {"layers": "all", "exclude": ["conv1"]}):
        assert Scope.model_validate(written).model_dump(mode="json") == written
    assert str(Scope(include=("a", "b"), exclude=("c",))) == "all in a b without c"


def test_several_scopes_are_several_tasks(spec: Any) -> None:
    resolved = specfile.parse(spec | {"scope": ["fc", {"layers": "fc", "exclude": ["1"]}]})
    assert len(resolved.trials()) == 2 * len(specfile.parse(spec).trials())
    assert {trial.planned.scope for trial in resolved.trials()} == {"fc", "fc without 1"}
    assert specfile.parse(resolved.model_dump(mode="json")) == resolved
    with pytest.raises(InputError, match="scope: value 'fc' is used twice; values must be unique"):
        specfile.parse(spec | {"scope": ["fc", "fc"]})


def test_layers_that_are_left_out_stay_dense(make_config: Any) -> None:
    row = run_trial(make_config("magnitude", scope={"exclude": ["1"]})).row
    assert row["density"] == pytest.approx(0.1, abs=0.01)
    assert '"1": 1.0' in row["density_layers"]
    assert row["density_prunable"] > 0.7


def test_a_pattern_that_fits_no_layer_is_one_line(spec: Any, tmp_path: Any) -> None:
    with pytest.raises(InputError, match=r"scope: no network .* unknown layer 'fc9'; known: 1, 3"):
        switchbench.run(spec | {"scope": {"exclude": ["fc9"]}}, tmp_path / "out")
    with pytest.raises(InputError, match="unknown layer 'fc9'"):
        switchbench.plan(spec | {"scope": {"exclude": ["fc9"]}}, tmp_path / "out").costs()
    assert not (tmp_path / "out").exists()
