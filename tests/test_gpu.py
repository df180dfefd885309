"""Trials on a GPU: the same trial as on a CPU, up to rounding. No step waits: see test_synchronisation.py."""

from pathlib import Path
from typing import Any

import pytest
import torch

import switchbench
from switchbench import datasets
from switchbench.measure.evaluation import evaluate
from switchbench.methods import METHODS
from switchbench.registration import is_own
from switchbench.spec.training import TrainingConfig
from switchbench.trial import seeds
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.control import Control, Stopped
from switchbench.trial.cost import CostMeter
from switchbench.trial.run import run_trial

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU"),
]
ROUNDING = 0.05
"""Sums in another order move the class of some of the 360 test images."""
TRAINING = {"epochs": 20, "batch_size": 64, "lr": 3e-3}
ALL = [name for name, method in METHODS.items() if is_own(method)]


def _config(method: str, make_config: Any, **training: Any) -> Any:
    network = {"network": "mlp", "hidden": [40, 20], "batch_norm": method == "network-slimming"}
    takes_target = METHODS[method].takes_target(METHODS[method].Config())
    density = 0.4 if takes_target else None
    return make_config(method, density, network=network, training=TRAINING | training)


@pytest.mark.parametrize("method", ALL)
def test_a_trial_on_a_gpu_is_that_of_a_cpu(method: str, make_config: Any) -> None:
    config = _config(method, make_config)
    cpu, gpu = run_trial(config), run_trial(config, device="cuda")
    assert gpu.row["trial_id"] == cpu.row["trial_id"] == config.trial_id
    assert gpu.row["device"] == torch.cuda.get_device_name()
    assert (gpu.row["steps"], gpu.row["examples"]) == (cpu.row["steps"], cpu.row["examples"])
    assert gpu.row["steps"] == gpu.row["rounds"] * 20 * 21 or method == "lottery-ticket"
    if config.density is not None and METHODS[method].granularity(config.method.config) == "connection":
        assert gpu.row["density"] == cpu.row["density"]
    assert gpu.row["density"] == pytest.approx(cpu.row["density"], abs=ROUNDING)
    assert gpu.row["test_accuracy"] == pytest.approx(cpu.row["test_accuracy"], abs=ROUNDING)
    assert (gpu.row["macs_shrunk"] < gpu.row["macs_dense"]) == (
        cpu.row["macs_shrunk"] < cpu.row["macs_dense"]
    )
    assert all(parameter.device.type == "cuda" for parameter in gpu.network.parameters())


@pytest.mark.parametrize("method", ["dense", "rigl", "l0", "switcher"])
def test_a_trial_resumes_on_a_gpu(method: str, make_config: Any, tmp_path: Path) -> None:
    config = _config(method, make_config, epochs=4)
    whole = run_trial(config, device="cuda")
    calls = iter(range(10_000))
    path = tmp_path / "trial.pt"
    stopping = Control(checkpoint=Checkpoint(path, "test"), stop=lambda: next(calls) == 50)
    with pytest.raises(Stopped):
        run_trial(config, device="cuda", control=stopping)
    assert path.exists()
    points: list[dict[str, float]] = []
    resumed = run_trial(
        config, device="cuda", control=Control(checkpoint=Checkpoint(path, "test"), watch=points.append)
    )
    assert len(points) < len(whole.curves) == len(resumed.curves)
    assert resumed.row["steps"] == whole.row["steps"]
    for name, tensor in whole.network.state_dict().items():
        assert torch.allclose(resumed.network.state_dict()[name], tensor, atol=1e-4), name


def test_a_network_is_evaluated_as_on_a_cpu(make_config: Any) -> None:
    network = run_trial(_config("magnitude", make_config)).network
    found = []
    for device in (torch.device("cpu"), torch.device("cuda")):
        splits = datasets.split(datasets.load("digits", device=device), 0.1, seeds.generator(0, "split"))
        found.append(evaluate(network.to(device), splits.test))
    cpu, gpu = found
    assert gpu.loss == pytest.approx(cpu.loss, rel=1e-4)
    assert gpu.accuracy == pytest.approx(cpu.accuracy, abs=1.5 / 360)
    assert gpu.top5 == pytest.approx(cpu.top5, abs=1.5 / 360)


@pytest.mark.parametrize("method", ["dense", "magnitude", "n-m", "switcher"])
def test_bfloat16_learns_as_well(method: str, make_config: Any) -> None:
    plain = run_trial(_config(method, make_config), device="cuda")
    short = run_trial(_config(method, make_config, precision="bfloat16"), device="cuda")
    assert all(parameter.dtype == torch.float32 for parameter in short.network.parameters())
    assert short.row["test_loss"] != plain.row["test_loss"]
    assert short.row["density"] == plain.row["density"]
    assert short.row["test_accuracy"] == pytest.approx(plain.row["test_accuracy"], abs=ROUNDING)


@pytest.mark.slow  # test_batches.py has a stand-in for the compiler
@pytest.mark.parametrize("compiled", [True, "reduce-overhead"])
@pytest.mark.parametrize("method", ALL)
def test_a_compiled_network_learns_as_well(method: str, compiled: Any, make_config: Any) -> None:
    plain = run_trial(_config(method, make_config), device="cuda")
    fast = run_trial(_config(method, make_config, compile=compiled), device="cuda")
    assert fast.row["steps"] == plain.row["steps"]
    assert fast.row["density"] == pytest.approx(plain.row["density"], abs=ROUNDING)
    assert fast.row["test_accuracy"] == pytest.approx(plain.row["test_accuracy"], abs=ROUNDING)


def test_time_is_read_when_the_gpu_is_done() -> None:
    network = torch.nn.Linear(2, 2).cuda()
    meter = CostMeter(network, TrainingConfig(steps=1))
    torch.cuda.synchronize()
    started, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    with meter.timed():
        started.record()
        torch.cuda._sleep(500_000_000)  # cycles: some tenths of a second
        ended.record()
    assert meter.state_dict()["seconds"] >= 0.9 * started.elapsed_time(ended) / 1e3


@pytest.mark.slow
@pytest.mark.cluster
def test_two_trials_at_once_share_a_gpu(tmp_path: Path, spec: dict[str, Any]) -> None:
    spec |= {"methods": ["dense", "magnitude"], "densities": [0.2], "resources": {"gpus": 0.5}}
    results = switchbench.run(spec, tmp_path / "out", address="local", mlflow_uri="none")
    assert set(results["status"]) == {"ok"}
    assert set(results["gpus"]) == {0.5}
    assert set(results["device"]) == {torch.cuda.get_device_name()}
    assert (results["peak_gpu_memory"] > 0).all()
    assert results["energy"].isna().all()  # of a GPU that others use as well it says nothing
