"""What a search may vary: declared ranges, what a spec makes of them, and what values make of a method."""

from typing import Any

import pytest

from switchbench.errors import InputError
from switchbench.methods import METHODS
from switchbench.methods.options import declared
from switchbench.spec.components import MethodChoice
from switchbench.spec.ranges import Choice, DensityRange, Range
from switchbench.spec.training import TrainingConfig
from switchbench.tuning.space import Space, make_space
from switchbench.tuning.values import TARGET_DENSITY, Values, Variable

TRAINING = TrainingConfig(epochs=2)


def of(method: Any, density: Any = 0.1, **changes: Any) -> Space:
    return make_space(MethodChoice.model_validate(method), TRAINING, density, changes)


def low(variable: Variable, dimension: Range | Choice) -> Any:
    return dimension.ends[0]


@pytest.mark.parametrize("name", sorted(METHODS))
def test_declared_ranges_are_searched_where_they_have_an_effect(name: str) -> None:
    config = METHODS[name].Config
    made = of(name)
    for variable, dimension in made.dimensions.items():
        key = variable.key
        about = declared(config, key)
        assert isinstance(dimension, Range)
        assert [dimension.low, dimension.high] == about["search"]
        assert dimension.log == about["log"]
        assert dimension.whole == (config.model_fields[key].annotation is int)
    defaults = made.defaults()
    assert made.choice(defaults, name).identity() == MethodChoice.model_validate(name).identity()
    assert made.is_complete(defaults)
    assert dict(defaults).keys() == made.dimensions.keys()


def test_a_spec_narrows_widens_fixes_and_adds() -> None:
    made = of(
        "magnitude",
        begin={"low": 0.1, "high": 0.2},
        end=0.7,
        updates={"low": 5, "high": 50, "log": True},
        distribution=["global", "erk"],
        **{"training.lr": {"low": 1e-4, "high": 1e-2, "log": True}, "training.optimizer": ["adam", "adamw"]},
    )
    assert {str(variable): str(dimension) for variable, dimension in made.dimensions.items()} == {
        "begin": "0.1 to 0.2",
        "power": "1 to 8",
        "updates": "5 to 50, log",
        "distribution": "global | erk",
        "training.lr": "0.0001 to 0.01, log",
        "training.optimizer": "adam | adamw",
    }
    assert made.method.options["end"] == 0.7
    choice = made.choice(made.draw(low), "mine")
    assert choice.label == "mine"
    assert (choice.options["updates"], choice.options["distribution"]) == (5, "global")
    assert choice.training == {"lr": 1e-4, "optimizer": "adam"}
    assert choice.merged_training(TRAINING) == TrainingConfig(epochs=2, lr=1e-4)


def test_a_part_that_is_searched_brings_the_dimensions_that_need_it() -> None:
    plain, parts = (
        of("switcher-equivariant"),
        of("switcher-equivariant", reader=["free", "equivariant"], sparsity=["target", "penalty"]),
    )
    names = [str(variable) for variable in parts.dimensions]
    assert "strength" not in map(str, plain.dimensions)
    assert {"strength", "rank"} <= {*names}
    assert names.index("rank") > names.index("reader")

    def drawn(**chosen: Any) -> set[str]:
        values = parts.draw(lambda variable, dimension: chosen.get(variable.key, dimension.ends[0]))
        choice = parts.choice(values, "x")
        assert all(choice.options[name] == value for name, value in values.options.items())
        return {*values.params()}

    assert "rank" not in drawn(reader="free", begin=0.1, end=0.6)
    assert "rank" in drawn(reader="equivariant", begin=0.1, end=0.6)
    assert "strength" in drawn(sparsity="penalty", begin=0.1, end=0.6)
    assert "strength" not in drawn(sparsity="target", begin=0.1, end=0.6)


def test_a_density_is_searched_for_methods_that_take_one() -> None:
    wide = DensityRange(low=0.01, high=0.5, log=True)
    made = of("magnitude", wide)
    values = made.draw(low)
    assert values.density == 0.01
    assert made.choice(values, "x").densities == [0.01]
    assert TARGET_DENSITY not in dict(of("str", wide).draw(low))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strenght": 1}, "unknown hyperparameter 'strenght'; did you mean 'strength'"),
        ({"strength": {"low": 1, "high": 1}}, "strength: low 1 should be less than high 1"),
        ({"strength": {"low": 1e-2, "high": 1e-4}}, "strength: low 0.01 should be less than high 0.0001"),
        (
            {"strength": {"low": 0, "high": 1, "log": True}},
            "strength: low 0 should be greater than 0 on a log",
        ),
        ({"strength": {"low": 0}}, "strength: high: is required"),
        ({"strength": {"lo": 0, "high": 1}}, "strength: .*unknown key 'lo'; did you mean 'low'"),
        ({"strength": {"low": -1, "high": 1}}, "strength: -1.0 should be greater than or equal to 0"),
        ({"strength": []}, r"strength: \[\] should hold at least two different choices"),
        ({"strength": [1e-3]}, r"strength: \[0.001\] should hold at least two different choices"),
        ({"strength": [1e-3, -2]}, "strength: -2 should be greater than or equal to 0"),
        ({"strength": -3}, "strength: -3 should be greater than or equal to 0"),
        (
            {"strength": [[1], [2]]},
            r"strength: \[\[1\], \[2\]\] should be a list of words, numbers or booleans",
        ),
        ({"training.lr": {"low": 0, "high": 1}}, "training.lr: 0.0 should be greater than 0"),
        ({"training.lrr": 1}, "unknown training setting 'lrr'; did you mean 'lr'"),
        (
            {"training.epochs": [1, 2]},
            "training.epochs: cannot be set here: every point needs the same training budget",
        ),
        (
            {"training.batch_size": 3},
            "training.batch_size: cannot be set here: every point needs the same training budget",
        ),
    ],
)
def test_what_cannot_be_searched_is_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        of("l1", **changes)
    assert "\n" not in str(caught.value)


def test_a_dimension_that_its_method_leaves_without_effect_is_refused() -> None:
    with pytest.raises(InputError, match="strength: has no effect: it needs sparsity penalty"):
        of("switcher-equivariant", strength={"low": 0.1, "high": 1})


def test_a_choice_that_is_no_pattern_is_refused_before_it_is_drawn() -> None:
    with pytest.raises(InputError, match="pattern: 'half' 'half' is no pattern: use unstructured"):
        of("magnitude", pattern=["2:4", "half"])


def test_values_that_do_not_go_together_are_one_line() -> None:
    made = of("magnitude", begin={"low": 0.1, "high": 0.9})
    with pytest.raises(InputError, match="begin"):
        made.choice(Values(options={"begin": 0.8, "end": 0.5}), "x")


def test_values_and_their_names_are_undone_by_each_other() -> None:
    params = {"strength": 0.1, "gate": "binary", "training.lr": 1e-3, "density": 0.02}
    values = Values.from_params(params)
    assert (values.options, values.training, values.density) == (
        {"strength": 0.1, "gate": "binary"}, {"lr": 1e-3}, 0.02
    )  # fmt: skip
    assert values.params() == params


def test_values_outside_the_space_are_left_out() -> None:
    made = of("magnitude", begin={"low": 0.1, "high": 0.2})
    given = Values.from_params({"begin": 0.15, "end": 0.95, "training.lr": 1.0, "density": 0.1})
    assert made.restrict(given) == Values(options={"begin": 0.15})


def test_options_that_do_not_go_together_are_refused_by_the_choice_and_not_by_the_draw() -> None:
    wide = DensityRange(low=0.01, high=0.5, log=True)
    made = of("magnitude", wide, pattern=["2:4", "unstructured"], distribution=["erk", "global"])
    values = made.draw(low)
    assert values.options["pattern"] == "2:4"
    with pytest.raises(InputError, match="distribution 'erk' has no effect with pattern '2:4'"):
        made.choice(values, "x")
