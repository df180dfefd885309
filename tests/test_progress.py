"""What a folder tells about its run: progress, running trials, failures, one trial."""

import re
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import switchbench
from switchbench.cli import show
from switchbench.cli.app import main
from switchbench.cluster import worker
from switchbench.cluster.worker import Job, execute, record_lost
from switchbench.compare.plan import plan
from switchbench.compare.progress import progress
from switchbench.errors import InputError
from switchbench.row import Row, Started, Status
from switchbench.spec.comparison import Resources
from switchbench.store import lock
from switchbench.store.ledger import Ledger
from switchbench.trained.rerun import device_of

pytestmark = pytest.mark.usefixtures("without_figures")


def call(monkeypatch: Any, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["switchbench", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    if stop.value.code:
        raise stop.value


def row_of(ledger: Ledger, trial_id: str) -> Row:
    row = ledger.row(trial_id)
    assert row
    return row


@pytest.fixture
def begun(tmp_path: Path, spec: dict[str, Any], monkeypatch: Any) -> tuple[Ledger, list[Any]]:
    """Ten trials: three done, one failed, one running after it was lost once, five to run."""
    ledger, planned = Ledger(tmp_path / "out"), plan(spec, tmp_path / "out")
    ledger.create(planned.spec, planned.trials)
    job = Job(ledger.folder, tmp_path, Resources(cpus=2), "this")
    for config in planned.trials[:3]:
        execute(config, job)
    with monkeypatch.context() as patch:

        def fail(*_: Any, **__: Any) -> None:
            print("weights of \x1b[31mlayer 1")
            raise ValueError("no such layer")

        patch.setattr(worker, "run_trial", fail)
        execute(planned.trials[3], job)
    lost = planned.trials[4]
    assert worker._announce(lost, job) == 1
    assert worker._announce(lost, job) == 2
    return ledger, planned.trials


def test_a_row_says_what_its_trial_took(begun: tuple[Ledger, list[Any]]) -> None:
    ledger, trials = begun
    row = row_of(ledger, trials[0].trial_id)
    assert row.seconds is not None
    assert row.train_seconds is not None
    assert row.seconds > row.train_seconds
    assert row.peak_memory is not None
    assert row.peak_memory > 50_000_000
    assert (row.gpus, row.peak_gpu_memory, row.energy, row.attempts) == (0, None, None, 1)


def test_progress_is_what_the_folder_holds(begun: tuple[Ledger, list[Any]]) -> None:
    ledger, trials = begun
    (running,) = ledger.running()
    now = datetime.fromisoformat(running.started) + timedelta(seconds=7)
    with ledger.only_driver():
        state = progress(ledger, now)
    assert (state.total, state.done, state.driven) == (10, 3, True)
    assert state.counts == {Status.OK: 3, Status.FAILED: 1, Status.MISSING: 6}
    assert [(each.trial_id, each.attempt, each.run) for each in state.running] == [
        (trials[4].trial_id, 2, "this")
    ]
    assert state.labels[trials[4].trial_id].startswith(
        f"{trials[4].method.label} {trials[4].density:g}, seed 0, mlp-20"
    )
    ((label, reason, count, example),) = state.reasons
    assert example == trials[3].trial_id
    assert (label, count) == (trials[3].method.label, 1)
    assert reason.startswith("failed: ValueError: no such layer (test_progress.py:")
    assert state.per_hour is not None
    assert state.per_hour > 0
    seconds = {
        each.trial_id: each.seconds for each in map(ledger.row, (t.trial_id for t in trials[:4])) if each
    }
    assert sum(state.hours["cpu"]) == pytest.approx(2 * sum(filter(None, seconds.values())) / 3600)
    assert sum(state.hours["gpu"]) == 0
    assert sum(state.hours["trials"]) == 4
    assert state.left is not None
    assert not progress(ledger).driven
    assert progress(ledger).left is None


def test_time_left_counts_what_the_running_trials_have_done(
    begun: tuple[Ledger, list[Any]], monkeypatch: Any
) -> None:
    ledger, trials = begun
    for index in range(4):
        row = row_of(ledger, trials[index].trial_id)
        ledger.write(replace(row, seconds=100.0), [])
    started = datetime(2026, 1, 1, tzinfo=UTC)
    for index in (4, 5):
        ledger.announce(
            Started(
                trial_id=trials[index].trial_id,
                host="h",
                process=1,
                started=started.isoformat(),
                run="that",
                attempt=1,
            )
        )
    with ledger.only_driver():
        state = progress(ledger, started + timedelta(seconds=40))
    assert state.left == timedelta(seconds=(6 * 100 - 2 * 40) / 2)


def test_points_of_a_search_are_done_when_they_are_validated(begun: tuple[Ledger, list[Any]]) -> None:
    ledger, trials = begun
    for config in trials[:3]:
        row = row_of(ledger, config.trial_id)
        ledger.write(replace(row, status=Status.VALIDATED), [])
    assert progress(ledger).done == 3


def test_an_earlier_run_is_not_running(begun: tuple[Ledger, list[Any]], tmp_path: Path) -> None:
    ledger, trials = begun
    time.sleep(1.1)  # starts are told apart by seconds
    worker._announce(trials[5], Job(ledger.folder, tmp_path, Resources(), "newer"))
    with ledger.only_driver():
        assert [each.trial_id for each in progress(ledger).running] == [trials[5].trial_id]
    assert len(progress(ledger).running) == 2


def test_drivers_that_share_a_search_are_all_running(
    begun: tuple[Ledger, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, trials = begun
    worker._announce(trials[5], Job(ledger.folder, tmp_path, Resources(), "of the other"))
    monkeypatch.setattr(lock, "TRY_SECONDS", 0.1)
    with ledger.one_of_drivers():
        with ledger.one_of_drivers():
            pass
        state = progress(ledger)
        with pytest.raises(InputError, match="another run is going on there"):
            ledger.compact()
    assert state.driven
    assert len(state.running) == 2
    assert not progress(ledger).driven


def test_a_run_with_nothing_to_do_leaves_a_running_comparison_alone(
    begun: tuple[Ledger, list[Any]], spec: dict[str, Any], without_ray: None
) -> None:
    ledger, _ = begun
    done = spec | {"methods": ["dense"], "seeds": 1}
    with ledger.only_driver(), pytest.raises(InputError, match="another run is going on there"):
        switchbench.run(done, ledger.folder, mlflow_uri="none")  # type: ignore[arg-type]
    assert len(ledger.results()) == 10


def test_a_point_of_a_search_is_run_again_without_test_images(
    begun: tuple[Ledger, list[Any]], capsys: Any, monkeypatch: Any
) -> None:
    ledger, trials = begun
    row = row_of(ledger, trials[0].trial_id)
    ledger.write(
        replace(row, status=Status.VALIDATED, test_accuracy=None, test_loss=None, test_top5=None), []
    )
    call(monkeypatch, "trial", str(ledger.folder), trials[0].trial_id, "--rerun")
    shown = capsys.readouterr().out
    assert "test_accuracy" not in shown
    assert "the stored result has the same bits" in shown


def test_a_trial_that_was_lost_too_often_says_how_often(
    begun: tuple[Ledger, list[Any]], tmp_path: Path
) -> None:
    ledger, trials = begun
    job = Job(ledger.folder, tmp_path, Resources(), "this")
    assert record_lost(trials[4], job, "the worker process died").attempts == 2
    assert not ledger.running()
    assert progress(ledger).retried == 1


def test_the_status_is_printed(begun: tuple[Ledger, list[Any]], capsys: Any, monkeypatch: Any) -> None:
    ledger, trials = begun
    call(monkeypatch, "status", str(ledger.folder), "--watch")  # no driver: it ends at once
    shown = capsys.readouterr().out
    assert "small: 3 of 10 trials done, 1 failed, 6 to run; not running" in shown
    assert "unfinished: their run has ended" in shown
    assert re.search(rf"{trials[3].trial_id[:8]} +failed: ValueError: no such layer", shown)
    assert f"{ledger.running()[0].trial_id[:8]}  " in shown
    assert "CPU-hours" in shown


def test_a_trial_is_shown_with_its_traceback(
    begun: tuple[Ledger, list[Any]], capsys: Any, monkeypatch: Any
) -> None:
    ledger, trials = begun
    call(monkeypatch, "trial", str(ledger.folder), trials[3].trial_id[:8])
    shown = capsys.readouterr().out
    assert f"trial {trials[3].trial_id}: failed" in shown
    assert '"batch_size": 64' in shown
    assert "weights of �[31mlayer 1" in shown
    assert "Traceback (most recent call last)" in shown
    assert "ValueError: no such layer" in shown
    call(monkeypatch, "trial", str(ledger.folder), trials[0].trial_id)
    shown = capsys.readouterr().out
    assert "val_accuracy" in shown
    assert "log:" not in shown
    call(monkeypatch, "trial", str(ledger.folder), trials[9].trial_id)
    assert "not run yet" in capsys.readouterr().out
    announced = ledger.running()[0]
    call(monkeypatch, "trial", str(ledger.folder), announced.trial_id)
    where = f"started at {announced.started} on {announced.host}, process {announced.process}"
    assert f"trial {announced.trial_id}: running or lost: {where}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call(monkeypatch, "trial", str(ledger.folder), "zzz")
    assert f"switchbench: no trial 'zzz'; `switchbench list {ledger.folder}` shows" in capsys.readouterr().err


def test_a_trial_is_shown_without_its_plug_in(
    begun: tuple[Ledger, list[Any]], capsys: Any, monkeypatch: Any
) -> None:
    ledger, trials = begun
    row = row_of(ledger, trials[3].trial_id)
    assert row.config
    ledger.write(replace(row, config=row.config.replace('"magnitude"', '"absent"')), [])
    call(monkeypatch, "trial", str(ledger.folder), row.trial_id)
    shown = capsys.readouterr().out
    assert "unknown method 'absent'" in shown
    assert "give the plug-in's file (--plugin FILE" in shown
    assert '"batch_size": 64' in shown
    assert "ValueError: no such layer" in shown
    with pytest.raises(SystemExit):
        call(monkeypatch, "trial", str(ledger.folder), row.trial_id, "--rerun")
    assert "unknown method 'absent'" in capsys.readouterr().err


def test_the_rate_counts_from_the_first_start(begun: tuple[Ledger, list[Any]]) -> None:
    ledger, trials = begun
    for index, finished in enumerate(("10:02:00", "10:02:01")):
        row = row_of(ledger, trials[index].trial_id)
        stamp = f"2099-01-01T{finished}.000+00:00"
        ledger.write(replace(row, run="newest", seconds=120.0 + index, finished=stamp), [])
    assert progress(ledger).per_hour == pytest.approx(2 / (121 / 3600))


def test_a_trial_runs_again_in_the_foreground(
    begun: tuple[Ledger, list[Any]], capsys: Any, monkeypatch: Any
) -> None:
    ledger, trials = begun
    before = ledger.row(trials[0].trial_id)
    call(monkeypatch, "trial", str(ledger.folder), trials[0].trial_id, "--rerun")
    assert "the stored result has the same bits" in capsys.readouterr().out
    assert ledger.row(trials[0].trial_id) == before


def test_a_trial_runs_again_on_the_kind_of_device_that_it_ran_on(begun: tuple[Ledger, list[Any]]) -> None:
    ledger, trials = begun
    row = ledger.row(trials[0].trial_id)
    assert row
    assert device_of(row) == device_of(None) == "cpu"
    assert device_of(replace(row, device="NVIDIA H200", gpus=None)) == "cuda"
    assert device_of(replace(row, device=None, gpus=0.5)) == "cuda"


def test_failed_trials_run_again_when_asked(
    begun: tuple[Ledger, list[Any]], spec: Any, without_ray: None, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, trials = begun
    planned = plan(spec, ledger.folder)
    show.plan(planned, 1.0, None)
    states = [line.split()[-1] for line in capsys.readouterr().out.splitlines()[-10:]]
    assert (states.count("failed"), states.count("done"), states.count("run")) == (1, 3, 6)
    assert planned.failed == {trials[3].trial_id}
    assert trials[3] not in planned.todo
    assert "10 trials, 3 done, 1 failed (--retry-failed), 6 to run" in planned.summary
    results = switchbench.run(spec, ledger.folder, mlflow_uri="none")  # type: ignore[arg-type]
    assert sorted(results["status"]) == ["failed"] + ["ok"] * 9
    results = switchbench.run(spec, ledger.folder, mlflow_uri="none", retry_failed=True)  # type: ignore[arg-type]
    assert set(results["status"]) == {"ok"}
    assert ledger.log(trials[3].trial_id) == ""
    assert not ledger.running()


def test_a_folder_without_a_comparison_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no comparison"):
        progress(Ledger(tmp_path))
