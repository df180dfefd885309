"""Options: what one needs of others, inherited defaults, and what the command line says of them."""

import json
from typing import Any, Literal

import pytest
from pydantic import ValidationError

from switchbench.cli import listing
from switchbench.errors import InputError
from switchbench.methods import METHODS, Method, Options, Switcher, SwitcherPaper, defaults, option
from switchbench.methods.options import declared, unmet
from switchbench.plugins import conformance
from switchbench.spec.inert import config_without_inert


class Lamp(Options):
    kind: Literal["oil", "gas", "none"] = option("none", "what burns")
    flame: float = option(1.0, "height", search=(0.5, 2.0), needs={"kind": ["oil", "gas"]}, gt=0)


@defaults(kind="oil")
class OilLamp(Lamp):
    """A lamp with oil."""


def test_an_option_without_effect_keeps_its_default() -> None:
    assert Lamp(flame=1.0).flame == 1.0
    assert Lamp(kind="gas", flame=2.0).flame == 2.0
    with pytest.raises(ValidationError, match=r"flame: 2\.0 has no effect: it needs kind oil or gas"):
        Lamp(flame=2.0)
    assert unmet(Lamp(), "flame") == {"kind": ["oil", "gas"]}
    assert unmet(OilLamp(), "flame") == {}


def test_a_default_changes_and_nothing_else() -> None:
    assert (Lamp().kind, OilLamp().kind) == ("none", "oil")
    assert OilLamp(flame=2.0).flame == 2.0
    for name in Lamp.model_fields:
        assert OilLamp.model_fields[name].description == Lamp.model_fields[name].description
        assert declared(OilLamp, name) == declared(Lamp, name)
    with pytest.raises(ValidationError):
        OilLamp(kind="gas", flame=-1)
    with pytest.raises(KeyError):
        defaults(wick=1)(OilLamp)


@pytest.mark.parametrize("name", METHODS)
def test_a_stored_config_without_what_changes_nothing_is_that_of_the_id(name: str, make_config: Any) -> None:
    config = make_config(name, start={"steps": 5})
    plain = config_without_inert(json.loads(config.model_dump_json()))
    options = {key: value for key, value in plain["method"].items() if key not in ("method", "label")}
    assert options == config.method.identity()["options"]
    assert plain["training"] == config.training.identity()
    assert plain["start"] == config.start.identity()


def test_what_a_stored_config_holds_of_another_version_stays() -> None:
    stored = {
        "method": {"method": "magnitude", "gone": 1, "power": 3.0},
        "training": {"old": 1, "compile": False},
    }
    assert config_without_inert(stored) == {
        "method": {"method": "magnitude", "gone": 1},
        "training": {"old": 1},
    }
    for unknown in (
        {"method": {"method": "of a plug-in", "x": 1}},
        {"method": "magnitude"},
        {"start": None},
        {},
    ):
        assert config_without_inert(unknown) == unknown


def test_presets_leave_the_switcher_alone() -> None:
    assert (Switcher.Config().reader, SwitcherPaper.Config().reader) == ("saliency", "unet")
    assert SwitcherPaper.Config().detach is False
    with pytest.raises(ValidationError, match=r"every: 7 has no effect: it needs schedule steps"):
        SwitcherPaper.Config(every=7)


def test_a_spec_says_which_option_has_no_effect(make_config: Any) -> None:
    with pytest.raises(InputError, match=r"method 'switcher': strength: 2\.0 has no effect: it needs spars"):
        make_config({"method": "switcher", "strength": 2.0}, 0.1)


def test_the_list_says_what_an_option_needs() -> None:
    (switcher,) = listing.describe("switcher")
    described = {line.name: line.description for line in switcher.options}
    assert described["rank"].endswith("(with reader equivariant)")
    assert "(with" not in described["reader"]


def test_a_check_with_options_says_which_one_is_wrong(monkeypatch: Any) -> None:
    (outcome,) = conformance.check("magnitude", {"ende": 0.5})
    assert outcome.check == "takes its options"
    assert outcome.problem is not None
    assert "'ende'" in outcome.problem

    class Demanding(Method):
        """A method whose defaults contradict each other."""

        class Config(Method.Config):
            """None are valid."""

            def model_post_init(self, _: Any) -> None:
                raise ValueError("never")

    Demanding.name = "demanding"
    monkeypatch.setitem(METHODS, "demanding", Demanding)
    (outcome,) = conformance.check("demanding")
    assert "never" in str(outcome.problem)
