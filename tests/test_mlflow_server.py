"""A tracking server of MLflow over HTTP, with a database and proxied artifacts, as processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from switchbench.observe.mlflow_rows import COMPARISON_ID, ID_TAG
from switchbench.store.ledger import Ledger

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
]  # test_tracking.py has a flaky server, and pulls from a file
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
        while not self._answers():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=60) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(postgres: str, tmp_path: Path) -> Iterator[Server]:
    started = Server(postgres, tmp_path / "artifacts")
    yield started
    started.kill()


def test_what_is_pulled_through_http_is_what_was_sent(tmp_path: Path) -> None:
    """The collector has nothing but the address of the server."""
    program = [sys.executable, "-m", "switchbench"]
    (tmp_path / "tracked.yaml").write_text(SPEC + "keep_networks: true\n")
    out, pulled = Ledger(tmp_path / "out"), Ledger(tmp_path / "pulled")
    server = Server(f"sqlite:///{tmp_path / 'server.db'}", tmp_path / "artifacts")
    try:
        run = [*program, "run", str(tmp_path / "tracked.yaml"), "--out", str(out.folder), "--set", "seeds=2"]
        run += ["--mlflow-uri", server.uri]
        said = subprocess.run(run, check=True, capture_output=True, text=True, timeout=200)
        assert "MLflow lacks" not in said.stderr + said.stdout
        pull = [*program, "pull", "--mlflow-uri", server.uri]
        listed = subprocess.run(pull, check=True, capture_output=True, text=True, timeout=60)
        assert listed.stdout == "tracked: 10 trials\n"
        pull += ["--experiment", "tracked", "--out", str(pulled.folder)]
        said = subprocess.run(pull, check=True, capture_output=True, text=True, timeout=60)
        assert said.stdout == f"tracked: 10 trials, 0 missing → {pulled.folder}\n"
        client = MlflowClient(server.uri)
        experiment = client.get_experiment_by_name("tracked")
        assert experiment
        runs = client.search_runs([experiment.experiment_id])
        (parent,) = [run for run in runs if run.data.tags[ID_TAG] == COMPARISON_ID]
        assert "report/report.md" in [
            file.path for file in client.list_artifacts(parent.info.run_id, "report")
        ]
        trial = next(run for run in runs if run is not parent)
        assert [file.path for file in client.list_artifacts(trial.info.run_id)] == ["network.pt"]
    finally:
        server.kill()
    pd.testing.assert_frame_equal(out.results(), pulled.results(), check_exact=True)
    for trial_id in out.results()["trial_id"]:
        assert out.curves(trial_id)
        assert repr(out.curves(trial_id)) == repr(pulled.curves(trial_id))
    assert out.spec_bytes() == pulled.spec_bytes()
    started = time.monotonic()
    down = subprocess.run(pull, check=False, capture_output=True, text=True, timeout=60)
    assert (down.returncode, down.stderr.count("\n")) == (2, 1), down.stderr
    assert f"MLflow at {server.uri}: " in down.stderr
    assert time.monotonic() - started < 25  # 15 without the start of Python on a busy machine


@pytest.mark.postgresql
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
    assert report >= {"report/report.md", "report/index.html", "report/results.parquet"}
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
    assert SECRET not in output + first.stdout + first.stderr
