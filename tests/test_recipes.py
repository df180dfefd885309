"""Recipes are names for values of a training."""

from typing import Any

import pytest

from switchbench.errors import InputError
from switchbench.spec import file as specfile
from switchbench.spec.recipes import RECIPES
from switchbench.spec.training import TrainingConfig


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_a_training(name: str) -> None:
    training = TrainingConfig.model_validate(name)
    assert training == TrainingConfig(**RECIPES[name].training)
    assert TrainingConfig.model_validate(training.model_dump(mode="json")) == training


def test_values_change_a_recipe_and_a_length_replaces_its_length() -> None:
    training = TrainingConfig.model_validate({"recipe": "cifar", "steps": 10, "lr": 0.05})
    assert (training.steps, training.epochs, training.lr) == (10, None, 0.05)
    assert training.momentum == 0.9


def test_a_spec_names_a_recipe_and_changes_it_from_the_command_line(spec: Any) -> None:
    named = specfile.parse(specfile.with_changes(spec | {"training": "mnist"}, ["training.epochs=2"]))
    assert (named.training.epochs, named.training.schedule) == (2, "linear")
    spelled = RECIPES["mnist"].training | {"epochs": 2}
    assert named.trials()[0].trial_id == specfile.parse(spec | {"training": spelled}).trials()[0].trial_id


def test_an_unknown_recipe_gets_the_nearest(spec: Any) -> None:
    with pytest.raises(InputError, match="training: unknown recipe 'cifr'; did you mean 'cifar'"):
        specfile.parse(spec | {"training": "cifr"})
