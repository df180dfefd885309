"""The mirror in MLflow: what it holds, what comes back from it, and what happens when MLflow misbehaves."""

import hashlib
import json
import math
import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import switchbench
from switchbench.cluster.context import RunContext
from switchbench.compare.agreement import BUDGET
from switchbench.compare.pull import experiments, pull
from switchbench.errors import InputError
from switchbench.methods import METHODS
from switchbench.observe import mlflow as tracking
from switchbench.observe import mlflow_client, mlflow_history, mlflow_pull
from switchbench.observe.mlflow import Mirror
from switchbench.observe.mlflow_experiment import NETWORK_BYTES, Experiment, LivePoint
from switchbench.observe.mlflow_pull import Collected
from switchbench.observe.mlflow_rows import ID_TAG, PARENT_TAG, row_of, row_tags
from switchbench.row import PlannedTrial, Row, Status
from switchbench.spec.file import parse
from switchbench.spec.training import BUDGET_KEYS
from switchbench.spec.trial import TrialConfig
from switchbench.spec.yaml_text import read_plain
from switchbench.store.ledger import PLANNED, Ledger

pytestmark = pytest.mark.usefixtures("without_figures")


def numbered(number: int) -> Row:
    """A row that is told from others by its seed."""
    return Row(
        trial_id="id",
        label="a",
        method="a",
        network="n",
        dataset="d",
        scope="fc",
        seed=number,
        status=Status.OK,
    )


def filled(folder: Path, spec: dict[str, Any], day: int = 1, missing: int = 0, **changes: Any) -> Ledger:
    """A ledger with results that nobody measured: awkward floats, which follow from the trial's id and ``day``."""
    resolved = parse(spec | changes)
    ledger, trials = Ledger(folder), resolved.trials()
    ledger.create(resolved, trials)
    for number, trial in enumerate(trials[: len(trials) - missing]):
        value = int(hashlib.sha256(f"{trial.trial_id} {day}".encode()).hexdigest()[:8], 16) / 3e10
        row = Row(
            **asdict(trial.planned),
            status=Status.OK,
            density=value,
            test_accuracy=0.1 + value,
            val_accuracy=value / 7,
            val_loss=math.nan if number == 0 else value * 1e-300,
            macs=2**53 + 1 if number == 1 else number,
            train_size=1294,
            steps=20,
            train_seconds=1.0,
            seconds=2.5 if number else None,
            device="cpu",
            versions=json.dumps({"python": "3.11", "commit": "abc-dirty"}),
            config=trial.model_dump_json(),
            finished=f"2026-01-{day:02}T00:00:{number:02}.123+00:00",
            run="é",
        )
        curve = {"train_loss": value, "val_accuracy": math.nan, "density": math.inf, "lr": 1e-3 * value}
        ledger.write(row, [{"round": 0, "epoch": e, "step": 10 * e, **curve} for e in (1, 2)])
    return ledger


def send(ledger: Ledger, uri: str | None = None) -> int:
    return tracking.sync(ledger, [*ledger.rows()], uri)


def runs_of(ledger: Ledger, uri: str | None = None) -> dict[str, list[Any]]:
    """The runs of a ledger's experiment in MLflow, by the id of the trial."""
    from mlflow import MlflowClient

    client = MlflowClient(uri or ledger.mlflow_uri)
    experiment = client.get_experiment_by_name(ledger.name())
    assert experiment is not None
    found: dict[str, list[Any]] = {}
    for run in client.search_runs([experiment.experiment_id]):
        found.setdefault(run.data.tags.get(ID_TAG, "none"), []).append(run)
    return found


def assert_same(one: Ledger, other: Ledger) -> None:
    """Cell by cell, and point by point, with the order of columns and the types."""
    pd.testing.assert_frame_equal(one.results(), other.results(), check_exact=True)
    for trial_id in one.results()["trial_id"]:
        assert repr(one.curves(trial_id)) == repr(other.curves(trial_id))


class Flaky(Experiment):
    """An experiment whose server refuses some rows."""

    refused: frozenset[int] = frozenset()

    def __init__(self, *_: Any) -> None:
        self.got: list[int] = []

    def send(self, row: Row) -> bool:
        if row.seed in self.refused:
            raise ConnectionError(f"row {row.seed}\nrefused")
        self.got.append(row.seed)
        return True

    def send_plan(self) -> None:
        raise ConnectionError("without it rows are sent all the same")

    def finish(self) -> None:
        pass


def test_an_odd_row_stops_no_other() -> None:
    flaky = Flaky()
    flaky.refused = frozenset({1, 3})
    sent, problem = flaky.send_all(numbered(number) for number in range(6))
    assert flaky.got == [0, 2, 4, 5]
    assert sent == 4
    assert str(problem) == "row 3\nrefused"


def test_a_server_that_is_gone_is_not_asked_for_every_row() -> None:
    flaky = Flaky()
    flaky.refused = frozenset(range(2, 100))
    asked = []

    def rows() -> Iterator[Row]:
        for number in range(100):
            asked.append(number)
            yield numbered(number)

    flaky.send_all(rows())
    assert asked == [0, 1, 2, 3]


def test_a_silent_server_holds_nobody_up(tmp_path: Path, monkeypatch: Any) -> None:
    def hang(*_: Any) -> None:
        time.sleep(60)

    monkeypatch.setattr(tracking, "Experiment", hang)
    monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 0.3)
    mirror = Mirror(Ledger(tmp_path), "http://nowhere")
    mirror.start()
    started = time.monotonic()
    mirror.trial_finished(numbered(1))
    mirror.close()
    assert time.monotonic() - started < 5
    assert mirror.problem == "no answer within 0.3 seconds"


def test_a_folder_that_has_moved_finds_its_files(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    folder = tmp_path / "before"
    ledger = Ledger(folder)
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "report.md").write_text("a table")
    row = replace(numbered(0), finished="2026-01-01T00:00:00+00:00")
    assert tracking.sync(ledger, [row]) == 1
    (tmp_path / "after").mkdir()
    again = Ledger(folder.rename(tmp_path / "after" / "before"))
    assert tracking.sync(again, [row]) == 0
    client, read = MlflowClient(again.mlflow_uri), []
    experiment = client.get_experiment_by_name("before")
    assert experiment
    assert experiment.artifact_location == again.mlflow_artifacts
    for run in client.search_runs([experiment.experiment_id]):
        assert str(run.info.artifact_uri).startswith(f"{again.mlflow_artifacts}/")
        for file in client.list_artifacts(run.info.run_id, "report"):
            read.append(Path(client.download_artifacts(run.info.run_id, file.path)).read_text())
    assert read == ["a table"]


def test_files_of_a_search_lie_in_its_comparisons_folder(tmp_path: Path, monkeypatch: Any) -> None:
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    home, search = Ledger(tmp_path / "out"), Ledger(tmp_path / "out" / "search")
    search.folder.mkdir(parents=True)
    tracking.sync(search, [replace(numbered(0), finished="2026-01-01T00:00:00+00:00")], home=home)
    experiment = MlflowClient(home.mlflow_uri).get_experiment_by_name("search")
    assert experiment
    assert experiment.artifact_location == home.mlflow_artifacts
    assert [each.name for each in tmp_path.iterdir()] == ["out"]  # no mlruns beside it


def test_points_of_a_running_trial_are_there_before_its_row(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    row = numbered(0)
    ledger = Ledger(tmp_path / "live")
    ledger.folder.mkdir()
    experiment = Experiment(ledger, None)
    trial = PlannedTrial.stored(asdict(row))
    for epoch in (0, 1):
        point = {"epoch": epoch, "step": 10 * (epoch + 1), "val_accuracy": 0.5 + epoch / 4}
        experiment.send_live(LivePoint(trial, point, 1_000 * (epoch + 1)))
    client = MlflowClient(ledger.mlflow_uri)
    (live,) = runs_of(ledger)["id"]
    run_id = live.info.run_id
    assert live.info.status == "RUNNING"
    history = client.get_metric_history(run_id, "val_accuracy")
    assert [(each.step, each.value) for each in history] == [(10, 0.5), (20, 0.75)]
    assert experiment.send(replace(row, finished="2026-01-01T00:00:00+00:00", val_accuracy=0.8, steps=20))
    (done,) = runs_of(ledger)["id"]
    assert done.info.run_id == run_id
    assert (done.info.status, done.data.metrics["val_accuracy"]) == ("FINISHED", 0.8)


def test_the_mirror_sends_few_points_of_a_trial(tmp_path: Path, monkeypatch: Any) -> None:
    sent: list[Any] = []

    class Recording(Flaky):
        def send_live(self, live: LivePoint) -> None:
            sent.append(live.point["step"])

    monkeypatch.setattr(tracking, "Experiment", Recording)
    ledger = Ledger(tmp_path)
    monkeypatch.setattr(ledger, "rows", lambda: iter([]))
    mirror = Mirror(ledger, None)
    mirror.start()
    trial = TrialConfig.of(network="mlp", dataset="digits", method="dense", training={"epochs": 3})
    for step in range(5):
        mirror.epoch_finished(trial, {"step": step})
    mirror.close()
    assert sent == [0]
    assert mirror.problem is None


@pytest.mark.parametrize("refused", [frozenset(), frozenset({1})])
def test_the_mirror_keeps_the_last_problem(refused: frozenset[int], tmp_path: Path, monkeypatch: Any) -> None:
    ledger = Ledger(tmp_path)
    monkeypatch.setattr(ledger, "rows", lambda: iter([numbered(0)]))
    monkeypatch.setattr(Flaky, "refused", refused)
    monkeypatch.setattr(tracking, "Experiment", Flaky)
    mirror = Mirror(ledger, None)
    mirror.start()
    for number in (1, 2):
        mirror.trial_finished(numbered(number))
    mirror.close()
    assert mirror.problem == ("ConnectionError: row 1" if refused else None)


def test_an_interrupted_run_ends_its_mirror_without_waiting(tmp_path: Path, monkeypatch: Any) -> None:
    got: list[int] = []
    ended: list[str] = []
    answer = threading.Event()

    class Slow(Flaky):
        def send(self, row: Row) -> bool:
            got.append(row.seed)
            return answer.wait(30)

        def end(self, status: str) -> None:
            ended.append(status)

    monkeypatch.setattr(tracking, "Experiment", Slow)
    monkeypatch.setattr(Ledger, "rows", lambda _: iter([numbered(0)]))
    mirrors: list[Any] = []

    def run() -> None:
        with RunContext.create(None, None, (), None).mirror(Ledger(tmp_path)) as observers:
            mirrors.extend(observers)
            mirrors[0].trial_finished(numbered(1))
            while not got:
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert mirrors[0].is_alive()
    answer.set()
    mirrors[0].join(10)
    assert not mirrors[0].is_alive()
    assert (got, ended) == ([0], ["KILLED"])


def test_a_run_follows_its_row_whatever_changed(tmp_path: Path) -> None:
    """Also where MLflow holds a parameter that is another now, which it never changes; also in a folder whose
    name means something in a URI, and in an experiment that was deleted."""
    from mlflow import MlflowClient

    def row(status: Status, config: str, **more: Any) -> Row:
        return replace(numbered(0), status=status, config=config, finished=more.pop("at"), **more)

    ledger = Ledger(tmp_path / "a?b#c%20d e")
    ledger.folder.mkdir()
    failed = row(Status.FAILED, '{"dataset": {"path": "/a"}, "extra": 1}', at="2026-01-01T00:00:00+00:00")
    done = row(
        Status.OK,
        '{"dataset": {"path": "/b"}, "extra": 2}',
        at="2026-01-02T00:00:00+00:00",
        test_accuracy=0.5,
    )
    assert tracking.sync(ledger, [failed]) == 1
    client = MlflowClient(ledger.mlflow_uri)
    experiment = client.get_experiment_by_name(ledger.name())
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    assert tracking.sync(ledger, [done]) == 1
    assert tracking.sync(ledger, [done]) == 0
    later = row(Status.FAILED, "{}", at="2026-01-03T00:00:00+00:00")  # as where the stored row was lost
    assert tracking.sync(ledger, [later]) == 0
    assert [path.name for path in tmp_path.iterdir()] == [ledger.folder.name]
    assert (ledger.folder / "mlflow.db").read_bytes().startswith(b"SQLite format 3")
    (run,) = runs_of(ledger)["id"]
    assert run.info.status == "FINISHED"
    assert run.data.tags["status"] == "ok"
    assert run.data.metrics["test_accuracy"] == 0.5
    assert run.data.params == {"extra": "1"}


# What a run holds


@pytest.fixture
def sent(tmp_path: Path, spec: dict[str, Any]) -> Ledger:
    """A ledger of two networks that was sent to a database of its own."""
    networks = [*spec["networks"], {"network": "lenet-300-100"}]
    ledger = filled(tmp_path / "sent", spec, missing=1, networks=networks, seeds=1)
    ledger.networks.save(next(ledger.rows()).trial_id, {})
    ledger.report.mkdir()
    (ledger.report / "index.html").write_bytes(b"<p>a report")
    assert send(ledger) == len(ledger.results()) - 1
    return ledger


def test_runs_have_times_names_tags_a_data_set_and_a_parent(sent: Ledger) -> None:
    runs = runs_of(sent)
    (parent,) = runs["comparison"]
    first, second = [*sent.rows()][:2]
    (run,), (other,) = runs[first.trial_id], runs[second.trial_id]
    end = 1767225600123
    assert (run.info.start_time, run.info.end_time) == (end - 1_000, end)  # without seconds: train_seconds
    assert (other.info.start_time, other.info.end_time) == (end + 1_000 - 2_500, end + 1_000)
    assert (parent.info.status, parent.info.run_name) == ("FINISHED", "small")
    assert (parent.info.start_time, parent.info.end_time) == (end + 1_000 - 2_500, end + 8_000)
    assert {each.data.tags[PARENT_TAG] for key in runs.keys() - {"comparison"} for each in runs[key]} == {
        parent.info.run_id
    }
    assert run.info.run_name == "dense seed 0 · mlp-20"
    assert other.info.run_name == "random 20% seed 0 · mlp-20"
    expected = {
        "comparison": "small", "network": "mlp-20", "dataset": "digits", "scope": "fc", "method": "random",
        "label": "random", "seed": "0", "target_density": "0.2", "status": "ok",
        "mlflow.source.name": "switchbench", "mlflow.source.git.commit": "abc",
    }  # fmt: skip
    assert expected.items() <= other.data.tags.items()
    assert max(map(len, other.data.tags.values())) <= 5_000
    (given,) = other.inputs.dataset_inputs
    assert (given.dataset.name, len(given.dataset.digest)) == ("digits", 8)
    assert other.data.params["training.steps"] == "20"
    assert (other.data.params["target_density"], "density" in other.data.params) == ("0.2", False)


def test_the_last_value_of_a_metric_is_the_final_one(sent: Ledger) -> None:
    """Although its curve has the same name, and a larger value at the same step."""
    row = next(sent.rows())
    ((run,), history) = runs_of(sent)[row.trial_id], _client(sent)
    assert run.data.metrics["val_accuracy"] == row.val_accuracy
    assert run.data.metrics["density"] == row.density
    assert [point.step for point in history.get_metric_history(run.info.run_id, "density")] == [10, 20, 20]
    assert not [name for name in run.data.metrics if name.startswith("curve")]


def test_spec_plan_report_and_networks_are_artifacts(sent: Ledger) -> None:
    client, runs = _client(sent), runs_of(sent)
    parent, with_network = runs["comparison"][0].info.run_id, runs[next(sent.rows()).trial_id][0].info.run_id
    assert {file.path for file in client.list_artifacts(parent)} == {"plan.parquet", "spec.yaml", "report"}
    assert [file.path for file in client.list_artifacts(parent, "report")] == ["report/index.html"]
    assert [file.path for file in client.list_artifacts(with_network)] == ["network.pt"]
    trial_id = next(sent.rows()).trial_id
    size = len(sent.networks.content(trial_id, NETWORK_BYTES) or b"")
    assert sent.networks.content(trial_id, size - 1) is None  # a larger one is not sent


def test_files_that_cannot_be_sent_cost_no_row(tmp_path: Path, spec: dict[str, Any]) -> None:
    ledger = filled(tmp_path / "here", spec)
    ledger.networks.save(next(ledger.rows()).trial_id, {})
    (tmp_path / "here" / "mlflow").write_text("no folder")
    with pytest.raises(OSError, match="mlflow"):
        send(ledger)
    runs = runs_of(ledger)
    assert {run.info.status for each in runs.values() for run in each} == {"FINISHED"}
    assert_same(ledger, Ledger(pull(ledger.mlflow_uri, "small", tmp_path / "there")))


def test_an_old_mirror_is_taken_over(tmp_path: Path, spec: dict[str, Any]) -> None:
    """Its run of the report becomes the parent, and its runs of trials get their rows."""
    ledger = filled(tmp_path / "old", spec)
    client = _client(ledger)
    experiment = client.create_experiment("small", ledger.mlflow_artifacts)
    row = next(ledger.rows())
    old = {
        trial_id: client.create_run(experiment, tags={ID_TAG: trial_id, "switchbench.sent": "x"}).info.run_id
        for trial_id in ("report", row.trial_id)
    }
    with pytest.raises(InputError, match=r"^--experiment 'small': holds no plan and no complete row"):
        pull(ledger.mlflow_uri, "small", tmp_path / "none")
    send(ledger)
    runs = runs_of(ledger)
    assert "report" not in runs
    assert [run.info.run_id for run in runs["comparison"]] == [old["report"]]
    assert [run.info.run_id for run in runs[row.trial_id]] == [old[row.trial_id]]
    assert_same(ledger, Ledger(pull(ledger.mlflow_uri, "small", tmp_path / "new")))


def test_a_row_survives_the_tags(tmp_path: Path) -> None:
    row = replace(numbered(1), error="é\n" * 5_000, val_loss=-math.inf, macs=2**62, density=0.1 + 0.2)
    tags = row_tags(row)
    assert len(tags) > 1
    assert max(map(len, tags.values())) <= 5_000
    assert row_of(tags) == row
    assert row_of(tags | row_tags(numbered(1))) == numbered(1)  # what is left of a longer row does not count
    assert row_of({}) is None


# Pull


@pytest.mark.parametrize("bulk", [True, False])
def test_what_is_pulled_is_what_was_sent(
    tmp_path: Path, spec: dict[str, Any], bulk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, curves, missing trials, spec and report; also without the interface that MLflow does not promise."""
    ledger = filled(tmp_path / "here", spec, missing=2)
    send(ledger)
    if not bulk:
        monkeypatch.setattr(mlflow_history, "_bulk", lambda *_: None)
    folder = pull(ledger.mlflow_uri, "small", tmp_path / "there")
    pulled = Ledger(folder)
    assert_same(ledger, pulled)
    assert (pulled.results()["status"] == "missing").sum() == 2
    assert pulled.spec_bytes() == ledger.spec_bytes()
    assert {file.name for file in (tmp_path / "there").iterdir()} == {
        "curves.parquet", "lock", "plan.parquet", "results.parquet", "spec.yaml",
    }  # fmt: skip
    assert len(switchbench.plan(parse(spec), folder).todo) == 2
    for each in (ledger.folder, folder):
        switchbench.report(each)
    table = "report/cells.csv"
    assert (tmp_path / "here" / table).read_bytes() == (tmp_path / "there" / table).read_bytes()


def test_a_second_pull_updates_and_keeps_what_mlflow_lacks(tmp_path: Path, spec: dict[str, Any]) -> None:
    ledger = filled(tmp_path / "here", spec, missing=4)
    send(ledger)
    pulled = Ledger(pull(ledger.mlflow_uri, "small", tmp_path / "there", curves=False))
    assert not pulled.curves(next(ledger.rows()).trial_id)
    more = spec | {"seeds": 3}
    own = [*filled(tmp_path / "other", more).rows()]
    later, unsent = replace(own[0], finished="2026-02-01T00:00:00+00:00", density=0.5), own[-1]
    pulled.create(parse(more), parse(more).trials())
    for row in (later, unsent):  # as trials do that run in the pulled folder
        pulled.write(row, [])
    filled(tmp_path / "here", spec, missing=2)
    send(ledger)
    pull(ledger.mlflow_uri, "small", tmp_path / "there")
    rows = {row.trial_id: row for row in pulled.rows()}
    assert len(rows) == 8 + 1
    assert rows[later.trial_id].density == 0.5
    assert rows[own[1].trial_id].density == own[1].density
    assert repr(pulled.curves(own[1].trial_id)) == repr(ledger.curves(own[1].trial_id))
    ids = [trial.trial_id for trial in ledger.planned()]
    assert [trial.trial_id for trial in pulled.planned()] == [*ids, unsent.trial_id]


def test_trials_that_left_the_plan_do_not_come_back(tmp_path: Path, spec: dict[str, Any]) -> None:
    ledger = filled(tmp_path / "here", spec)
    send(ledger)
    pull(ledger.mlflow_uri, "small", tmp_path / "there")
    fewer = parse(spec | {"methods": ["dense", "random"]})
    ledger.create(fewer, fewer.trials())
    send(ledger)
    assert len(ledger.results()) == 6
    assert_same(ledger, Ledger(pull(ledger.mlflow_uri, "small", tmp_path / "there")))


def test_machines_that_ran_a_part_each_are_united(
    tmp_path: Path, spec: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    parts = [filled(tmp_path / f"part-{seed}", spec, seeds=[seed]) for seed in (1, 0)]
    for part in parts:
        send(part, uri)
    whole = filled(tmp_path / "whole", spec)
    pulled = Ledger(pull(uri, "small", tmp_path / "pulled"))
    order = ["seed", "label", "target_density"]
    columns = [name for name in whole.results() if name not in ("macs", "finished", "seconds", "val_loss")]
    one, other = (each.results().sort_values(order, ignore_index=True) for each in (whole, pulled))
    pd.testing.assert_frame_equal(one[columns], other[columns], check_exact=True)
    again = Ledger(pull(uri, "small", tmp_path / "again"))
    assert_same(pulled, again)
    assert not switchbench.plan(tmp_path / "pulled" / "spec.yaml", pulled.folder).todo
    assert len(runs_of(whole, uri)["comparison"]) == 2
    assert experiments(uri) == {"small": 10}
    assert not [each for each in caplog.messages if "different results" in each]


def test_a_spec_of_another_recipe_is_left_out(
    tmp_path: Path, spec: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    first = filled(tmp_path / "first", spec)
    other = filled(
        tmp_path / "other", spec | {"training": {"steps": 30, "batch_size": 64}, "seeds": [5, 6]}, day=2
    )
    for each in (first, other):
        send(each, uri)
    pulled = Ledger(pull(uri, "small", tmp_path / "pulled"))
    assert_same(first, pulled)
    assert pulled.spec_bytes() == first.spec_bytes()
    number = len(other.results())
    assert caplog.messages == [
        f"specs in MLflow differ in training (training.steps: 30 instead of 20): {number} trials of the later "
        "one left out; give it a name of its own"
    ]


@pytest.fixture
def sent_by(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let MLflow hold what ledgers have sent, without MLflow. Of ``unplanned``, it has neither spec nor plan."""

    def send_all(*ledgers: Ledger, unplanned: Sequence[Ledger] = ()) -> None:
        plans = [(each.spec_bytes() or b"", each.planned()) for each in ledgers]
        others = [trial for each in unplanned for trial in each.planned()]
        rows = {row.trial_id: row for each in (*ledgers, *unplanned) for row in each.rows()}
        collected = Collected(plans + [(b"", others)] * bool(others), rows, {}, frozenset(rows))
        monkeypatch.setattr(mlflow_pull, "collect", lambda *_: collected)

    return send_all


def labelled(key: str, entry: dict[str, Any]) -> dict[str, Any]:
    return {key: [entry, *(["dense"] if key == "methods" else [])]}


@pytest.mark.parametrize(
    ("key", "one", "other", "said"),
    [
        ("methods", {"method": "magnitude"}, {"end": 0.8}, "method 'x' (method.end: 0.8 instead of 0.75)"),
        ("networks", {"network": "mlp", "hidden": [20]}, {"hidden": [21]}, "network 'x' (network.hidden: [21] instead of [20])"),
        ("datasets", {"dataset": "fake"}, {"classes": 3}, "dataset 'x' (dataset.classes: 3 instead of 10)"),
    ],
)  # fmt: skip
def test_one_label_for_two_things_is_not_pulled_together(
    key: str,
    one: dict[str, Any],
    other: dict[str, Any],
    said: str,
    tmp_path: Path,
    spec: dict[str, Any],
    sent_by: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = filled(tmp_path / "first", spec | labelled(key, one | {"label": "x"}))
    entry = one | other | {"label": "x"}
    second = filled(tmp_path / "second", spec | labelled(key, entry), seeds=[2, 3])
    number = len(second.results())
    for with_spec in (True, False):
        caplog.clear()
        sent_by(first, second) if with_spec else sent_by(first, unplanned=[second])
        pulled = Ledger(pull("sqlite:///x.db", "small", tmp_path / f"pulled-{with_spec}"))
        columns = [*PLANNED, "config"]
        kept = pulled.results()[columns]
        assert pulled.spec_bytes() == first.spec_bytes()
        if with_spec or key != "methods":
            pd.testing.assert_frame_equal(kept, first.results()[columns])
        else:
            assert kept.groupby("label").size().to_dict() == {"dense": 4, "x": 4}
        (line,) = caplog.messages
        if with_spec:
            left = f"{number} trials of the later one left out; give it a name of its own"
            assert line == f"specs in MLflow differ in {said}: {left}"
        else:
            name, why = said.replace("method 'x'", "label 'x'").split(" (")
            left = "4 trials" if key == "methods" else f"{number} trials"
            assert line == f"in MLflow, run é: {name} not as in folder 1 ({why}: {left} left out"


def test_a_run_of_another_budget_without_a_spec_is_left_out(
    tmp_path: Path, spec: dict[str, Any], sent_by: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    first = filled(tmp_path / "first", spec)
    sent_by(first, unplanned=[filled(tmp_path / "second", spec, methods=["set"], training={"steps": 30})])
    pulled = Ledger(pull("sqlite:///x.db", "small", tmp_path / "pulled"))
    assert [*pulled.results()["trial_id"]] == [*first.results()["trial_id"]]
    assert caplog.messages == [
        "rows in MLflow differ in budget (training.steps: 30 instead of 20; training.batch_size: 128 instead of 64): "
        "4 trials of the later run left out; give it a name of its own"
    ]


def test_another_version_on_other_seeds_is_left_out(
    tmp_path: Path, spec: dict[str, Any], sent_by: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    ledgers = [filled(tmp_path / str(seed), spec, seeds=[seed]) for seed in (0, 1)]
    for version, ledger in enumerate(ledgers):
        for row in ledger.rows():
            method = str(version) if row.label == "magnitude" else "1"
            ledger.write(replace(row, versions=json.dumps({"method": method})), [])
    sent_by(*ledgers)
    pulled = Ledger(pull("sqlite:///x.db", "small", tmp_path / "pulled")).results()
    assert pulled.groupby("label").size().to_dict() == {"dense": 2, "random": 4, "magnitude": 2}
    assert caplog.messages == [
        "in MLflow, folder 2: label 'magnitude' not as in folder 1 (version: 1 instead of 0): 2 trials left out"
    ]


def test_specs_of_two_versions_of_switchbench_are_united(
    tmp_path: Path, spec: dict[str, Any], sent_by: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """The older one lacks options at the value that changes nothing. Other densities are no other method."""
    inert = {"method": "magnitude", "power": 3.0}
    first = filled(tmp_path / "first", spec, methods=["dense", inert])
    older = (first.spec_bytes() or b"").replace(b"  kernels: dense\n", b"").replace(b", power: 3.0", b"")
    assert older.count(b"kernels") + older.count(b"power: 3.0") == 0
    (first.folder / "spec.yaml").write_bytes(older)
    second = filled(
        tmp_path / "second", spec, methods=["dense", inert | {"densities": [0.05]}, "random"], seeds=[2]
    )
    sent_by(first, second)
    pulled = Ledger(pull("sqlite:///x.db", "small", tmp_path / "pulled"))
    assert caplog.messages == []
    whole = parse(read_plain(pulled.spec_bytes() or b"", "spec"))
    assert [method.label for method in whole.methods] == ["dense", "magnitude", "random"]
    assert whole.methods[1].densities == [0.2, 0.1, 0.05]
    planned = {trial.trial_id for trial in pulled.planned()}
    assert planned == {trial.trial_id for each in (first, second) for trial in each.planned()}
    assert planned < {trial.trial_id for trial in whole.trials()}


def test_one_trial_of_two_labels_is_not_split(
    tmp_path: Path, spec: dict[str, Any], sent_by: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    first = filled(tmp_path / "first", spec)
    second = filled(tmp_path / "second", spec, methods=[{"method": "magnitude", "label": "mine"}], seeds=3)
    sent_by(first, second)
    pulled = Ledger(pull("sqlite:///x.db", "small", tmp_path / "pulled"))
    assert pulled.planned() == first.planned()
    assert caplog.messages == [
        "specs in MLflow differ in label 'mine' ('magnitude' for the same trials): 6 trials of the later one "
        "left out; give it a name of its own"
    ]


def test_a_folder_with_other_trials_of_its_own_is_refused(
    tmp_path: Path, spec: dict[str, Any], sent_by: Callable[..., None]
) -> None:
    sent_by(filled(tmp_path / "sent", spec))
    own = filled(tmp_path / "own", spec, methods=["dense", {"method": "magnitude", "end": 0.8}], seeds=[5])
    before = own.results()
    with pytest.raises(InputError) as caught:
        pull("sqlite:///x.db", "small", own.folder)
    assert str(caught.value).startswith(
        f"output folder {own.folder}: holds trials that are not in MLflow and differ: specs in MLflow differ in "
        "method 'magnitude' (method.end: 0.8 instead of 0.75): 3 trials"
    )
    assert own.results().equals(before)


def test_settings_that_no_method_changes_are_those_of_the_spec() -> None:
    assert {*BUDGET} == BUDGET_KEYS


def test_of_two_versions_of_a_method_the_first_counts(
    tmp_path: Path, spec: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    first = filled(tmp_path / "first", spec)
    send(first, uri)
    monkeypatch.setattr(METHODS["magnitude"], "version", 99)
    send(filled(tmp_path / "other", spec, day=2), uri)
    pulled = Ledger(pull(uri, "small", tmp_path / "pulled"))
    assert [*pulled.results()["trial_id"]] == [*first.results()["trial_id"]]
    assert caplog.messages[-1].startswith(
        "4 trials of another version or with other options left out, such as "
    )


def test_two_measurements_of_a_trial_are_named_and_the_later_one_counts(
    tmp_path: Path, spec: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    later = filled(tmp_path / "later", spec, day=2, missing=8)
    for row in later.rows():
        later.write(replace(row, seconds=1e6), [])  # it began first
    earlier = filled(tmp_path / "earlier", spec, day=1)
    for each in (later, earlier):
        assert send(each, uri) == len([*each.rows()])
        assert send(each, uri) == 0
    rows = {row.trial_id: row for row in Ledger(pull(uri, "small", tmp_path / "pulled")).rows()}
    ids = sorted(row.trial_id for row in later.rows())
    (warning,) = caplog.messages
    assert warning == f"2 trials measured with different results: {ids[0]}, {ids[1]}; the latest counts"
    for row in earlier.rows():
        expected = next((each for each in later.rows() if each.trial_id == row.trial_id), row)
        assert rows[row.trial_id] == expected


def test_a_later_failure_replaces_no_result(tmp_path: Path, spec: dict[str, Any]) -> None:
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    measured, failed = (
        filled(tmp_path / name, spec, day=day) for name, day in (("measured", 1), ("failed", 2))
    )
    for row in failed.rows():
        failed.write(replace(row, status=Status.FAILED, error="no", test_accuracy=None), [])
    for each in (measured, failed):
        send(each, uri)
    pulled = Ledger(pull(uri, "small", tmp_path / "pulled"))
    assert {row.trial_id: row for row in pulled.rows()} == {row.trial_id: row for row in measured.rows()}
    alone = f"sqlite:///{tmp_path / 'failed.db'}"
    send(failed, alone)
    pull(alone, "small", tmp_path / "pulled")
    assert {row.trial_id: row for row in pulled.rows()} == {row.trial_id: row for row in measured.rows()}


def test_two_machines_may_create_an_experiment_at_the_same_moment(
    tmp_path: Path, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    one = filled(tmp_path / "one", spec)
    from mlflow import MlflowClient

    create = MlflowClient.create_experiment

    def too_late(client: Any, name: str, *arguments: Any) -> str:
        create(client, name, *arguments)
        return create(client, name, *arguments)

    monkeypatch.setattr(MlflowClient, "create_experiment", too_late)
    assert send(one, uri) == 10
    assert experiments(uri) == {"small": 10}


def test_a_run_without_its_row_and_a_plan_that_is_lost_are_named(
    tmp_path: Path, spec: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    ledger = filled(tmp_path / "here", spec, missing=2)
    send(ledger)
    runs, rows = runs_of(ledger), [*ledger.rows()]
    client = _client(ledger)
    client.delete_tag(runs[rows[0].trial_id][0].info.run_id, "switchbench.row.0")
    client.set_tag(runs[rows[1].trial_id][0].info.run_id, "switchbench.row.0", '{"trial_id": 1}')
    for file in (tmp_path / "here" / "mlflow").rglob("*.*"):
        file.unlink()
    pulled = Ledger(pull(ledger.mlflow_uri, "small", tmp_path / "there"))
    plan, old = caplog.messages
    assert plan.startswith(
        "a plan cannot be read, so that trials that did not run are unknown: MLflow's run "
    )
    ids = sorted(row.trial_id for row in rows[:2])
    assert old.startswith("2 runs without a row of this version: ")
    assert sorted(old.split(": ")[1].split(";")[0].split(", ")) == ids
    assert [*pulled.rows()] == rows[2:]
    assert pulled.name() == "small"


def test_what_cannot_be_pulled_is_said_in_one_line(tmp_path: Path, spec: dict[str, Any]) -> None:
    ledger, name = filled(tmp_path / "here", spec), "a 'b'/ü%;"
    send(ledger)
    uri, out = str(ledger.mlflow_uri), tmp_path / "out"
    client = _client(ledger)
    client.rename_experiment(client.get_experiment_by_name("small").experiment_id, name)
    client.create_experiment("empty")
    client.delete_experiment(client.create_experiment("gone"))
    other = filled(tmp_path / "other", spec, name="other")
    (tmp_path / "file").write_text("")
    assert experiments(uri) == {name: 10}
    for _ in range(2):
        assert_same(ledger, Ledger(pull(uri, name, out)))
    for arguments, problem in (
        ((uri, "emptyy", out), f"--experiment 'emptyy': no such experiment at {uri}; did you mean 'empty'?"),
        ((uri, "empty", out), f"--experiment 'empty': holds no runs of switchbench at {uri}"),
        (
            (uri, "gone", out),
            "--experiment 'gone': is deleted; restore it with: mlflow experiments restore -x 3",
        ),
        (
            (uri, name, other.folder),
            f"output folder {other.folder}: holds another comparison, 'other' and not 'small'",
        ),
        (
            (uri, name, None),
            f"--out: is required, because --experiment {name!r} is no name",
        ),
        ((uri, name, tmp_path / "file"), f"output folder {tmp_path / 'file'}: Not a directory"),
        ((f"sqlite:///{tmp_path}/no.db", "x", out), f"--mlflow-uri sqlite:///{tmp_path}/no.db: no such file"),
        (("none", "x", out), "--mlflow-uri none: MLflow is turned off"),
    ):
        with pytest.raises(InputError) as caught:
            pull(*arguments)
        assert str(caught.value).startswith(problem)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["http://me:secret@{}", "postgresql://me:secret@{}/mlflow"])
def test_a_server_that_does_not_answer_is_named_soon(uri: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(InputError) as caught:
        pull(uri.format(place), "small", tmp_path / "out")
    assert str(caught.value).startswith(f"MLflow at {uri.format(place).replace('me:secret', '…')}: ")
    assert time.monotonic() - started < 15
    assert not (tmp_path / "out").exists()


def _client(ledger: Ledger) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(ledger.mlflow_uri)


# When MLflow misbehaves


def test_the_environment_says_where_mlflow_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}")
    with pytest.raises(InputError, match=f"^{tmp_path}: no database that MLflow can use"):
        tracking.sync(Ledger(tmp_path), [], mlflow_client.resolve(None))
    assert RunContext.create(None, None, [], None).mlflow_uri == f"sqlite:///{tmp_path}"
    assert RunContext.create(None, "none", [], None).mlflow_uri == "none"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert RunContext.create(None, None, [], None).mlflow_uri is None


def test_a_database_that_does_not_exist_yet_is_left_to_mlflow(
    tmp_path: Path, copied_mlflow_databases: Callable[..., None]
) -> None:
    for file in (tmp_path / "new.db", tmp_path / "new" / "folder" / "new.db"):
        copied_mlflow_databases(f"sqlite:///{file}")
        assert not file.exists()
    (tmp_path / "file").write_text("")
    file = tmp_path / "file" / "new.db"
    expected = f"{file}: cannot be made, because {tmp_path / 'file'} is no folder that can be written"
    with pytest.raises(InputError) as caught:
        mlflow_client.check_sqlite(f"sqlite:///{file}")
    assert str(caught.value) == expected


def test_a_locked_database_is_called_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_client, "LOCK_SECONDS", 0)
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE a (b)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError) as caught:
            mlflow_client.check_sqlite(f"sqlite:///{file}")
    problem = "another program has locked this database; try again when that has ended"
    assert str(caught.value) == f"{file}: {problem}"


def test_mlflow_prints_no_links_into_the_output() -> None:
    from mlflow.environment_variables import MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT

    assert os.environ[MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.name] == "true"


def test_a_published_search_is_sent_without_the_trials_of_its_points(tmp_path: Path) -> None:
    published = Path(__file__).parent.parent / "docs" / "results" / "search-switcher"
    shutil.copytree(published, tmp_path / "search", ignore=shutil.ignore_patterns("report"))
    rows = len(switchbench.results(tmp_path / "search"))
    assert switchbench.sync(tmp_path / "search") == rows > 0
    assert switchbench.sync(tmp_path / "search") == 0
