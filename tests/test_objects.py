"""Results in an object store, against a local S3 server that is a process of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch
from pyarrow import fs
from typer.testing import CliRunner

import switchbench
from switchbench.cli.app import app
from switchbench.errors import InputError
from switchbench.row import Row, Status
from switchbench.spec import file as specs
from switchbench.store import lock, objects
from switchbench.store.ledger import Ledger
from switchbench.store.objects import ObjectPath, resolved
from switchbench.trial.checkpoint import Checkpoint

KILLED = """
name: killed
networks: [{network: mlp, hidden: [30]}]
datasets: [digits]
methods: [dense, random, magnitude]
densities: [0.2, 0.1]
seeds: 6
training: {epochs: 25}
"""
SERVER = "from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    """Environment variables of an S3 server."""
    pytest.importorskip("moto", reason="needs moto, as in the extra dev")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", SERVER.format(port=port)], stderr=subprocess.DEVNULL)
    variables = {
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            store, _ = fs.FileSystem.from_uri("s3://bucket?allow_bucket_creation=true")
            store.create_dir("bucket")
            yield variables
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def place(server: Any) -> str:
    return f"s3://bucket/{uuid4().hex}"


def row_of(config: Any, **measured: Any) -> Row:
    return Row(**asdict(config.planned), status=Status.OK, **measured)


def test_everything_comes_back_as_written(place: str, spec: dict[str, Any]) -> None:
    ledger, compared = Ledger(place), specs.parse(spec)
    plan = compared.trials()
    assert not ledger.has_comparison
    ledger.create(compared, plan)
    assert ledger.has_comparison
    assert set(ledger.results()["status"]) == {"missing"}
    row = row_of(plan[0], test_accuracy=0.5)
    ledger.write(row, [{"epoch": 0, "loss": 1.5}])
    assert ledger.row(plan[0].trial_id) == row
    assert ledger.curves(plan[0].trial_id) == [{"epoch": 0, "loss": 1.5}]
    assert ledger.statuses([trial.trial_id for trial in plan]) == {plan[0].trial_id: Status.OK}
    assert ledger.name() == "small"
    ledger.networks.save("a", {"w": torch.arange(3)})
    assert ledger.networks.has("a")
    assert not ledger.networks.has("b")
    assert ledger.networks.load("a", {"w": torch.arange(3)})["w"].tolist() == [0, 1, 2]
    checkpoint = Checkpoint(ledger.checkpoint("a"), "code")
    checkpoint.save({"step": 3})
    assert checkpoint.load(torch.device("cpu")) == {"step": 3}
    checkpoint.discard()
    checkpoint.discard()
    assert checkpoint.load(torch.device("cpu")) is None
    assert ledger.compact() == 1
    assert not list((ledger.folder / "trials").iterdir())
    assert ledger.row(plan[0].trial_id) == row
    assert ledger.curves(plan[0].trial_id) == [{"epoch": 0, "loss": 1.5}]
    assert ledger.results()["status"].iloc[0] == "ok"


def test_a_comparison_runs_once(place: str, spec: dict[str, Any], without_ray: None, tmp_path: Path) -> None:
    spec |= {"methods": ["dense", "magnitude"], "seeds": 1, "keep_networks": True}
    first = switchbench.run(spec, place, mlflow_uri="none")
    again = switchbench.run(spec, place, mlflow_uri="none")
    here = switchbench.run(spec, tmp_path / "out", mlflow_uri="none")
    assert again["finished"].tolist() == first["finished"].tolist()
    measured = ["trial_id", "status", "test_accuracy", "val_loss", "density"]
    assert first[measured].equals(here[measured])
    with Ledger(place).report_files() as local:
        written = {file.relative_to(local).as_posix() for file in local.rglob("*.*")}
    assert written >= {"report.md", "results.parquet", "figures/captions.md"}
    assert any(file.startswith("figures/") and file.endswith("/curves.pdf") for file in written)
    assert Ledger(place).networks.has(first["trial_id"][0])
    loaded = switchbench.report(place)
    assert loaded["finished"].tolist() == first["finished"].tolist()
    done = CliRunner().invoke(app, ["report", place, "--out", str(tmp_path / "report")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "report" / "report.md").exists()


def test_a_report_replaces_the_tables_and_figures_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a folder that stands for a bucket. A search's report has neither, and removes neither."""
    stored = tmp_path / "bucket" / "mine" / "report"
    for folder in ("tables/one", "tables/two", "figures", "other"):
        (stored / folder).mkdir(parents=True)
    bucket = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(objects, "_filesystem", lambda *_: bucket)
    ledger = Ledger("s3://bucket/mine")

    def write(*names: str) -> list[str]:
        with ledger.report_folder() as local:
            for name in names:
                (local / name).parent.mkdir(parents=True, exist_ok=True)
                (local / name).write_text(name)
        return sorted(file.relative_to(stored).as_posix() for file in stored.rglob("*") if file.is_file())

    first = ["figures/a.svg", "other/b", "report.md", "tables/one/c.csv", "tables/two/c.csv"]
    assert write(*first) == first
    assert write("search.md") == sorted([*first, "search.md"])
    left = ["figures/a.svg", "other/b", "report.md", "search.md", "tables/one/d.csv"]
    assert write("figures/a.svg", "tables/one/d.csv") == left


def test_one_driver_at_a_time(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.3)
    ledger, path = Ledger(place), resolved(place) / "lock"
    refused = re.escape(f"{place}: another run is going on there")
    with ledger.only_driver():
        assert lock.is_locked(path)
        with pytest.raises(InputError, match=refused), ledger.only_driver():
            pass
    assert not lock.is_locked(path)
    assert isinstance(path, ObjectPath)
    path.write_bytes(b"of a driver that was killed")
    assert not lock.is_locked(path)
    with ledger.only_driver():
        pass
    assert not path.exists()


def test_two_drivers_that_wait_have_the_lease_in_turn(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.3)
    path, inside, most = resolved(place) / "lock", [], []

    def wait() -> None:
        with lock.locked(path, wait=True):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.5)
            inside.pop()

    waiting = [threading.Thread(target=wait) for _ in range(2)]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join(30)
    assert most == [1, 1]


def test_a_lease_that_another_driver_has_taken_ends_the_run(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.2)
    path, killed = resolved(place) / "lock", []
    assert isinstance(path, ObjectPath)
    monkeypatch.setattr(os, "kill", lambda _, number: killed.append(number))
    with lock.locked(path, wait=False):
        path.write_bytes(b'{"driver": "another"}')
        time.sleep(1)
    assert killed == [signal.SIGTERM]
    assert path.exists()


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (
            "ftp://host/x",
            "output folder ftp://host/x: should be a local or mounted folder, or a URL: s3://BUCKET/",
        ),
        ("s3://", "output folder s3://: should be a local or mounted folder, or a URL: s3://BUCKET/FOLDER"),
        (
            Path("s3://"),
            "output folder s3:: should be a local or mounted folder, or a URL: s3://BUCKET/FOLDER",
        ),
        ("s3://none/x", "output folder s3://none/x: .*(NoSuchBucket|bucket does not exist)"),
    ],
)
def test_a_place_that_cannot_be_used_is_one_line(
    server: Any, spec: dict[str, Any], without_ray: None, url: str | Path, line: str
) -> None:
    with pytest.raises(InputError, match=line) as caught:
        switchbench.run(spec, url)
    assert "\n" not in str(caught.value)


def test_a_search_needs_a_database(place: str, spec: dict[str, Any], without_ray: None) -> None:
    spec |= {"search": {"points": 1}, "densities": [0.1]}
    with pytest.raises(InputError, match=f"--storage: is required with --out {place}"):
        switchbench.search(spec, place)


@pytest.mark.slow  # test_a_comparison_runs_once has the store, test_faults.py the kills
@pytest.mark.cluster
def test_a_killed_driver_loses_no_trial(place: str, server: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "faults.yaml").write_text(KILLED)
    command = [sys.executable, "-m", "switchbench", "run", str(tmp_path / "faults.yaml"), "--out", place]
    environment = os.environ | server
    trials = Ledger(place).folder / "trials"

    def stamps() -> dict[str, str]:
        rows = [Ledger(place).row(file.stem) for file in trials.iterdir()]
        return {row.trial_id: str(row.finished) for row in rows if row}

    for kill in range(2):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        enough = len(stamps()) + 4
        while len(stamps()) < enough:
            assert process.poll() is None, process.stdout.read() if process.stdout else kill
            time.sleep(0.05)
        process.kill()
        process.wait()
        time.sleep(3)  # workers outlive their driver by a second or two and may still land a row
    before = stamps()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    after = stamps()
    assert len(after) == 30
    assert {trial: after[trial] for trial in before} == before
    assert not (Ledger(place).folder / "lock").exists()
