"""Trials whose ids and results are pinned: what is stored stays valid when the code is rearranged.

``pins.json`` was made before the engine was split into packages. A pin changes only with the ``version`` of
its method, network or data set, with the schema's, or (its id) with the default of an option that has no effect.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from switchbench import TrialConfig, run_trial

PINS: dict[str, Any] = json.loads(Path(__file__).with_name("pins.json").read_text())
ROUNDING = 0.015
"""Another processor's last bits may move the class of a few of the 360 test images."""
LOSS = {"float32": 0.05, "bfloat16": 0.4}
"""Relative change of the loss that another kind of processor may cause, by precision: bfloat16 keeps 8 bits, and
processors with and without instructions for it round at different places."""
SLOW = [
    *"continuous-sparsification l1-subgradient movement neuron-norm powerpropagation taylor free-gates".split(),
    "bf16 augment",  # which most processors compute in software; test_batches.py has bfloat16
]
"""Results that only the long suite looks at: the short one has another method of each family, and all ids."""


@pytest.mark.parametrize("name", PINS)
def test_a_trial_keeps_its_id(name: str) -> None:
    assert TrialConfig.of(**PINS[name]["config"]).trial_id == PINS[name]["trial_id"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in PINS]
)
def test_a_trial_keeps_its_result(name: str) -> None:
    config = TrialConfig.of(**PINS[name]["config"])
    row = run_trial(config).row
    loss = LOSS[config.training.precision]
    assert row["test_accuracy"] == pytest.approx(PINS[name]["test_accuracy"], abs=ROUNDING)
    assert row["val_loss"] == pytest.approx(PINS[name]["val_loss"], rel=loss)
    assert row["density"] == pytest.approx(PINS[name]["density"], abs=1e-3)
    assert json.loads(row["density_layers"]) == pytest.approx(PINS[name]["density_layers"], abs=0.01)
