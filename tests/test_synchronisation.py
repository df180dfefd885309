"""No step of a training waits for the GPU.

A step queues work for the GPU and goes on. Whatever asks for a value that the GPU computes (``item()``, an ``if`` on
a tensor, ``nonzero()``, an index of booleans, a copy from or to the CPU) waits until the queue is empty, and the GPU
then stands idle while the next step is queued. Here everything that waits raises an error while steps run. Between
steps it is allowed: at the end of an epoch (mean loss, validation), in attach, rewind and finalise. No method is
exempt.

Without a GPU the tests run on a stand-in that has values (:mod:`waiting_device`), where a trial must also end with
the bits of one on the CPU: methods choose masks on a GPU in another way than on a CPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import waiting_device
from torch import Tensor
from waiting_device import DEVICE, Device, DeviceTensor, Waited

from switchbench.methods import METHODS, Method, Progress, register
from switchbench.registration import is_own
from switchbench.trial.cost import CostMeter
from switchbench.trial.run import run_trial

OPTIONS: dict[str, dict[str, Any]] = {
    "set": {"every": 5},
    "rigl": {"every": 5},
    "chts": {"every": 5},
    "dst": {"every": 5, "floor": 0.999},
    "n-m": {"every": 5},
    "l1": {"strength": 0.1},
    "group-lasso": {"strength": 1.0},
    "switcher-equivariant": {"every": 5},
    "lottery-ticket": {"prunings": 2},
}
"""Options with which everything that a method does now and then falls into a short training."""
VARIANTS: dict[str, dict[str, Any]] = {
    "blocks": {"method": "magnitude", "pattern": "block 4x4"},
    "blocks in each layer": {"method": "magnitude", "pattern": "block 4x4", "distribution": "erk"},
    "2:4": {"method": "magnitude", "pattern": "2:4"},
    "layers apart": {"method": "magnitude", "distribution": "erk"},
    "neurons": {"method": "magnitude", "pattern": "neuron"},
    "no target": {"method": "l1", "meet_target": False},
    "neuron gates": {"method": "l0", "units": "neuron"},
    "unit gates": {"method": "switcher-equivariant", "units": "neuron", "every": 5},
    "noisy gates": {"method": "switcher-equivariant", "gate": "hard_concrete", "every": 5},
    "open gates": {"method": "switcher-equivariant", "gate": "relu", "sparsity": "penalty", "every": 5},
    "rows": {"method": "switcher-equivariant", "reader": "row", "every": 5},
}
"""Options that take other ways through methods."""
CASES = {
    name: {"method": name} | OPTIONS.get(name, {}) for name in METHODS if is_own(METHODS[name])
} | VARIANTS
TRAINING = {"epochs": 2, "batch_size": 256, "lr": 3e-3}
TIED = {"blocks in each layer", "set", "cap", "switcher-constant-input"}
"""Their scores have ties (growth: zero mean gradients), which a GPU breaks with other random numbers; cap's blocks on a
GPU have connections that are off as well."""


@pytest.fixture(params=["stand-in", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name of a device on which a step of a training that waits raises an error."""
    if request.param == "stand-in":
        with _stand_in(monkeypatch) as name:
            yield name
    elif not torch.cuda.is_available():
        pytest.skip("PyTorch sees no GPU")
    else:
        with _refusing_steps(monkeypatch, torch.cuda.set_sync_debug_mode, "error", "default"):
            yield "cuda"


@contextmanager
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with Device() as device, _refusing_steps(monkeypatch, device.refuse_to_wait, True, False):
        yield DEVICE.type


@contextmanager
def _refusing_steps(
    monkeypatch: pytest.MonkeyPatch, mode: Any, refusing: Any, allowing: Any
) -> Iterator[None]:
    plain_step = CostMeter.step

    @contextmanager
    def step(meter: CostMeter, *arguments: Any) -> Iterator[None]:
        mode(refusing)
        try:
            with plain_step(meter, *arguments):
                yield
        finally:
            mode(allowing)

    monkeypatch.setattr(CostMeter, "step", step)
    try:
        yield
    finally:
        mode(allowing)


def _config(method: Any, make_config: Any, **training: Any) -> Any:
    network = {"network": "mlp", "hidden": [20, 12], "batch_norm": method["method"] == "network-slimming"}
    return make_config(method, network=network, training=TRAINING | training)


@pytest.mark.parametrize("case", CASES)
def test_no_step_waits_and_the_result_is_that_of_a_cpu(case: str, device: str, make_config: Any) -> None:
    config = _config(CASES[case], make_config)
    on_device = run_trial(config, device=device)
    cpu = run_trial(config)
    assert on_device.row["steps"] == cpu.row["steps"]
    if device == "cuda":
        assert on_device.row["density"] == pytest.approx(cpu.row["density"], abs=0.05)
        return
    if case not in TIED:
        assert on_device.row["macs_shrunk"] == cpu.row["macs_shrunk"]
    if case == "cap":  # it cannot wait for the number of connections that are left, and forms other blocks
        assert on_device.row["density"] == cpu.row["density"]
        return
    for name, tensor in on_device.network.state_dict().items():
        found = tensor.on_cpu if isinstance(tensor, DeviceTensor) else tensor
        expected = cpu.network.state_dict()[name]
        if case in TIED:
            assert found.count_nonzero() == expected.count_nonzero(), name
        else:
            assert torch.equal(found, expected), name


@pytest.mark.parametrize(
    "training",
    [
        {"optimizer": "sgd", "momentum": 0.9},
        {"optimizer": "adamw", "weight_decay": 0.01},
        {"precision": "bfloat16"},
        {"augment": {"crop": 1, "flip": True}},
        {"schedule": "step"},
    ],
    ids=lambda training: next(iter(training.values())) if isinstance(training, dict) else None,
)
def test_no_setting_of_the_training_waits(training: Any, device: str, make_config: Any) -> None:
    if device != "cuda" and training.get("precision"):
        pytest.skip("the stand-in has no autocast")
    run_trial(_config({"method": "l1", "strength": 1.0}, make_config, **training), device=device)


class _Asking(Method):
    """Asks for a weight after each step."""

    learns_density = True

    def after_step(self, progress: Progress) -> None:
        for weight in self.weights.values():
            float(weight.detach().max())


def test_a_method_that_waits_is_found(
    device: str, make_config: Any, shipped_methods: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    register("asking")(_Asking)
    error = RuntimeError if device == "cuda" else Waited
    with pytest.raises(error):
        run_trial(_config({"method": "asking"}, make_config), device=device)


WAITING: dict[str, Any] = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "if": lambda x: bool((x > 0).any()),
    "nonzero": lambda x: x.nonzero(),
    "where without values": lambda x: torch.where(x > 0),
    "masked select": lambda x: x.masked_select(x > 0),
    "index of booleans": lambda x: x[x > 0],
    "values at an index of booleans": lambda x: x.clone().__setitem__(x > 0, x.new_zeros(1)),
    "index by a scalar": lambda x: x[x.argmax()],
    "unique": lambda x: x.unique(),
    "equal": lambda x: torch.equal(x, x),
    "repeat": lambda x: x.repeat_interleave(torch.ones_like(x).long()),
    "to the CPU": lambda x: x.cpu(),
    "to the CPU in the background": lambda x: x.to("cpu", non_blocking=True),
    "from the CPU": lambda x: torch.ones(3).to(x.device),
    "into a tensor from the CPU": lambda x: x.copy_(torch.ones(len(x))),
}
QUEUED: dict[str, Any] = {
    "sum": lambda x: x.sum(),
    "choice": lambda x: torch.where(x > 0, x, 0),
    "masked fill": lambda x: x.masked_fill(x > 0, 0),
    "index of numbers": lambda x: x[x.argsort()],
    "slice": lambda x: x[1:],
    "count": lambda x: x.count_nonzero(),
    "repeat to a known length": lambda x: x.repeat_interleave(torch.ones_like(x).long(), output_size=5),
    "copy on the device": lambda x: x.clone().copy_(x),
    "conversion": lambda x: x.double(),
}


@pytest.fixture
def refusing_device() -> Iterator[Device]:
    """The stand-in, on which nothing may wait."""
    with Device() as device:
        yield device


@pytest.mark.parametrize("use", WAITING)
def test_the_stand_in_refuses_what_waits(use: str, refusing_device: Device) -> None:
    x = torch.arange(5.0, device=DEVICE)
    WAITING[use](x)
    refusing_device.refuse_to_wait(True)
    with pytest.raises(Waited):
        WAITING[use](x)


@pytest.mark.parametrize("use", QUEUED)
def test_the_stand_in_computes_what_a_cpu_does(use: str, refusing_device: Device) -> None:
    x = torch.arange(5.0, device=DEVICE)
    refusing_device.refuse_to_wait(True)
    found = QUEUED[use](x)
    assert isinstance(found, DeviceTensor)
    assert torch.equal(found.on_cpu, QUEUED[use](torch.arange(5.0)))


def test_the_stand_in_does_not_mix_devices(refusing_device: Device) -> None:
    with pytest.raises(RuntimeError, match="some tensors are on the device"):
        torch.ones(3, device=DEVICE) + torch.ones(3)
    assert isinstance(torch.ones(3, device=DEVICE) + torch.tensor(1.0), Tensor)


def test_the_stand_in_is_gone_afterwards() -> None:
    assert type(torch.ones(1, device="meta")) is Tensor
    assert waiting_device.DEVICE.type == "meta"
