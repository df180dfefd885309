"""Killing a search, and several drivers on one database, through the command line as a user meets them.

``CAMPAIGN=1 pytest tests/test_tuning_faults.py`` kills one search of 40 points ten times.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from switchbench.cli.app import main
from switchbench.store.ledger import Ledger
from switchbench.store.search import SearchLedger

pytestmark = pytest.mark.cluster
KILLS, POINTS = (10, 40) if os.environ.get("CAMPAIGN") else (2, 8)
SPEC = """
name: faults
networks: [{network: mlp, hidden: [30]}]
datasets: [digits]
methods: [magnitude]
densities: [0.1]
seeds: 1
training: {epochs: 12}
search: {points: %d, seeds: 2, pruner: %s, parallel: %d}
"""


def command(
    folder: Path, *extra: str, points: int = POINTS, pruner: str = "none", parallel: int = 2
) -> list[str]:
    spec = folder / "faults.yaml"
    spec.write_text(SPEC % (points, pruner, parallel))
    search = [sys.executable, "-m", "switchbench", "search", str(spec), "--out", str(folder / "out")]
    return [*search, "--mlflow-uri", "none", *extra]


def start(folder: Path, *extra: str, **options: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(folder, *extra, **options),  # type: ignore[arg-type]
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def rows(folder: Path) -> dict[str, int]:
    return {
        path.name: path.stat().st_mtime_ns
        for path in (folder / "out" / "search" / "trials").glob("*.parquet")
    }


def wait_for(more: int, folder: Path, process: subprocess.Popen[str]) -> None:
    before, deadline = len(rows(folder)), time.monotonic() + 120
    while len(rows(folder)) < before + more and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def check_whole(folder: Path, points: int = POINTS) -> None:
    """Every point told once, each with its own rows, and nothing else in the ledger."""
    found = SearchLedger(Ledger(folder / "out")).points()
    assert found is not None
    assert found["number"].tolist() == [*range(points)]
    assert (found["state"] == "complete").all()
    assert found["params"].is_unique
    results = Ledger(folder / "out" / "search").results()
    assert len(results) == 2 * points == len(rows(folder))
    assert (results["status"] == "validated").all()


def second_driver(folder: Path) -> str:
    """Start another search on the same folder, which must be refused; return its line."""
    second = subprocess.run(command(folder), capture_output=True, text=True, timeout=120, check=False)
    assert second.returncode == 2
    return second.stderr.strip()


@pytest.mark.slow  # test_tuning.py refuses a second driver and takes up points that were not told, without Ray
def test_a_second_driver_is_refused_and_a_killed_one_is_taken_up(tmp_path: Path) -> None:
    process = start(tmp_path)
    wait_for(2, tmp_path, process)
    assert (
        second_driver(tmp_path)
        == f"switchbench: {tmp_path / 'out' / 'search'}: another run is going on there"
    )
    process.kill()
    process.communicate()
    time.sleep(3)  # workers outlive their driver by a second or two and may still land a row
    landed = rows(tmp_path)
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    after = rows(tmp_path)
    assert {name: after[name] for name in landed} == landed  # what is there is not written again
    check_whole(tmp_path)
    assert (Ledger(tmp_path / "out").results()["status"] == "ok").all()


@pytest.mark.slow  # test_faults.py kills a comparison, and test_tuning.py takes up points that were not told
def test_kill_9_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(0)
    landed: dict[str, int] = {}
    for _ in range(KILLS):
        process = start(tmp_path)
        wait_for(chance.randint(1, 4), tmp_path, process)
        time.sleep(chance.random())
        os.killpg(process.pid, signal.SIGKILL) if chance.random() < 0.5 else process.kill()
        process.communicate()
        time.sleep(3)
        now = rows(tmp_path)
        assert {name: now[name] for name in landed} == landed
        landed = now
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    after = rows(tmp_path)
    assert {name: after[name] for name in landed} == landed
    check_whole(tmp_path)
    assert (Ledger(tmp_path / "out").results()["status"] == "ok").all()


@pytest.mark.slow  # test_faults.py interrupts a comparison, which a search has in common
def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    process = start(tmp_path, points=300)
    wait_for(2, tmp_path, process)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    last = output.strip().splitlines()[-1]
    done = re.fullmatch(r"switchbench: stopped: (\d+) of 300 points done; all results are stored in .*", last)
    assert done, last
    assert int(done[1]) >= 1
    assert "Traceback" not in output


@pytest.mark.slow  # test_tuning.py has two drivers on a database of SQLite, without Ray
@pytest.mark.postgresql
def test_two_drivers_share_a_study_in_postgresql(tmp_path: Path, postgres: str) -> None:
    drivers = [start(tmp_path, "--storage", postgres, parallel=1) for _ in range(2)]
    outputs = [driver.communicate(timeout=400)[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], outputs
    check_whole(tmp_path)
    shares = [output.count("  magnitude  #") for output in outputs]
    assert sum(shares) == POINTS
    assert min(shares) >= 1


def test_a_database_that_does_not_answer_is_one_line_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "postgresql+psycopg2://me:secret@127.0.0.1:9/none"
    monkeypatch.setattr(sys, "argv", ["switchbench", *command(tmp_path, "--storage", url)[3:]])
    with pytest.raises(SystemExit) as stop:
        main()
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.startswith("switchbench: --storage postgresql+psycopg2://…@127.0.0.1:9/none: ")
    assert error.count("\n") == 1
    assert "secret" not in error
