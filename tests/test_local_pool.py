"""Worker processes of this machine, without Ray: the same bits, and nothing lost when they die."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any
from unittest.mock import Mock

import psutil
import pytest

import switchbench
from switchbench.cluster import connection, in_process, local_pool, local_ray, template, tune, worker
from switchbench.cluster.local_pool import LocalPool
from switchbench.cluster.local_worker import Surroundings
from switchbench.cluster.log import TrialLog
from switchbench.cluster.signals import STOPPING
from switchbench.cluster.worker import Job
from switchbench.cluster.workers import workers
from switchbench.errors import ExitCode, InputError, RunStopped
from switchbench.observe.observer import Observer
from switchbench.observe.terminal import plain_console
from switchbench.row import Row
from switchbench.spec import file as specs
from switchbench.spec.comparison import Resources
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.trial.run import run_trial

SPEC: dict[str, Any] = {
    "name": "pool",
    "networks": [{"network": "mlp", "hidden": [20]}],
    "datasets": ["digits"],
    "methods": ["dense", "magnitude", "switcher"],
    "densities": [0.2],
    "seeds": 2,
    "training": {"steps": 24},
}


class Watcher(Observer):
    """Observer that keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.points: list[tuple[str, dict[str, float]]] = []
        self.most = 0

    def trials_running(self, count: int) -> None:
        self.most = max(self.most, count)

    def waiting(self, reason: str) -> None:
        raise AssertionError(reason)

    def epoch_finished(self, trial: TrialConfig, point: Mapping[str, float]) -> None:
        self.points.append((trial.trial_id, dict(point)))

    def trial_finished(self, row: Row) -> None:
        self.rows.append(row)


def prepare(folder: Path, **changes: Any) -> tuple[list[TrialConfig], Job]:
    spec = specs.parse(SPEC | changes)
    trials = spec.trials()
    Ledger(folder).create(spec, trials)
    return trials, Job(folder, folder, spec.resources, "run")


def during(check: Callable[[], bool], action: Callable[[], None]) -> Thread:
    """Act as soon as a condition holds, while the pool runs."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not check():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        action()

    thread = Thread(target=wait)
    thread.start()
    return thread


def test_rows_hold_the_bits_of_trials_alone_and_processes_are_reused(tmp_path: Path) -> None:
    trials, job = prepare(tmp_path)
    watcher = Watcher()
    with LocalPool(Resources()) as pool:
        pool._size = 2
        pool.distribute(trials, job, [watcher])
        assert len(pool._idle) == 2
    assert watcher.most == 2
    assert sorted(row.trial_id for row in watcher.rows) == sorted(config.trial_id for config in trials)
    for config in trials:
        alone, stored = run_trial(config), Ledger(tmp_path).row(config.trial_id)
        assert stored
        for key, value in asdict(alone.row).items():
            if key not in ("train_seconds", "method_seconds") and value is not None:
                assert stored[key] == value, key
        assert Ledger(tmp_path).curves(config.trial_id) == alone.curves


def test_a_killed_worker_takes_no_other_with_it_and_its_trial_runs_again(tmp_path: Path) -> None:
    """From its checkpoint or the beginning, to the same bits."""
    trials, job = prepare(tmp_path, methods=["dense"], training={"epochs": 300})
    victim, other = (config.trial_id for config in trials)
    ledger = Ledger(tmp_path)

    def kill() -> None:
        started = ledger.announced(victim)
        assert started
        os.kill(started.process, signal.SIGKILL)

    killer = during(lambda: bool(ledger.announced(victim) and ledger.announced(other)), kill)
    with LocalPool(Resources()) as pool:
        pool._size = 2
        pool.distribute(trials, job, [])
    killer.join()
    rows = {row.trial_id: row for row in ledger.rows()}
    assert {trial_id: (row.status, row.attempts) for trial_id, row in rows.items()} == {
        victim: ("ok", 2),
        other: ("ok", 1),
    }
    assert rows[victim].test_loss == run_trial(trials[0]).row.test_loss


def test_a_worker_that_always_dies_is_a_failed_trial_after_three_attempts(tmp_path: Path) -> None:
    trials, job = prepare(tmp_path, methods=["dense"], seeds=1, training={"epochs": 100_000})
    ledger, watcher = Ledger(tmp_path), Watcher()
    killed: set[int] = set()

    def kill() -> None:
        for _ in range(3):
            while not (started := ledger.announced(trials[0].trial_id)) or started.process in killed:
                time.sleep(0.01)
            killed.add(started.process)
            os.kill(started.process, signal.SIGKILL)

    killer = during(lambda: True, kill)
    with LocalPool(Resources()) as pool:
        pool.distribute(trials, job, [watcher])
    killer.join()
    (row,) = watcher.rows
    assert (row.status, row.error, row.attempts) == ("failed", "the worker process died (SIGKILL)", 3)
    assert ledger.row(row.trial_id) == row


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, ExitCode.INTERRUPTED),
        pytest.param(signal.SIGTERM, ExitCode.PREEMPTED, marks=pytest.mark.slow),  # beside SIGINT
    ],
)
def test_a_signal_writes_checkpoints_and_the_next_run_continues(
    tmp_path: Path, number: int, code: ExitCode
) -> None:
    trials, job = prepare(tmp_path, methods=["dense"], seeds=3, training={"epochs": 200})
    ledger = Ledger(tmp_path)

    def stop() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), number)

    stopper = during(lambda: len(ledger.running()) == 2, stop)
    with LocalPool(Resources()) as pool:
        pool._size = 2
        with pytest.raises(KeyboardInterrupt) as stopped:
            pool.distribute(trials, job, [])
    stopper.join()
    assert ExitCode.of(stopped.value) == code
    assert not [*ledger.rows()]
    saved = [config for config in trials if ledger.checkpoint(config.trial_id).exists()]
    assert len(saved) == 2
    with LocalPool(Resources()) as pool:
        pool.distribute(trials, job, [])
    assert len([*ledger.rows()]) == 3
    row = ledger.row(saved[0].trial_id)
    assert row
    assert row.test_loss == run_trial(saved[0]).row.test_loss


def start(folder: Path, **changes: Any) -> psutil.Popen:
    """Run the spec by the command line."""
    (folder / "spec.yaml").write_text(json.dumps(SPEC | changes))
    arguments = ("run", "spec.yaml", "--out", "out", "--mlflow-uri", "none")
    return psutil.Popen(
        [sys.executable, "-m", "switchbench", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until(driver: psutil.Popen, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 100
    while not condition():
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def signal_all(driver: psutil.Popen, number: int) -> str:
    """Send a signal to a run, its template, workers and resource tracker, as batch systems do. Return the output."""
    for process in (driver, *driver.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    output: str = driver.communicate(timeout=60)[0]
    return output


@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGUSR1],  # SIGINT: the next test
)
def test_a_signal_to_all_processes_is_the_drivers(tmp_path: Path, number: int) -> None:
    changes = {"methods": ["dense"], "training": {"epochs": 250}}
    trials, ledger = specs.parse(SPEC | changes).trials(), Ledger(tmp_path / "out")
    driver = start(tmp_path, **changes)
    wait_until(driver, lambda: len(ledger.running()) == min(2, os.cpu_count() or 1))
    output = signal_all(driver, number)
    assert driver.returncode == (ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.PREEMPTED)
    assert output.splitlines()[1:] == [
        STOPPING,
        f"switchbench: stopped: 0 of 2 trials are done and stored in {tmp_path / 'out'}; "
        "run the same command again to continue",
    ]
    assert not [*ledger.rows()]
    assert any(ledger.checkpoint(config.trial_id).exists() for config in trials)
    again = start(tmp_path, **changes)
    output, _ = again.communicate(timeout=200)
    assert again.returncode == 0, output
    assert [row.status for row in ledger.rows()] == ["ok", "ok"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_while_they_start_is_no_traceback(tmp_path: Path, number: int) -> None:
    driver = start(tmp_path)

    def template_starts() -> bool:
        commands = [" ".join(process.cmdline()) for process in driver.children(recursive=True)]
        return any("forkserver" in command for command in commands)

    wait_until(driver, template_starts)
    output = signal_all(driver, number)
    assert driver.returncode == (ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.PREEMPTED)
    line = "switchbench: stopped; run the same command again to continue"
    assert output.strip() in ("", line)  # nothing before the driver handles signals


def test_workers_go_on_when_their_template_is_killed(tmp_path: Path) -> None:
    trials, job = prepare(tmp_path, methods=["dense"], training={"epochs": 100})
    ledger = Ledger(tmp_path)

    def kill() -> None:
        started = ledger.announced(trials[0].trial_id)
        assert started
        parent = psutil.Process(started.process).parent()
        assert parent
        assert parent.pid != os.getpid()
        parent.kill()

    killer = during(lambda: len(ledger.running()) == 2, kill)
    with LocalPool(Resources()) as pool:
        pool._size = 2
        pool.distribute(trials, job, [])
    killer.join()
    assert [(row.status, row.attempts) for row in ledger.rows()] == [("ok", 1), ("ok", 1)]


def test_a_long_temporary_folder_has_room_for_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    one = SPEC | {"methods": ["dense"], "seeds": 1}
    program = f"import switchbench; print(*switchbench.run({one!r}, 'out', mlflow_uri='none')['status'])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["ok"], done.stderr


def test_no_folder_for_a_socket_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/none"])
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(
        InputError, match=r"TMPDIR: no folder for temporary files can be written: .*No usable temp"
    ):
        template.start()


def test_a_worker_that_cannot_be_set_up_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials, job = prepare(tmp_path, methods=["dense"], seeds=1)
    here = Surroundings.of_this_process()
    elsewhere = replace(here, folder=str(tmp_path / "removed"))
    monkeypatch.setattr(Surroundings, "of_this_process", lambda: elsewhere)
    watcher = Watcher()
    with LocalPool(Resources()) as pool:
        pool.distribute(trials, job, [watcher])
    (row,) = watcher.rows
    assert row.status == "failed"
    assert row.error == (
        "its worker process could not be set up: FileNotFoundError: [Errno 2] No such file or directory: "
        f"'{tmp_path}/removed'"
    )


def test_a_failure_that_cannot_be_written_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials, job = prepare(tmp_path, methods=["dense"], seeds=1)
    monkeypatch.setattr(local_pool, "LOST_WORKER_RETRIES", -1)
    monkeypatch.setattr(Surroundings, "of_this_process", lambda: None)  # so that no worker can be set up
    monkeypatch.setattr(Ledger, "write", Mock(side_effect=OSError(28, "No space left on device")))
    with LocalPool(Resources()) as pool, pytest.raises(RunStopped) as stopped:
        pool.distribute(trials, job, [])
    assert stopped.value.exit_code == ExitCode.NOT_WRITABLE
    assert str(stopped.value) == f"cannot write to {tmp_path}: No space left on device"


def test_ctrl_c_does_not_wait_for_the_check_of_a_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may download a data set."""
    checking = Event()

    def check(_: Any) -> None:
        checking.set()
        time.sleep(30)

    monkeypatch.setattr("switchbench.compare.run.check", check)
    stopper = during(checking.is_set, lambda: os.kill(os.getpid(), signal.SIGINT))
    started = time.monotonic()
    with pytest.raises(RunStopped) as stopped:
        switchbench.run(SPEC, tmp_path, mlflow_uri="none")
    stopper.join()
    assert stopped.value.exit_code == ExitCode.INTERRUPTED
    assert time.monotonic() - started < 20


def test_a_row_that_cannot_be_written_stops_the_run(tmp_path: Path) -> None:
    trials, job = prepare(tmp_path)
    for folder in ("trials", "running"):
        (tmp_path / folder).rmdir()
        (tmp_path / folder).write_text("no folder")
    with LocalPool(Resources()) as pool, pytest.raises(RunStopped) as stopped:
        pool.distribute(trials, job, [])
    assert stopped.value.exit_code == ExitCode.NOT_WRITABLE
    assert str(stopped.value).startswith(f"cannot write to {tmp_path}: ")


def test_a_machine_that_is_too_small_is_one_line() -> None:
    with pytest.raises(InputError, match="resources: a trial needs 10000 CPUs, 0 GPUs, but no node has them"):
        LocalPool(Resources(cpus=10_000))
    with pytest.raises(InputError, match=r"a trial needs 1 CPU, 0 GPUs, 1000000\.0 GB, but no node"):
        LocalPool(Resources(memory="1PB"))


SCRIPT = """
import os
import switchbench
from switchbench.methods import Magnitude, register

print("script runs", flush=True)

@register("defined-here")
class DefinedHere(Magnitude):
    '''Keep weights by their negative size, in a worker that sees what the script has set.'''

    def finalise(self):
        super().finalise()
        assert os.environ["SET_BY_SCRIPT"] == "yes"

os.environ["SET_BY_SCRIPT"] = "yes"
results = switchbench.run(SPEC, "out", mlflow_uri="none")
print(results["status"].tolist())
"""


def test_a_script_without_a_guard_runs_once_and_its_methods_reach_the_workers(tmp_path: Path) -> None:
    spec = SPEC | {"methods": ["dense", "defined-here"], "seeds": 1}
    (tmp_path / "script.py").write_text(SCRIPT.replace("SPEC", repr(spec), 1))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("script runs") == 1
    assert done.stdout.splitlines()[-1] == "['ok', 'ok']"


def test_no_process_outlives_a_driver_that_is_killed(tmp_path: Path) -> None:
    spec = SPEC | {"training": {"epochs": 100_000}}
    program = f"import switchbench; switchbench.run({spec!r}, 'out', mlflow_uri='none')"
    driver = psutil.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path)
    deadline = time.monotonic() + 100
    while not Ledger(tmp_path / "out").running():
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started = driver.children(recursive=True)
    assert len(started) >= 2  # the template and a worker
    driver.kill()
    driver.wait()
    _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive


def test_dense_starts_come_first(tmp_path: Path) -> None:
    spec = SPEC | {"methods": ["dense", "magnitude"], "start": {"steps": 30}, "seeds": 1}
    results = switchbench.run(spec, tmp_path, mlflow_uri="none")
    assert results["status"].tolist() == ["ok", "ok"]
    start = specs.parse(spec).trials()[1].start_trial
    assert start
    assert Ledger(tmp_path).networks.has(start.trial_id)


@pytest.mark.parametrize(
    ("address", "variable", "gpus", "ray"),
    [
        (None, "", 0, False),
        (None, "", 0.5, True),
        (None, "10.0.0.1:6379", 0, True),
        ("local", "", 0, True),
        ("10.0.0.1:6379", "", 0, True),
    ],
)
def test_ray_is_for_clusters_and_gpus(
    monkeypatch: pytest.MonkeyPatch, address: str | None, variable: str, gpus: float, ray: bool
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", variable)
    connected: list[str | None] = []

    @contextmanager
    def cluster(address: str | None, resources: Resources, say: Any) -> Iterator[None]:
        connected.append(address)
        yield

    monkeypatch.setattr(connection, "cluster", cluster)
    with workers(address, Resources(gpus=gpus)) as distribute:
        assert (getattr(distribute, "func", None) is tune.distribute) == ray
    assert connected == ([address] if ray else [])


def test_points_of_running_trials_arrive_and_are_those_that_are_stored(tmp_path: Path) -> None:
    trials, job = prepare(tmp_path, methods=["dense"], seeds=1, training={"steps": 6_000})
    watcher = Watcher()
    with LocalPool(job.resources) as pool:
        pool.distribute(trials, job, [watcher])
    stored = Ledger(tmp_path).curves(trials[0].trial_id)
    assert watcher.points
    assert all(point in stored for _, point in watcher.points)
    assert {trial_id for trial_id, _ in watcher.points} == {trials[0].trial_id}


def test_jobs_bound_what_runs_at_the_same_time(tmp_path: Path) -> None:
    trials, job = prepare(tmp_path)
    watcher = Watcher()
    with LocalPool(job.resources, jobs=1) as pool:
        pool.distribute(trials, job, [watcher])
    assert watcher.most == 1
    assert len(watcher.rows) == len(trials)


def test_trials_in_this_process_have_the_bits_of_those_in_workers(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    watcher = Watcher()
    trials, job = prepare(one)
    in_process.distribute(trials, job, [watcher])
    trials, job = prepare(other)
    with LocalPool(job.resources) as pool:
        pool.distribute(trials, job, [])
    timeless = ["trial_id", "status", "test_loss", "val_loss", "density_layers"]
    assert Ledger(one).results()[timeless].equals(Ledger(other).results()[timeless])
    assert [row.trial_id for row in watcher.rows] == [trial.trial_id for trial in trials]
    assert watcher.points


def test_trials_in_this_process_leave_it_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("only for a process of our own")

    monkeypatch.setattr(worker, "freed_memory_kept", refused)
    monkeypatch.setattr("switchbench.cluster.worker.threading.Timer", refused)
    trials, job = prepare(tmp_path, methods=["dense"], seeds=1)
    in_process.distribute(trials, replace(job, resources=Resources(minutes=1)), [])
    assert Ledger(tmp_path).results()["status"].eq("ok").all()


def test_a_broken_gpu_ends_a_run_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_process, "device_is_sound", lambda: False)
    trials, job = prepare(tmp_path, methods=["dense"], seeds=2)
    with pytest.raises(RunStopped, match=f"after trial {trials[0].trial_id} nothing works on this process"):
        in_process.distribute(trials, job, [])
    assert len([*Ledger(tmp_path).rows()]) == 1


@pytest.mark.parametrize(
    ("address", "resources", "said"),
    [
        ("10.0.0.1:6379", Resources(), "--address 10.0.0.1:6379: with --jobs 0 trials run in this process"),
        (None, Resources(cpus=10_000), "a trial needs 10000 CPUs"),
        (None, Resources(gpus=64), "a trial needs 1 CPU, 64 GPUs, but no node has them"),
    ],
)
def test_what_this_process_cannot_do_is_refused(address: str | None, resources: Resources, said: str) -> None:
    with pytest.raises(InputError, match=said), workers(address, resources, jobs=0):
        pass


def test_what_is_shown_while_a_trial_runs_is_not_in_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    console, log = plain_console(), TrialLog()
    with log.recording():
        print("printed by a method")
        console.print("shown")
    assert log.text == "printed by a method\n"
    assert capsys.readouterr().out == "shown\n"


def test_a_signal_ends_trials_in_this_process_with_a_checkpoint(tmp_path: Path) -> None:
    trials, job = prepare(tmp_path, methods=["dense"], seeds=1, training={"steps": 50_000})
    ledger = Ledger(tmp_path)
    sender = during(lambda: bool(ledger.running()), lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        in_process.distribute(trials, job, [])
    sender.join()
    assert ledger.checkpoint(trials[0].trial_id).exists()
    assert ledger.row(trials[0].trial_id) is None


# Ray


def test_a_cluster_of_our_own_has_the_cores_that_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local_ray, "this_machine", lambda: {"CPU": 3, "memory": 1e9})
    with local_ray.local_ray() as options:
        assert options["num_cpus"] == 3


def test_ray_client_is_refused() -> None:
    with pytest.raises(InputError, match=r"--address ray://head:10001: Ray Client runs no trials"):
        connection._check_answering("ray://head:10001")


def test_trials_that_were_lost_with_their_node_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials, job = prepare(tmp_path)
    ledger, runs = Ledger(tmp_path), []

    def run(job: Job, observers: Any, modules: Any, space: dict[str, Any], config: Any) -> None:
        runs.append(len(space["trials"]["grid_search"]))
        left = [trial for trial in trials if ledger.row(trial.trial_id) is None]
        for trial in left[: len(left) // 2] if len(runs) < 3 else []:
            worker.execute(trial, job)

    monkeypatch.setattr(tune, "_run_tune", run)
    tune.distribute(trials, job, [])
    assert runs == [6, 3, 2, 2]  # those whose nodes are lost four times have no row


def test_a_trial_that_failed_before_is_not_given_up_with_its_first_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with --retry-failed. A failure of this run is final: the trial did not lose its node."""
    (first, second, *_), job = prepare(tmp_path)
    before = replace(job, run="before")
    for config in (first, second):
        worker.record_lost(config, before, "the old reason")
    runs: list[list[str]] = []

    def run(job: Job, observers: Any, modules: Any, space: dict[str, Any], config: Any) -> None:
        runs.append([planned["trial_id"] for (planned,) in space["trials"]["grid_search"]])
        if len(runs) == 1:
            worker.record_lost(second, job, "a new reason")
        if len(runs) == 3:
            worker.execute(first, job)

    monkeypatch.setattr(tune, "_run_tune", run)
    tune.distribute([first, second], job, [])
    assert runs == [[first.trial_id, second.trial_id], [first.trial_id], [first.trial_id]]
    rows = [Ledger(tmp_path).row(config.trial_id) for config in (first, second)]
    assert [row and (row.status, row.error) for row in rows] == [("ok", None), ("failed", "a new reason")]
