"""What a comparison says of one method alone: densities and a training of its own."""

from typing import Any

import pytest

from switchbench.errors import InputError
from switchbench.spec.file import dump, parse
from switchbench.spec.trial import TrialConfig


def with_method(spec: dict[str, Any], **entry: Any) -> dict[str, Any]:
    return spec | {"methods": ["dense", {"method": "magnitude", **entry}]}


def test_a_method_may_have_densities_and_a_learning_rate_of_its_own(spec: dict[str, Any]) -> None:
    own = parse(with_method(spec, label="own", densities=[0.03], training={"lr": 0.02}))
    trials = [trial for trial in own.trials() if trial.method.label == "own"]
    assert {trial.density for trial in trials} == {0.03}
    assert {trial.training.lr for trial in trials} == {0.02}
    assert {trial.training.lr for trial in own.trials() if trial.method.label == "dense"} == {1e-3}
    every = parse(with_method(spec | {"densities": [0.03]}) | {"training": spec["training"] | {"lr": 0.02}})
    twins = [trial.trial_id for trial in every.trials() if trial.method.label == "magnitude"]
    assert [trial.trial_id for trial in trials] == twins  # the same trial, however a spec says it


def test_it_is_written_as_it_was_read(spec: dict[str, Any]) -> None:
    own = parse(with_method(spec, densities=[0.03], training={"lr": 0.02}))
    written = own.model_dump(mode="json")["methods"]
    assert (written[1]["densities"], written[1]["training"]) == ([0.03], {"lr": 0.02})
    assert not {"densities", "training"} & written[0].keys()
    from ruamel.yaml import YAML

    assert parse(YAML(typ="safe").load(dump(own))) == own


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"training": {"epochs": 3}},
            "training: epochs must be the same for every method, so that budgets are equal",
        ),
        ({"training": {"steps": 3, "batch_size": 1}}, "batch_size, steps must be the same for every method"),
        ({"training": {"lrr": 3}}, "methods: 'magnitude': unknown key 'lrr'; did you mean 'lr'"),
        ({"training": {"lr": -1}}, "methods: 'magnitude': lr: -1 should be greater than 0"),
        ({"densities": []}, "densities"),
        ({"densities": ["2.5 %"]}, r"densities\[0\]: '2.5 %' should be a number, such as 0.025$"),
        ({"densities": ["few"]}, r"densities\[0\]: 'few' should be a number$"),
        ({"training": {"lr": "quick"}}, "lr: 'quick' should be a number$"),
        ({"densities": [2]}, "densities.* 2 should be less than or equal to 1"),
    ],
)
def test_what_would_be_unfair_or_unknown_is_one_line(
    spec: dict[str, Any], entry: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        parse(with_method(spec, **entry))
    assert "\n" not in str(caught.value)


def test_densities_are_required_only_where_a_method_takes_a_target(spec: dict[str, Any]) -> None:
    bare = {key: value for key, value in spec.items() if key != "densities"} | {"methods": ["dense", "str"]}
    assert [trial.density for trial in parse(bare).trials()] == [None] * 2 * len(parse(bare).seeds)
    own = [{"method": "magnitude", "densities": [0.03]}]
    assert {trial.density for trial in parse(bare | {"methods": own}).trials()} == {0.03}
    for changes, message in (
        (
            {"methods": ["dense", "magnitude"]},
            "densities: is required, because 'magnitude' takes a target density",
        ),
        ({"match_density": True}, "densities: is required with match_density: true"),
        (
            {"search": {"points": 2, "seeds": [7]}},
            "search.density: is required, because the comparison has no",
        ),
    ):
        with pytest.raises(InputError, match=message):
            parse(bare | changes)


def test_densities_of_a_method_that_takes_none_are_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="'dense' takes no target density"):
        parse(spec | {"methods": [{"method": "dense", "densities": [0.1]}]})


def test_a_trial_alone_has_its_training_and_density_beside_the_method() -> None:
    with pytest.raises(InputError, match="against, densities and training are allowed in a comparison only"):
        TrialConfig.of(
            network="mlp", dataset="digits", method={"method": "magnitude", "densities": [0.1]}, density=0.1,
            training={"steps": 3},
        )  # fmt: skip


@pytest.mark.parametrize("memory", [4, 0, "0.5", "4", True, "much", 999_999])
def test_memory_that_holds_no_trial_is_refused(spec: dict[str, Any], memory: Any) -> None:
    with pytest.raises(InputError) as caught:
        parse(spec | {"resources": {"memory": memory}})
    allowed = 'should be a size of at least 1 MB, with its unit, such as "4GB"'
    assert str(caught.value) == f"spec: resources.memory: {memory!r} {allowed}"


def test_memory_with_its_unit_or_in_bytes(spec: dict[str, Any]) -> None:
    sizes = ["4GB", "1MB", "2GiB", 4_000_000_000, None]
    read = [parse(spec | {"resources": {"memory": size}}).resources.memory for size in sizes]
    assert read == [4_000_000_000, 1_000_000, 2 * 2**30, 4_000_000_000, None]


def test_a_changed_copy_of_a_trial_has_an_id_of_its_own(spec: dict[str, Any]) -> None:
    trial = next(trial for trial in parse(spec).trials() if trial.density is not None)
    longer = trial.training.model_copy(update={"lr": 0.5})
    for change in ({"seed": 7}, {"density": 0.5}, {"training": longer}, {"start": longer}):
        known = (trial.trial_id, trial.start_trial, trial.planned)  # all that is derived and kept
        changed = trial.model_copy(update=change)
        fields = {name: getattr(trial, name) for name in TrialConfig.model_fields} | change
        fresh = TrialConfig.model_construct(**fields)
        assert changed.trial_id == fresh.trial_id != known[0]
        assert changed.planned == fresh.planned
    assert trial.model_copy(deep=True).trial_id == trial.trial_id
