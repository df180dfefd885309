"""Killing, interrupting and clusters, through the command line as a user meets them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet
import pytest

import switchbench
from switchbench.atomic_files import PARTIAL
from switchbench.cli.app import main
from switchbench.errors import InputError
from switchbench.store.ledger import Ledger

pytestmark = pytest.mark.cluster
SPEC = """
name: faults
networks: [{network: mlp, hidden: [30]}]
datasets: [digits]
methods: [dense, random, magnitude, switcher]
densities: [0.2, 0.1]
seeds: 3
training: {epochs: 25}
"""
TRIALS = 3 * (1 + 3 * 2)
TIMELESS = """trial_id status error method label network dataset scope seed target_density density
    density_prunable density_network density_layers test_accuracy test_top5 test_loss val_accuracy val_loss
    train_size val_size test_size macs macs_dense macs_shrunk steps examples parameters method_parameters device threads
    config""".split()


def command(folder: Path, *extra: str) -> list[str]:
    spec = folder / "faults.yaml"
    spec.write_text(SPEC)
    run = [sys.executable, "-m", "switchbench", "run", str(spec), "--out", str(folder / "out")]
    return [*run, "--mlflow-uri", "none", *extra]


TOKEN = "e5" * 32


PROCESSES = pytest.param((), id="processes")
RAY = pytest.param(("--address", "local"), id="ray", marks=pytest.mark.slow)  # beside it are processes
BOTH_WAYS = pytest.mark.parametrize("how", [PROCESSES, RAY])
"""How one machine may run trials."""


def with_token() -> dict[str, str]:
    """Environment of a run whose Ray cluster admits nobody without the token."""
    return os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}


def start_until(
    rows: int, folder: Path, *extra: str, environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a run and return when so many rows are in the ledger."""
    process = subprocess.Popen(
        command(folder, *extra),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(stamps(folder)) < rows:
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "out" / "trials").glob("*.parquet")}


def listening(session: int) -> set[str]:
    """The addresses at which the processes of a session accept connections."""
    addresses = set()
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == session:
                connections = process.net_connections("inet")
                addresses |= {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    return {address.removeprefix("::ffff:") for address in addresses}  # IPv4 through an IPv6 socket


def contents(folder: Path) -> str:
    """All that the files of a folder hold, Parquet tables unpacked."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    tables = [path for path in files if path.suffix == ".parquet"]
    raw = b"".join(path.read_bytes() for path in files).decode("latin-1")
    return raw + str([pyarrow.parquet.read_table(path).to_pylist() for path in tables])


def finish(folder: Path, *extra: str) -> None:
    done = subprocess.run(command(folder, *extra), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@BOTH_WAYS
def test_interrupted_killed_and_run_again(tmp_path: Path, how: tuple[str, ...]) -> None:
    """Ctrl-C says how to go on, kill -9 says nothing, and the same command runs what is left and no more. Only
    this machine reaches its Ray cluster, whose token is in no file; processes without Ray do not listen."""
    process = start_until(2, tmp_path, *how, environment=with_token())
    assert listening(process.pid) == ({"127.0.0.1"} if how else set())
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    last = output.strip().splitlines()[-1]
    assert last.startswith("switchbench: stopped: ")
    assert last.endswith("run the same command again to continue")
    assert "Traceback" not in output
    assert TOKEN not in output + contents(tmp_path)
    interrupted = stamps(tmp_path)
    process = start_until(len(interrupted) + 3, tmp_path, *how)
    process.kill()
    process.wait()
    time.sleep(3)  # workers outlive their driver by a second or two and may still land a row
    for partial in (tmp_path / "out").rglob(f".*{PARTIAL}"):  # a worker may have died while it wrote
        os.utime(partial, (0, 0))  # and a young file counts as one that is being written
    killed = stamps(tmp_path)
    assert len(interrupted) + 3 <= len(killed) < TRIALS
    finish(tmp_path, *how)
    after = stamps(tmp_path)
    assert len(after) == TRIALS
    assert {name: after[name] for name in interrupted} == interrupted
    assert {name: after[name] for name in killed} == killed
    assert (Ledger(tmp_path / "out").results()["status"] == "ok").all()
    leftovers = [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".")]
    assert not leftovers


@pytest.fixture
def two_nodes() -> Iterator[str]:
    """Address of a Ray cluster of two nodes with one core each."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        nodes.add_node(num_cpus=1)
        nodes.wait_for_nodes()
        yield nodes.address
    finally:
        nodes.shutdown()


@pytest.mark.parametrize(
    "cluster",
    [
        pytest.param(None, marks=pytest.mark.slow),  # processes of this machine, as in test_run.py
        "ray_cluster",
        pytest.param("two_nodes", marks=pytest.mark.slow),  # beside it is a cluster of one node
    ],
)
def test_a_cluster_gives_the_same_ledger(
    tmp_path: Path, cluster: str | None, request: pytest.FixtureRequest, without_ray: None
) -> None:
    """As trials that run one after the other in this process."""
    where = ("--address", request.getfixturevalue(cluster)) if cluster else ()
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
    finish(tmp_path / "there", *where, "--set", "seeds=1")
    spec, out = tmp_path / "there" / "faults.yaml", tmp_path / "here" / "out"
    switchbench.run(spec, out, ["seeds=1"], mlflow_uri="none")
    there, here = (Ledger(tmp_path / name / "out") for name in ("there", "here"))
    assert len(there.results()) == TRIALS / 3
    assert there.results()[TIMELESS].equals(here.results()[TIMELESS])
    for trial_id in here.results()["trial_id"]:
        assert there.curves(trial_id) == here.curves(trial_id)


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: Any, capsys: Any) -> Callable[..., str]:
    """Run a command that ends with one line, exit code 2 and nothing written; return the line."""

    def run(*extra: str) -> str:
        monkeypatch.setattr(sys, "argv", ["switchbench", *command(tmp_path, *extra)[3:]])
        with pytest.raises(SystemExit) as stop:
            main()
        error: str = capsys.readouterr().err
        assert stop.value.code == 2
        assert error.count("\n") == 1, error
        assert not (tmp_path / "out").exists()
        return error

    return run


def test_an_unreachable_cluster_is_one_line(refused: Callable[..., str], monkeypatch: Any) -> None:
    expected = "switchbench: --address 127.0.0.1:9: no Ray cluster at this address ("
    assert refused("--address", "127.0.0.1:9").startswith(expected)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    assert refused().startswith(expected)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_what_listens_and_is_no_cluster_is_one_line(refused: Callable[..., str], answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.sendall(answer) if answer else time.sleep(8)

        threading.Thread(target=serve, daemon=True).start()
        line = refused("--address", address)
    problem = "what listens there is not Ray" if answer else "timed out"
    assert line.strip() == f"switchbench: --address {address}: no Ray cluster at this address ({problem})"


@pytest.mark.parametrize("cluster", [None, "ray_cluster"])
def test_more_than_a_machine_has_is_one_line(
    refused: Callable[..., str], cluster: str | None, request: pytest.FixtureRequest
) -> None:
    expected = "switchbench: resources: a trial needs 1000 CPUs, 0 GPUs, but no node has them (nodes: "
    where = ("--address", request.getfixturevalue(cluster)) if cluster else ()
    assert refused(*where, "--set", "resources.cpus=1000").startswith(expected)


def test_a_second_driver_on_the_same_folder_is_refused(tmp_path: Path, without_ray: None) -> None:
    command(tmp_path)
    with Ledger(tmp_path / "out").only_driver(), pytest.raises(InputError) as caught:
        switchbench.run(tmp_path / "faults.yaml", tmp_path / "out", mlflow_uri="none")
    assert str(caught.value) == f"{tmp_path / 'out'}: another run is going on there"
    assert not stamps(tmp_path)


@pytest.mark.slow  # above, within one process
def test_a_second_driver_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    many = ("--set", "seeds=40")
    process = start_until(2, tmp_path, *many)
    second = subprocess.run(
        command(tmp_path, *many), capture_output=True, text=True, timeout=120, check=False
    )
    assert second.returncode == 2, second.stderr
    assert second.stderr.strip() == f"switchbench: {tmp_path / 'out'}: another run is going on there"
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output


@pytest.mark.slow  # test_worker.py has the reason alone
def test_a_node_without_memory_is_a_reason_in_one_line(tmp_path: Path) -> None:
    full = os.environ | {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "100"}
    changes = ["--set", "training.epochs=20000", "--set", "methods=[dense]", "--set", "seeds=1"]
    done = subprocess.run(
        command(tmp_path, *changes, "--address", "local"),
        env=full,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    (row,) = Ledger(tmp_path / "out").rows()
    assert row.error is not None
    assert row.error.startswith("its node ran out of memory")
    shown = done.stdout + done.stderr
    assert "RAY_" not in shown  # Ray's own advice
    assert shown.count("its node ran out of memory") == 2  # as it ends, and in the report


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 megabytes, which only root can make."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow  # test_worker.py has a row that cannot be written
@BOTH_WAYS
def test_a_full_disk_stops_the_run_with_one_line(
    tmp_path: Path, small_disk: Path, how: tuple[str, ...]
) -> None:
    """First with room for a few rows, then for all rows but not for the report, then for everything."""
    (tmp_path / "out").symlink_to(small_disk)
    filler = small_disk / "filler"

    def stopped_with(room: int) -> dict[str, int]:
        """Run with so many bytes of room, until the disk is full. Return the rows by then."""
        filler.unlink(missing_ok=True)
        filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - room))
        stopped = subprocess.run(
            command(tmp_path, *how), capture_output=True, text=True, timeout=200, check=False
        )
        assert stopped.returncode == os.EX_IOERR, stopped.stderr
        rows = stamps(tmp_path)
        line = stopped.stderr.strip().splitlines()[-1]
        assert line.startswith(f"switchbench: cannot write to {small_disk}: ")
        stored = f"{len(rows)} of {TRIALS} trials are done and stored in {small_disk}"
        assert line.endswith(f"; {stored}; run the same command again to continue")
        assert "Traceback" not in stopped.stderr
        return rows

    few = stopped_with(250_000)  # a part of which Ray takes
    assert len(few) < TRIALS
    all_rows = stopped_with(1_500_000)
    assert len(all_rows) == TRIALS
    assert {name: all_rows[name] for name in few} == few
    filler.unlink()
    finish(tmp_path, *how)
    assert stamps(tmp_path) == all_rows
    assert (Ledger(tmp_path / "out").results()["status"] == "ok").all()
    assert (small_disk / "report" / "index.html").is_file()
