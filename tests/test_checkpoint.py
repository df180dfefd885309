"""A trial whose worker died goes on from its checkpoint."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from switchbench.cluster import environment
from switchbench.cluster.worker import Job, execute
from switchbench.methods.parts import state
from switchbench.spec.comparison import Resources
from switchbench.store.ledger import Ledger
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.control import Control, Stopped, after
from switchbench.trial.run import run_trial

CPU = torch.device("cpu")


def test_a_worker_takes_up_what_another_left(tmp_path: Path, make_config: Any) -> None:
    config = make_config("switcher", training={"epochs": 3})
    ledger = Ledger(tmp_path)
    ledger.create(_spec(), [config])
    path = Path(str(ledger.checkpoint(config.trial_id)))
    cut = Checkpoint(path, f"trial {config.trial_id}, {environment.stamp('cpu', 1)}")
    with suppress(Stopped):
        run_trial(config, control=Control(checkpoint=cut, stop=after(30)))  # in the third epoch
    stored = torch.load(path)
    stored["state"]["curves"][0]["val_loss"] = 123.0  # a mark, to know it again
    torch.save(stored, path)
    row = execute(config, Job(tmp_path, tmp_path, Resources(), "run"))
    whole = run_trial(config)
    assert row["test_loss"] == whole.row["test_loss"]
    curves = ledger.curves(config.trial_id)
    assert [point["val_loss"] for point in curves] == [123.0, *(p["val_loss"] for p in whole.curves[1:])]
    assert not path.exists()


def _spec() -> Any:
    from switchbench.spec import file as specfile

    return specfile.parse(
        {
            "name": "one",
            "networks": ["mlp"],
            "datasets": ["digits"],
            "methods": ["switcher"],
            "densities": [0.1],
            "seeds": 1,
            "training": {"epochs": 3},
        }
    )


def test_other_code_and_broken_files_are_not_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "trial.pt"
    assert Checkpoint(path, "new").load(CPU) is None
    Checkpoint(path, "old").save({"step": 3})
    assert Checkpoint(path, "old").load(CPU) == {"step": 3}
    assert Checkpoint(path, "new").load(CPU) is None
    path.write_bytes(path.read_bytes()[:50])
    assert Checkpoint(path, "old").load(CPU) is None
    Checkpoint(path, "old").discard()
    assert not list(path.parent.iterdir())


def test_short_trials_write_none(tmp_path: Path, make_config: Any) -> None:
    checkpoint = Checkpoint(tmp_path / "trial.pt", "code")
    run_trial(make_config("dense", training={"epochs": 2}), control=Control(checkpoint=checkpoint))
    assert not list(tmp_path.iterdir())


def test_a_state_comes_back_in_place() -> None:
    layer, parameter = nn.Linear(2, 2), nn.Parameter(torch.ones(3))
    generator = torch.Generator().manual_seed(1)
    before: dict[str, Any] = {
        "layer": layer,
        "nested": {"a": [parameter, 1.5], "none": None},
        "generator": generator,
        "tensor": torch.arange(3),
    }
    stored = state.capture(before)
    first = torch.rand(2, generator=generator)
    with torch.no_grad():
        layer.weight.zero_()
        parameter.zero_()
    before["tensor"] = torch.zeros(5)
    after = state.restore(before, stored)
    assert after["layer"] is layer
    assert after["nested"]["a"][0] is parameter
    assert layer.weight.count_nonzero() == 4
    assert parameter.tolist() == [1, 1, 1]
    assert after["tensor"].tolist() == [0, 1, 2]
    assert torch.equal(torch.rand(2, generator=generator), first)
    with pytest.raises(TypeError, match="cannot checkpoint a function"):
        state.capture({"hook": lambda: None})
