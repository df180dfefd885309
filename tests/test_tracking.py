"""The mirror when MLflow misbehaves."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from switchbench.cluster.context import RunContext
from switchbench.errors import InputError
from switchbench.observe import mlflow as tracking
from switchbench.observe.mlflow import Experiment, Mirror
from switchbench.row import Row, Status
from switchbench.store.ledger import Ledger


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

    def send_report(self) -> None:
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
    assert [path.name for path in tmp_path.iterdir()] == [ledger.folder.name]
    assert (ledger.folder / "mlflow.db").read_bytes().startswith(b"SQLite format 3")
    (run,) = client.search_runs([client.get_experiment_by_name(ledger.name()).experiment_id])  # type: ignore[union-attr]
    assert run.info.status == "FINISHED"
    assert run.data.tags["status"] == "ok"
    assert run.data.metrics["test_accuracy"] == 0.5
    assert run.data.params == {"extra": "1"}


def test_the_environment_says_where_mlflow_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}")
    with pytest.raises(InputError, match=f"^{tmp_path}: no database that MLflow can use"):
        tracking.sync(Ledger(tmp_path), [], tracking.resolve(None))
    assert RunContext.create(None, None, [], None).mlflow_uri == f"sqlite:///{tmp_path}"
    assert RunContext.create(None, "none", [], None).mlflow_uri == "none"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert RunContext.create(None, None, [], None).mlflow_uri is None


def test_a_database_that_does_not_exist_yet_is_left_to_mlflow(tmp_path: Path) -> None:
    for file in (tmp_path / "new.db", tmp_path / "new" / "folder" / "new.db"):
        tracking._check_sqlite(f"sqlite:///{file}")
        assert not file.exists()
    (tmp_path / "file").write_text("")
    file = tmp_path / "file" / "new.db"
    expected = f"{file}: cannot be made, because {tmp_path / 'file'} is no folder that can be written"
    with pytest.raises(InputError) as caught:
        tracking._check_sqlite(f"sqlite:///{file}")
    assert str(caught.value) == expected


def test_a_locked_database_is_called_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "LOCK_SECONDS", 0, raising=False)
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE a (b)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError) as caught:
            tracking._check_sqlite(f"sqlite:///{file}")
    problem = "another program has locked this database; try again when that has ended"
    assert str(caught.value) == f"{file}: {problem}"


def test_mlflow_prints_no_links_into_the_output() -> None:
    from mlflow.environment_variables import MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT

    assert os.environ[MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.name] == "true"
