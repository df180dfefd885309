"""Trials on a GPU: the same trial as on a CPU, up to rounding."""

from typing import Any

import pytest
import torch

from switchbench.trial.run import run_trial

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU"),
]
ROUNDING = 0.05
"""Sums in another order move the class of some of the 360 test images."""


@pytest.mark.parametrize("method", ["dense", "magnitude", "rigl", "switcher"])
def test_a_trial_on_a_gpu_is_that_of_a_cpu(method: str, make_config: Any) -> None:
    config = make_config(method, training={"epochs": 20, "batch_size": 64, "lr": 3e-3})
    cpu, gpu = run_trial(config), run_trial(config, device="cuda")
    assert gpu.row["trial_id"] == cpu.row["trial_id"] == config.trial_id
    assert gpu.row["device"] == torch.cuda.get_device_name()
    assert gpu.row["density"] == cpu.row["density"]
    assert (gpu.row["steps"], gpu.row["examples"]) == (cpu.row["steps"], cpu.row["examples"])
    assert gpu.row["steps"] == 20 * 21  # 1,293 images in batches of 64
    assert gpu.row["test_accuracy"] == pytest.approx(cpu.row["test_accuracy"], abs=ROUNDING)
    assert gpu.row["test_accuracy"] > 0.5
    assert all(parameter.device.type == "cuda" for parameter in gpu.network.parameters())
