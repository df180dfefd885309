"""What a worker records, and the display that shows it."""

import errno
import io
import json
import re
import resource
import subprocess
import sys
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from threading import Event
from typing import Any

import cloudpickle
import pytest
import torch
from rich.console import Console

from switchbench.cluster import environment, local_worker, worker
from switchbench.cluster.log import LONGEST, TrialLog
from switchbench.cluster.worker import Job, NotStored, _location, execute
from switchbench.methods import METHODS
from switchbench.observe.terminal import TrialDisplay
from switchbench.plugins.load import load
from switchbench.row import Row, Status
from switchbench.spec import file as specs
from switchbench.spec.comparison import Resources
from switchbench.store.ledger import Ledger
from switchbench.trial.run import run_trial


def prepare(tmp_path: Path, spec: dict[str, Any], run: str = "one") -> tuple[Job, list[Any]]:
    resolved = specs.parse(spec)
    plan = resolved.trials()
    Ledger(tmp_path).create(resolved, plan)
    return Job(tmp_path, tmp_path, Resources(), run), plan


def test_without_git_no_result_is_lost(tmp_path: Path, spec: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    environment.versions.cache_clear()
    job, plan = prepare(tmp_path, spec)
    row = execute(plan[0], job)
    assert row["status"] == "ok"
    assert "commit" not in json.loads(row["versions"])
    assert Ledger(tmp_path).row(plan[0].trial_id) == row
    environment.versions.cache_clear()


def test_a_failure_is_tried_once_a_run_and_a_measurement_once(
    tmp_path: Path, spec: dict[str, Any], monkeypatch: Any
) -> None:
    calls: list[str] = []

    def fail(config: Any, *_: Any, **__: Any) -> Any:
        calls.append(config.trial_id)
        raise ValueError("no")

    job, plan = prepare(tmp_path, spec)
    with monkeypatch.context() as patch:
        patch.setattr(worker, "run_trial", fail)
        assert [execute(plan[0], job)["status"] for _ in range(2)] == ["failed"] * 2
        assert len(calls) == 1
        job, _ = prepare(tmp_path, spec, run="two")
        execute(plan[0], job)
        assert len(calls) == 2
    job, _ = prepare(tmp_path, spec, run="three")
    assert execute(plan[0], job)["status"] == "ok"
    monkeypatch.setattr(worker, "run_trial", fail)
    job, _ = prepare(tmp_path, spec, run="four")
    assert execute(plan[0], job)["status"] == "ok"


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (
            SystemExit("usage: see --help"),
            "SystemExit: usage: see --help",
        ),  # of a plug-in that calls sys.exit
        (
            ValueError("no image \udcff.png"),
            "ValueError: no image U+DCFF.png",
        ),  # a file name that is no UTF-8
    ],
)
def test_whatever_a_trial_raises_becomes_its_row(
    tmp_path: Path, spec: dict[str, Any], monkeypatch: Any, raised: BaseException, error: str
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise raised

    job, plan = prepare(tmp_path, spec)
    monkeypatch.setattr(worker, "run_trial", fail)
    row = execute(plan[0], job, own_process=False)
    assert row.status == Status.FAILED
    assert str(row.error).startswith(f"{error} (test_worker.py:")
    assert Ledger(tmp_path).row(plan[0].trial_id) == row


def test_a_worker_that_ray_ends_leaves_no_failure(
    tmp_path: Path, spec: dict[str, Any], monkeypatch: Any
) -> None:
    """On a signal Ray raises SystemExit, wherever the worker is."""
    job, plan = prepare(tmp_path, spec)
    monkeypatch.setattr(worker, "run_trial", lambda *_, **__: sys.exit(1))
    with pytest.raises(SystemExit):
        execute(plan[0], job)
    assert Ledger(tmp_path).row(plan[0].trial_id) is None


def test_a_log_that_cannot_be_written_costs_no_result(
    tmp_path: Path, spec: dict[str, Any], monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def printing(*given: Any, **named: Any) -> Any:
        print("something")
        return run_trial(*given, **named)

    job, plan = prepare(tmp_path, spec)
    (tmp_path / "logs").rmdir()  # to save space, while trials run
    monkeypatch.setattr(worker, "run_trial", printing)
    row = execute(plan[0], job, own_process=False)
    assert row.status == Status.OK
    assert Ledger(tmp_path).row(plan[0].trial_id) == row
    assert f"the log of trial {plan[0].trial_id} is not stored: No such file or directory" in caplog.text


def test_a_log_keeps_the_end_and_does_not_grow() -> None:
    log = TrialLog()
    with log.recording():
        for number in range(40_000):
            print(f"step {number:06}")
        sys.stdout.close()  # as a method may
        print("the end")
    assert len(log.text) == LONGEST
    assert log.text.endswith("step 039999\nthe end\n")
    assert len(log._stream.getvalue()) <= 2 * LONGEST


def test_a_driver_that_has_ended_is_no_failure_of_a_trial(
    tmp_path: Path, spec: dict[str, Any], monkeypatch: Any
) -> None:
    """The worker ends as soon as it hears of it; until then nothing can be sent."""
    monkeypatch.setattr(local_worker, "EPOCH_SECONDS", 0)
    job, plan = prepare(tmp_path, spec)
    driver, connection = Pipe()
    driver.close()
    answer = local_worker._answer(plan[0].as_planned(), job, connection, Event())
    assert isinstance(answer, Row)
    assert answer.status == Status.OK


def test_the_display_prints_brackets_as_text(tmp_path: Path, spec: dict[str, Any]) -> None:
    job, plan = prepare(tmp_path, spec)
    row = replace(
        execute(plan[0], job),
        label="a [b] c[/c]",
        status=Status.FAILED,
        error="no file [/tmp/x]",
        test_accuracy=None,
    )
    for terminal in (False, True):
        stream = io.StringIO()
        console = Console(file=stream, width=150, force_terminal=terminal)
        with TrialDisplay(console, total=3, done=1) as display:
            display.trials_running(1)
            display.trial_finished(row)
            display._live.refresh()
        assert "a [b] c[/c]" in stream.getvalue()
        assert "no file [/tmp/x]" in stream.getvalue()
        assert "2/3" in stream.getvalue()


def test_the_display_shows_running_trials_their_speed_and_the_labels_of_failures(
    tmp_path: Path, spec: dict[str, Any], monkeypatch: Any
) -> None:
    job, plan = prepare(tmp_path, spec)
    failed = replace(execute(plan[0], job), label="broken", status=Status.FAILED, error="no")
    now = [0.0]
    monkeypatch.setattr("switchbench.observe.terminal.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    with TrialDisplay(Console(file=stream, width=150, force_terminal=True), total=4, done=1) as display:
        now[0] = 60.0
        display.trials_running(1)
        display.trial_finished(failed)
        trial = plan[1].model_copy(
            update={"training": plan[1].training.model_copy(update={"epochs": 4, "steps": None})}
        )
        display.epoch_finished(trial, {"epoch": 1, "step": 20, "val_accuracy": 0.9215})
        display._live.refresh()
    said = " ".join(stream.getvalue().split())
    assert "1 running, 1 failed (broken)" in said
    assert f"{trial.method.label} at {trial.density:g}, seed {trial.seed}: epoch 2 of 4, 92.15 % on" in said
    assert "1.5 per minute, 60 s left" in said  # half of one trial is done, and one and a half are left


def test_a_lost_workers_reason_is_read_from_where_tune_has_just_written_it(tmp_path: Path) -> None:
    """Tune copies that file to the storage folder later; until then its ``get_error()`` is None."""
    from types import SimpleNamespace

    from switchbench.cluster.lost_workers import failure_reason

    error_file = tmp_path / "error.txt"
    error_file.write_text("Failure # 3\nThe actor died unexpectedly before finishing this task.\n")
    trial = SimpleNamespace(error_file=str(error_file), get_error=lambda: None)
    assert failure_reason(trial) == "the worker process died"
    error_file.write_text("Failure # 1\nKeyError: 'x'\n")
    assert failure_reason(trial) == "KeyError: 'x'"
    error_file.write_text(
        "Failure # 1\nThe actor died\nFailure # 2\nray.exceptions.OutOfMemoryError: Task was killed\n\nRefer to x\n"
    )
    assert failure_reason(trial).startswith("its node ran out of memory")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Failure # 1\nThe actor died because its node has died. Node Id: ab\n", True),
        ("Failure # 1\nActorUnavailableError: The actor a is unavailable: RpcError: RPC Error\n", True),
        ("Failure # 1\nThe actor died unexpectedly before finishing this task.\n", False),
        ("Failure # 1\nits node has died\nFailure # 2\nKeyError: 'x'\n", False),
    ],
)
def test_a_lost_node_is_told_from_a_method_that_fails(tmp_path: Path, text: str, fault: bool) -> None:
    from types import SimpleNamespace

    from switchbench.cluster.lost_workers import is_clusters_fault

    (tmp_path / "error.txt").write_text(text)
    assert is_clusters_fault(SimpleNamespace(error_file=str(tmp_path / "error.txt"))) == fault


def test_a_row_that_cannot_be_written_stops_the_run_and_is_not_trained_again(
    tmp_path: Path, spec: dict[str, Any], monkeypatch: Any
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    job, plan = prepare(tmp_path, spec)
    monkeypatch.setattr(Ledger, "write", full)
    with pytest.raises(NotStored, match=f"cannot write to {tmp_path}: No space left on device"):
        execute(plan[0], job)


def test_a_gpu_that_is_not_there_is_a_failure_and_no_cpu_run(
    tmp_path: Path, spec: dict[str, Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    job, plan = prepare(tmp_path, spec)
    row = execute(plan[0], replace(job, resources=Resources(gpus=1)))
    assert row["status"] == "failed"
    assert "gpus: 1 requested, but PyTorch finds none" in row["error"]


def test_memory_does_not_grow_with_the_number_of_trials(tmp_path: Path, spec: dict[str, Any]) -> None:
    fake = {"dataset": "fake", "shape": [1, 64, 64], "train": 5_000, "test": 100}  # 20 MB, 80 as floats
    spec |= {"datasets": [fake], "methods": ["magnitude"], "training": {"steps": 2}, "seeds": 12}
    spec["networks"] = [{"network": "mlp", "hidden": [20]}]
    job, plan = prepare(tmp_path, spec)
    peaks = []
    for config in plan[:12]:
        assert execute(config, job)["status"] == "ok"
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    assert peaks[-1] - peaks[2] < 40, peaks  # a copy of the images per trial would be 180


HANG_THAT_HOLDS_PYTHONS_LOCK = """
import ctypes, sys
from pathlib import Path
from switchbench.cluster import environment, worker
from switchbench.spec import file as specs
from switchbench.spec.comparison import Resources

worker.LOCKED_SECONDS = 1.0
worker.run_trial = lambda *_, **__: ctypes.PyDLL(None).sleep(600)  # keeps the lock, as CDLL does not
folder = Path(sys.argv[1])
trial = specs.load(folder / "spec.yaml").trials()[0]
worker.execute(trial, worker.Job(folder, folder, Resources(minutes=0.01), "one"))
"""


def test_a_hang_that_holds_pythons_lock_ends_its_process(tmp_path: Path, spec: dict[str, Any]) -> None:
    _, plan = prepare(tmp_path, spec)
    command = [sys.executable, "-c", HANG_THAT_HOLDS_PYTHONS_LOCK, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr  # the watchdog's line, followed by where each thread was
    assert Ledger(tmp_path).row(plan[0].trial_id) is None  # nobody could write one: the driver does


@pytest.mark.parametrize("sent", [False, True], ids=["here", "sent to a worker"])
def test_a_failure_names_the_line_of_the_method_and_where_it_was_raised(
    tmp_path: Path, make_config: Any, monkeypatch: pytest.MonkeyPatch, without_plugins: None, sent: bool
) -> None:
    (tmp_path / "greedy.py").write_text(
        "from switchbench.methods import Magnitude, register\n"
        "from switchbench.methods.parts.masks import keep_top\n\n"
        "@register('greedy')\nclass Greedy(Magnitude):\n    'Keeps more than there is.'\n\n"
        "    def scores(self):\n        return keep_top(self.weights, 10**9)\n"
    )
    (module,) = load([tmp_path / "greedy.py"])
    if sent:
        cloudpickle.register_pickle_by_value(module)
        code = cloudpickle.dumps(METHODS["greedy"])
        monkeypatch.delitem(sys.modules, module.__name__)
        METHODS["greedy"] = cloudpickle.loads(code)
    config = make_config({"method": "greedy"})
    with pytest.raises(ValueError, match="cannot keep") as raised:
        run_trial(config)
    assert re.fullmatch(r"greedy\.py:9, in masks\.py:\d+", _location(raised.value, config))
