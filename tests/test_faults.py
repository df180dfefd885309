"""Killing, interrupting and clusters, through the command line as a user meets them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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


def start_until(rows: int, folder: Path) -> subprocess.Popen[str]:
    """Start a run and return when so many rows are in the ledger."""
    process = subprocess.Popen(
        command(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while len(stamps(folder)) < rows:
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "out" / "trials").glob("*.parquet")}


def finish(folder: Path, *extra: str) -> None:
    done = subprocess.run(command(folder, *extra), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kill_9_and_again(tmp_path: Path) -> None:
    process = start_until(TRIALS // 3, tmp_path)
    process.kill()
    process.wait()
    time.sleep(3)  # workers outlive their driver by a second or two and may still land a row
    before = stamps(tmp_path)
    assert TRIALS // 3 <= len(before) < TRIALS
    finish(tmp_path)
    after = stamps(tmp_path)
    assert len(after) == TRIALS
    assert {name: after[name] for name in before} == before
    assert (Ledger(tmp_path / "out").results()["status"] == "ok").all()
    leftovers = [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".")]
    assert not leftovers


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    process = start_until(2, tmp_path)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    last = output.strip().splitlines()[-1]
    assert last.startswith("switchbench: stopped: ")
    assert last.endswith("run the same command again to go on")
    assert "Traceback" not in output
    before = stamps(tmp_path)
    assert len(before) < TRIALS
    finish(tmp_path)
    after = stamps(tmp_path)
    assert len(after) == TRIALS
    assert {name: after[name] for name in before} == before


@pytest.fixture
def cluster(monkeypatch: Any) -> Iterator[str]:
    """Address of a Ray cluster of two nodes with one core each."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        nodes.add_node(num_cpus=1)
        nodes.wait_for_nodes()
        yield nodes.address
    finally:
        nodes.shutdown()


def test_a_cluster_gives_the_same_ledger(tmp_path: Path, cluster: str) -> None:
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
    finish(tmp_path / "there", "--address", cluster)
    finish(tmp_path / "here")
    there, here = (Ledger(tmp_path / name / "out") for name in ("there", "here"))
    assert len(there.results()) == TRIALS
    assert there.results()[TIMELESS].equals(here.results()[TIMELESS])
    for trial_id in here.results()["trial_id"]:
        assert there.curves(trial_id) == here.curves(trial_id)


def refused(folder: Path, *extra: str, **environment: str) -> str:
    """Run a command that ends with one line, exit code 2 and nothing written; return the line."""
    done = subprocess.run(
        command(folder, *extra),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert not (folder / "out").exists()
    return done.stderr


def test_an_unreachable_cluster_is_one_line(tmp_path: Path) -> None:
    expected = "switchbench: --address 127.0.0.1:9: no Ray cluster there"
    assert refused(tmp_path, "--address", "127.0.0.1:9").startswith(expected)
    assert refused(tmp_path, RAY_ADDRESS="127.0.0.1:9").startswith(expected)


def test_more_than_a_machine_has_is_one_line(tmp_path: Path) -> None:
    line = refused(tmp_path, "--set", "resources.cpus=1000")
    assert line.startswith("switchbench: resources: no node holds a trial of 1000 CPUs, 0 GPUs (nodes: ")
