"""A tracking server of MLflow over HTTP, with PostgreSQL and proxied artifacts, as processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from switchbench.observe.mlflow_rows import COMPARISON_ID, ID_TAG
from switchbench.store.ledger import Ledger

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.postgresql,
]  # test_tracking.py has a flaky server
SPEC = """
name: tracked
networks: [{network: mlp, hidden: [30]}]
datasets: [digits]
methods: [dense, random, magnitude]
densities: [0.2, 0.1]
seeds: 6
training: {epochs: 25}
"""
TRIALS = 6 * (1 + 2 * 2)
SECRET = "c0rrect-horse"


class Server:
    """An MLflow server that can be killed and started again."""

    def __init__(self, database: str, folder: Path) -> None:
        self.database, self.folder = database, folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            self.database,
            "--workers",
            "1",
        ]
        command += ["--artifacts-destination", str(self.folder), "--port", str(self.port)]
        environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
        self.process = subprocess.Popen(
            command,
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 180
        while socket.socket().connect_ex(("127.0.0.1", self.port)):
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(postgres: str, tmp_path: Path) -> Iterator[Server]:
    started = Server(postgres, tmp_path / "artifacts")
    yield started
    started.kill()


def test_an_outage_costs_no_result_and_doubles_none(tmp_path: Path, server: Server) -> None:
    (tmp_path / "tracked.yaml").write_text(SPEC)
    out = tmp_path / "out"
    program = [sys.executable, "-m", "switchbench"]
    environment = os.environ | {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": SECRET}
    run = subprocess.Popen(
        [*program, "run", str(tmp_path / "tracked.yaml"), "--out", str(out), "--mlflow-uri", server.uri],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while len(list((out / "trials").glob("*.parquet")) if out.exists() else []) < 5:
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.kill()
    output, _ = run.communicate(timeout=200)
    assert run.returncode == 0, output
    assert "MLflow lacks some results" in output
    assert f"switchbench sync {out}" in output
    results = Ledger(out).results()
    assert (results["status"] == "ok").all()
    assert len(results) == TRIALS
    server.start()
    sync = [*program, "sync", str(out), "--mlflow-uri", server.uri]
    first = subprocess.run(sync, env=environment, capture_output=True, text=True, timeout=200, check=True)
    assert 0 < int(first.stdout.split()[0]) <= TRIALS
    again = subprocess.run(sync, env=environment, capture_output=True, text=True, timeout=200, check=True)
    assert again.stdout == "0 trials sent\n"
    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("tracked")
    assert experiment
    assert experiment.artifact_location.startswith("mlflow-artifacts:")
    runs = {
        run.data.tags[ID_TAG]: run for run in client.search_runs([experiment.experiment_id], max_results=500)
    }
    assert len(client.search_runs([experiment.experiment_id], max_results=500)) == TRIALS + 1
    assert runs.keys() == {*results["trial_id"], COMPARISON_ID}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for row in results.itertuples():
        assert runs[str(row.trial_id)].data.metrics["test_accuracy"] == row.test_accuracy
    report = {file.path for file in client.list_artifacts(runs[COMPARISON_ID].info.run_id, "report")}
    assert report >= {"report/table.md", "report/accuracy.svg", "report/results.parquet"}
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
    assert SECRET not in output + first.stdout + first.stderr
