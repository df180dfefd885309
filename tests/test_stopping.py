"""A run that is stopped: its checkpoints, its exit code, and what the same command makes of it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from switchbench.cluster import signals
from switchbench.cluster.signals import StopRequest, stop_at_once
from switchbench.cluster.worker import Job, execute
from switchbench.errors import ExitCode, Preempted
from switchbench.spec.comparison import Resources
from switchbench.store.ledger import Ledger
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.control import Control, Stopped, after
from switchbench.trial.run import run_trial

SPEC = """
name: stopped
networks: [{network: mlp, hidden: [200, 200]}]
datasets: [digits]
methods: [dense, magnitude]
densities: [0.1]
seeds: 1
training: {epochs: 800}
"""


@pytest.mark.parametrize("method", ["dense", "switcher", "lottery-ticket"])
@pytest.mark.parametrize("steps", [5, 11, 22, 33])  # an epoch has 11 steps
def test_a_stopped_trial_continues_to_the_same_bits(
    tmp_path: Path, make_config: Any, method: str, steps: int
) -> None:
    config = make_config(method, training={"epochs": 3})
    whole = run_trial(config)
    checkpoint = Checkpoint(tmp_path / "trial.pt", "code")
    with pytest.raises(Stopped):
        run_trial(config, control=Control(checkpoint=checkpoint, stop=after(steps)))
    again = run_trial(config, control=Control(checkpoint=checkpoint))
    timed = ("train_seconds", "method_seconds")
    assert {k: v for k, v in vars(again.row).items() if k not in timed} == {
        k: v for k, v in vars(whole.row).items() if k not in timed
    }
    assert again.curves == whole.curves
    for key, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[key]), key


def test_a_checkpoint_knows_the_seconds_of_its_epoch(tmp_path: Path, make_config: Any) -> None:
    checkpoint = Checkpoint(tmp_path / "trial.pt", "code")
    with pytest.raises(Stopped):
        run_trial(make_config("dense"), control=Control(checkpoint=checkpoint, stop=after(10)))
    stored = checkpoint.load(torch.device("cpu"))
    assert stored
    assert stored["step"] == 10
    assert stored["meter"]["seconds"] > 0


def test_a_worker_that_must_stop_stores_no_row(tmp_path: Path, make_config: Any) -> None:
    config, ledger = make_config("dense", training={"epochs": 3}), Ledger(tmp_path)
    job = Job(tmp_path, tmp_path, Resources(), "run")
    (tmp_path / "trials").mkdir()
    (tmp_path / "curves").mkdir()
    (tmp_path / "running").mkdir()
    with pytest.raises(Stopped):
        execute(config, job, stop=lambda: True)
    assert not ledger.checkpoint(config.trial_id).exists()  # it had not begun
    with pytest.raises(Stopped):
        execute(config, job, stop=after(10))
    assert ledger.checkpoint(config.trial_id).exists()
    assert ledger.row(config.trial_id) is None
    assert execute(config, job).status == "ok"
    assert not ledger.checkpoint(config.trial_id).exists()


def interrupted() -> None:
    """Receive a signal, and drop what its handler raises, as some of torch's code does."""
    with suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        raise AssertionError("no signal came")


def test_a_signal_that_other_code_drops_ends_the_block() -> None:
    with pytest.raises(KeyboardInterrupt), signals.handled(stop_at_once):
        interrupted()


@pytest.mark.parametrize(
    ("number", "raised", "code"),
    [
        (signal.SIGINT, KeyboardInterrupt, ExitCode.INTERRUPTED),
        (signal.SIGTERM, Preempted, ExitCode.PREEMPTED),
        (signal.SIGUSR1, Preempted, ExitCode.PREEMPTED),
    ],
)
def test_the_second_signal_stops_at_once(
    number: int, raised: type[KeyboardInterrupt], code: int, monkeypatch: Any
) -> None:
    before, request = signal.getsignal(number), StopRequest()
    with signals.handled(request.receive):
        os.kill(os.getpid(), number)
        assert request.signal == number
        os.kill(os.getpid(), number)  # the same one, from the terminal and from the parent
        assert not request.overdue
        monkeypatch.setattr(signals, "REPEAT_SECONDS", -1)
        with pytest.raises(raised) as caught:
            os.kill(os.getpid(), number)
    assert ExitCode.of(caught.value) == code
    monkeypatch.setattr(signals, "GRACE_SECONDS", -1)
    assert request.overdue
    with pytest.raises(raised), signals.handled(stop_at_once):
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_a_signal_that_comes_twice_does_not_raise_while_the_first_is_handled() -> None:
    ended = []

    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # from the batch system, and passed on by the parent
            ended.append(True)

    with pytest.raises(Preempted), signals.handled(stop_at_once), signals.handled(stop_at_once):
        work()
    assert ended


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Preempted)]
)
def test_a_signal_that_a_destructor_swallows_is_heard_all_the_same(
    number: int, raised: type[KeyboardInterrupt], capfd: pytest.CaptureFixture[str]
) -> None:
    class Swallowing:
        def __del__(self) -> None:
            os.kill(os.getpid(), number)
            time.sleep(0.01)  # here the handler raises, which Python drops

    def lose_one_and_work_on() -> None:
        Swallowing()
        time.sleep(10)

    hook = sys.unraisablehook
    with pytest.raises(raised), signals.handled(stop_at_once):
        lose_one_and_work_on()
    assert sys.unraisablehook is hook
    assert "Exception ignored" not in capfd.readouterr().err


def start(folder: Path, *extra: str) -> subprocess.Popen[str]:
    (folder / "stopped.yaml").write_text(SPEC)
    command = [sys.executable, "-m", "switchbench", "run", str(folder / "stopped.yaml"), "--out"]
    return subprocess.Popen(
        [*command, str(folder / "out"), "--mlflow-uri", "none", *extra],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"STARTED_BY_TEST": str(folder)},
    )


def processes(folder: Path) -> dict[int, str]:
    """Processes that a test has started, and all that they have started: names by id."""
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if f"STARTED_BY_TEST={folder}".encode() in (process / "environ").read_bytes():
                    found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue  # it has ended by now
    return found


def wait_for_training(process: subprocess.Popen[str], folder: Path, seconds: float) -> None:
    """Wait until trials have trained for some seconds."""
    deadline = time.monotonic() + 200
    while not Ledger(folder / "out").running():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(seconds)


@pytest.mark.slow  # above, within one process
@pytest.mark.cluster
@pytest.mark.parametrize("how", [(), ("--address", "local")])
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, ExitCode.PREEMPTED),
        (signal.SIGUSR1, ExitCode.PREEMPTED),
        (signal.SIGINT, ExitCode.INTERRUPTED),
    ],
)
def test_a_signal_in_mid_training_loses_nothing(
    tmp_path: Path, number: int, code: int, how: tuple[str, ...]
) -> None:
    process = start(tmp_path, *how)
    wait_for_training(process, tmp_path, 4)
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    lines = output.strip().splitlines()
    assert lines[-1] == (
        f"switchbench: stopped: 0 of 2 trials are done and stored in {tmp_path / 'out'}; "
        "run the same command again to continue"
    )
    assert "Traceback" not in output
    steps = [torch.load(file)["state"]["step"] for file in (tmp_path / "out" / "checkpoints").iterdir()]
    assert steps
    assert min(steps) > 0
    time.sleep(2)
    assert not processes(tmp_path)
    again = start(tmp_path, *how)
    output, _ = again.communicate(timeout=300)
    assert again.returncode == 0, output
    ledger = Ledger(tmp_path / "out")
    from switchbench import load

    for config in load(tmp_path / "stopped.yaml").trials():
        row, alone = ledger.row(config.trial_id), run_trial(config)
        assert row
        assert row.test_loss == alone.row.test_loss
        assert ledger.curves(config.trial_id) == alone.curves


KILLED = """
import sys
from pathlib import Path
from switchbench.cluster.worker import Job, execute
from switchbench.spec.comparison import Resources
from switchbench.spec.trial import TrialConfig
from switchbench.trial.checkpoint import Checkpoint

Checkpoint.due = lambda self: True
config = TrialConfig.model_validate_json(sys.argv[2])
execute(config, Job(Path(sys.argv[1]), Path(sys.argv[1]), Resources(), "run"))
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGUSR1, 75), (signal.SIGTERM, 75), (signal.SIGHUP, 75), (signal.SIGINT, 130)],
)
def test_a_signal_before_anything_runs_is_no_lost_cluster(number: int, code: int) -> None:
    """Sent to the parent while the driver still imports, or before it can handle signals."""
    program = "from switchbench.cli.supervise import Supervisor; import time; Supervisor().fork(str); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stderr=subprocess.PIPE,
        text=True,
        # Under nohup, tests inherit that HUP is ignored.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 30
    while not Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (code, "")


def test_the_command_says_that_it_was_stopped_at_its_start(tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text("import time\ntime.sleep(30)\n")
    command = [sys.executable, "-m", "switchbench", "run", "quickstart", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [*command, "--plugin", str(tmp_path / "plugin.py")], stderr=subprocess.PIPE, text=True
    )
    time.sleep(6)
    process.terminate()
    _, error = process.communicate(timeout=30)
    assert process.returncode == 75, error
    assert error in ("", "switchbench: stopped; run the same command again to continue\n")


def test_a_meter_that_fails_costs_no_result(monkeypatch: Any) -> None:
    from switchbench.measure import usage

    def lost() -> float:
        raise RuntimeError("GPU is lost")

    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=str,
        nvmlDeviceGetTotalEnergyConsumption=lambda _: 7_000,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="x"))
    meter = usage._energy_meter(torch.device("cuda"))
    assert meter() == 7.0
    nvml.nvmlDeviceGetTotalEnergyConsumption = lambda _: lost()
    assert meter() is None
    assert usage.device_is_sound()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lost)
    assert not usage.device_is_sound()


def test_seconds_of_all_attempts_count(tmp_path: Path) -> None:
    first = Checkpoint(tmp_path / "trial.pt", "code")
    first._begun -= 100
    first.save({"step": 1})
    second = Checkpoint(tmp_path / "trial.pt", "code")
    assert second.load(torch.device("cpu")) == {"step": 1}
    second._begun -= 50
    second.save({"step": 2})
    third = Checkpoint(tmp_path / "trial.pt", "code")
    third.load(torch.device("cpu"))
    assert 150 <= third.seconds_before < 160


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],  # it writes one more
)
def test_a_trial_that_is_killed_in_mid_training_ends_with_the_same_bits(
    tmp_path: Path, make_config: Any, number: int
) -> None:
    config = make_config("switcher", training={"epochs": 60})
    ledger = Ledger(tmp_path)
    for folder in ("trials", "curves", "running", "logs"):
        (tmp_path / folder).mkdir()
    worker = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), config.model_dump_json()])
    file = Path(str(ledger.checkpoint(config.trial_id)))
    deadline = time.monotonic() + 120
    while not file.exists():
        assert worker.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.5)
    worker.send_signal(number)
    worker.wait()
    assert ledger.row(config.trial_id) is None
    steps = torch.load(file)["state"]["step"]
    assert 0 < steps < 660
    row = execute(config, Job(tmp_path, tmp_path, Resources(), "again"))
    alone = run_trial(config)
    assert row.attempts == 2
    assert (row.test_loss, row.density_layers) == (alone.row.test_loss, alone.row.density_layers)
    assert ledger.curves(config.trial_id) == alone.curves


@pytest.mark.slow  # nothing shorter loses a cluster
@pytest.mark.cluster
@pytest.mark.parametrize("service", ["gcs_server", "raylet", "driver"])
def test_a_lost_cluster_is_one_line_with_its_own_code(tmp_path: Path, service: str) -> None:
    process = start(tmp_path, "--address", "local")
    wait_for_training(process, tmp_path, 2)
    if service == "driver":
        killed = next(
            pid
            for pid, name in processes(tmp_path).items()
            if "switchbench run" in name and pid != process.pid
        )
    else:
        killed = next(pid for pid, name in processes(tmp_path).items() if f"/{service} " in name)
    os.kill(killed, signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == ExitCode.CLUSTER_LOST, output
    cause = "the driver was killed (SIGKILL)" if service == "driver" else "the Ray cluster was lost"
    assert output.strip().splitlines()[-1] == (
        f"switchbench: {cause}; 0 of 2 trials are done and stored in {tmp_path / 'out'}; "
        "run the same command again to continue"
    )
    assert "Traceback" not in output
    time.sleep(5)
    assert not processes(tmp_path)


def test_bad_input_beside_preparations_is_bad_input(tmp_path: Path) -> None:
    """A thread that still prepares would abort a process that ends: exit code 75, and the line of a crash."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    words = [sys.executable, "-m", "switchbench", "run", "spec.yaml", "--set", "resources.cpus=999"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == ExitCode.INPUT
    assert done.stderr.count("\n") == 1
    assert "a trial needs 999 CPUs" in done.stderr
