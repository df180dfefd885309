"""A row exists whole or not at all, and the ledger knows what it holds."""

import errno
import os
import re
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from switchbench.compare.report import report
from switchbench.errors import InputError, RunStopped
from switchbench.row import PlannedTrial, Row, Status, columns
from switchbench.spec import file as specs
from switchbench.spec.comparison import Spec
from switchbench.spec.trial import TrialConfig
from switchbench.store import parquet
from switchbench.store.ledger import Ledger


def row_of(config: TrialConfig, status: Status, **measured: Any) -> Row:
    return Row(**asdict(config.planned), status=status, **measured)


@pytest.fixture
def filled(tmp_path: Path, spec: dict[str, Any]) -> tuple[Ledger, list[Any]]:
    ledger, resolved = Ledger(tmp_path / "out"), specs.parse(spec)
    plan = resolved.trials()
    ledger.create(resolved, plan)
    for status, config in zip(
        (Status.OK, Status.FAILED, Status.DIVERGED, Status.SKIPPED), plan, strict=False
    ):
        ledger.write(row_of(config, status, test_accuracy=0.5), [{"epoch": 0, "loss": 1.5}])
    return ledger, plan


def test_rows_come_back_as_written(filled: tuple[Ledger, list[Any]]) -> None:
    ledger, plan = filled
    row = ledger.row(plan[0].trial_id)
    assert row is not None
    assert row == row_of(plan[0], Status.OK, test_accuracy=0.5)
    assert row.status is Status.OK
    assert row.macs is None
    assert ledger.curves(plan[0].trial_id) == [{"epoch": 0, "loss": 1.5}]
    assert ledger.row("unknown") is None
    assert ledger.curves("unknown") == []


def test_failures_are_never_done(filled: tuple[Ledger, list[Any]]) -> None:
    ledger, plan = filled
    ids = [config.trial_id for config in plan[:5]]
    statuses = ledger.statuses(ids)
    assert [statuses[trial_id].settled() for trial_id in ids[:4]] == [True, False, True, True]
    assert ids[4] not in statuses


def test_a_status_is_read_from_the_label_alone(
    filled: tuple[Ledger, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, plan = filled
    ids = [config.trial_id for config in plan]
    expected = dict(zip(ids, [Status.OK, Status.FAILED, Status.DIVERGED, Status.SKIPPED], strict=False))
    for problem in ("read_if_sound", "read"):
        monkeypatch.setattr(parquet, problem, lambda *_, **__: pytest.fail("a table was read"))
    assert ledger.statuses(ids) == expected


def test_a_label_is_not_believed_where_it_is_of_another_trial_or_changed(
    filled: tuple[Ledger, list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    ledger, plan = filled
    first, second = (ledger.folder / "trials" / f"{config.trial_id}.parquet" for config in plan[:2])
    assert parquet.label_if_sound(first) == f"{plan[0].trial_id} ok"
    second.write_bytes(first.read_bytes())
    assert ledger.statuses([plan[1].trial_id]) == {}
    assert f"should hold one row, of trial {plan[1].trial_id}" in caplog.text
    first.write_bytes(first.read_bytes().replace(b" ok", b" no"))
    assert ledger.statuses([plan[0].trial_id]) == {}
    assert "its bytes have changed since it was written" in caplog.text


def test_files_of_older_versions_have_no_label(filled: tuple[Ledger, list[Any]]) -> None:
    ledger, plan = filled
    path = ledger.folder / "trials" / f"{plan[0].trial_id}.parquet"
    parquet.write(path, [row_of(plan[0], Status.DIVERGED)], Row)
    assert parquet.label_if_sound(path) == ""
    assert ledger.statuses([plan[0].trial_id]) == {plan[0].trial_id: Status.DIVERGED}


def test_results_are_the_plan_with_what_is_missing(filled: tuple[Ledger, list[Any]]) -> None:
    ledger, plan = filled
    results = ledger.results()
    assert results["trial_id"].tolist() == [config.trial_id for config in plan]
    assert results["status"].tolist() == ["ok", "failed", "diverged", "skipped"] + ["missing"] * (
        len(plan) - 4
    )


def test_trials_of_an_earlier_plan_stay_out_of_the_results(
    filled: tuple[Ledger, list[Any]], spec: dict[str, Any]
) -> None:
    ledger, plan = filled
    smaller = specs.parse(spec | {"methods": ["dense"]})
    ledger.create(smaller, smaller.trials())
    assert len(ledger.results()) == 2
    assert ledger.row(plan[1].trial_id) is not None


def test_the_spec_is_stored_resolved(filled: tuple[Ledger, list[Any]], spec: dict[str, Any]) -> None:
    ledger, _ = filled
    stored = specs.load(Path(str(ledger.folder), "spec.yaml"))
    assert stored == specs.parse(spec)
    assert "updates: 100" in Path(str(ledger.folder), "spec.yaml").read_text()
    assert ledger.name() == "small"


def test_a_row_is_never_half_there(filled: tuple[Ledger, list[Any]]) -> None:
    """Readers see no row or a whole one while writers rewrite it all the time."""
    ledger, plan = filled
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            ledger.write(row_of(plan[0], Status.OK, versions="x" * 100_000), [])

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(200):
            row = ledger.row(plan[0].trial_id)
            assert row is not None
            assert row.versions in (None, "x" * 100_000)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert not list(Path(str(ledger.folder)).rglob("*.part"))


def test_a_failed_write_leaves_nothing(filled: tuple[Ledger, list[Any]], monkeypatch: Any) -> None:
    ledger, plan = filled

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        ledger.write(row_of(plan[5], Status.OK), [])
    assert ledger.row(plan[5].trial_id) is None
    assert not list(Path(str(ledger.folder)).rglob("*.part"))


def test_a_node_without_the_folder_loses_no_row_in_silence(
    filled: tuple[Ledger, list[Any]], tmp_path: Path
) -> None:
    _, plan = filled
    elsewhere = Ledger(tmp_path / "not mounted")
    with pytest.raises(FileNotFoundError):
        elsewhere.write(row_of(plan[0], Status.OK), [{"epoch": 0, "loss": 1.5}])
    assert not elsewhere.folder.exists()


def test_a_broken_file_is_a_trial_to_run(filled: tuple[Ledger, list[Any]]) -> None:
    ledger, plan = filled
    (ledger.folder / "trials" / f"{plan[0].trial_id}.parquet").write_bytes(b"PAR1")
    assert not ledger.statuses([plan[0].trial_id])
    assert ledger.results()["status"].iloc[0] == "missing"


def test_a_folder_without_a_comparison(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no comparison"):
        Ledger(tmp_path).results()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("plan.parquet", b"PAR1 and no more", "plan.parquet: not a readable Parquet file ("),
        ("spec.yaml", b"seeds: [0", "spec.yaml: not YAML: "),
        ("spec.yaml", b"\xff\xfe", "spec.yaml: not YAML: not a text file"),
        ("spec.yaml", b"- a", "spec.yaml: not a spec: expected keys and values, found list"),
        ("spec.yaml", b"seeds: [0]", "spec.yaml: not a spec"),
    ],
)
def test_a_broken_folder_is_said_in_one_line(
    name: str, content: bytes, said: str, filled: tuple[Ledger, list[Any]]
) -> None:
    ledger, _ = filled
    (ledger.folder / name).write_bytes(content)
    with pytest.raises(InputError, match=re.escape(said)) as error:
        report(ledger.folder)
    assert "\n" not in str(error.value)


def test_a_broken_published_table_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "results.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"results\.parquet: not a readable Parquet file \("):
        report(tmp_path)


def test_the_columns_of_the_plan_are_the_first_of_a_row() -> None:
    planned, stored = parquet.schema(PlannedTrial), parquet.schema(Row)
    assert stored.names[: len(planned.names)] == planned.names
    assert stored.names == columns()
    assert {str(stored.field(name).type) for name in ("macs", "density", "status")} == {
        "int64",
        "double",
        "string",
    }


def test_rows_of_other_versions_are_read(filled: tuple[Ledger, list[Any]]) -> None:
    ledger, plan = filled
    older = {
        "trial_id": plan[0].trial_id,
        "label": "a",
        "method": "a",
        "network": "n",
        "dataset": "d",
        "scope": "fc",
        "seed": 0,
        "status": "ok",
        "dropped": 1.0,
    }
    parquet.write(ledger.folder / "trials" / f"{plan[0].trial_id}.parquet", [older])
    row = ledger.row(plan[0].trial_id)
    assert row is not None
    assert (row.status, row.macs_shrunk) == (Status.OK, None)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"status": "lost"}, "status 'lost' should be one of ok, validated"),
        ({"status": None}, "status None should be one of ok, validated"),
        ({"label": ...}, "columns are missing: label"),
    ],
)
def test_rows_that_this_version_does_not_know_are_named_and_count_as_missing(
    filled: tuple[Ledger, list[Any]], stored: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    ledger, plan = filled
    path = ledger.folder / "trials" / f"{plan[0].trial_id}.parquet"
    (row,) = parquet.read(path)
    parquet.write(path, [{name: value for name, value in {**row, **stored}.items() if value is not ...}])
    with caplog.at_level("WARNING"):
        assert ledger.row(plan[0].trial_id) is None
    assert re.search(f"{plan[0].trial_id}.parquet: .*{message}.*it counts as missing", caplog.text)


def test_pairs_are_what_entries_say(tmp_path: Path, spec: dict[str, Any]) -> None:
    mine, other = (
        {"method": "magnitude", "label": label, "end": end}
        for label, end in (("mine tuned", 0.6), ("other", 0.5))
    )

    def compared(against: str) -> Spec:
        return specs.parse(spec | {"methods": ["random", mine, other | {"against": against}]})

    ledger, resolved = Ledger(tmp_path), compared("mine tuned")
    ledger.create(resolved, resolved.trials())
    assert ledger.pairs() == [("other", "mine tuned")]
    ids = [trial.trial_id for trial in resolved.trials()]
    assert ids == [trial.trial_id for trial in compared("random").trials()]  # it decides no result
    with pytest.raises(InputError, match="'other': against: unknown label 'mine'; did you mean 'mine tuned'"):
        compared("mine")
    with pytest.raises(InputError, match="'other': against: should be the label of another method"):
        compared("other")
    two = [{"method": "dst", "against": "str"}, "str"]
    with pytest.raises(InputError, match="'dst': against: 'str' and 'dst' both learn their density"):
        specs.parse(spec | {"methods": two})


def test_gathered_trials_are_found_at_every_moment(filled: tuple[Ledger, list[Any]]) -> None:
    """Readers with a ledger of their own see every trial while their files are gathered again and again."""
    ledger, plan = filled
    before, ids = ledger.results(), [config.trial_id for config in plan]
    done = ledger.statuses(ids)
    rows = [row for trial_id in ids if (row := ledger.row(trial_id))]
    stop, seen = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            seen.append((Ledger(ledger.folder).statuses(ids), ledger.row(rows[0].trial_id)))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(5):
            assert ledger.compact() == len(rows)
            assert not list((ledger.folder / "trials").iterdir())
            for row in rows:
                ledger.write(row, [{"epoch": 0, "loss": 1.5}])
    finally:
        stop.set()
        reader.join()
    assert len(seen) > 3
    assert all(found == (done, rows[0]) for found in seen)
    ledger.compact()
    assert ledger.compact() == 0
    assert ledger.results().equals(before)
    assert ledger.curves(rows[0].trial_id) == [{"epoch": 0, "loss": 1.5}]
    assert ledger.row("unknown") is None


def test_gathering_keeps_what_was_gathered_and_leaves_what_is_broken(
    filled: tuple[Ledger, list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    ledger, plan = filled
    ledger.compact()
    broken = ledger.folder / "trials" / f"{plan[6].trial_id}.parquet"
    broken.write_bytes(b"PAR1")
    newer = row_of(plan[1], Status.OK, test_accuracy=0.25)
    ledger.write(newer, [{"epoch": 0, "loss": 0.5, "other": 2.0}])
    assert ledger.row(plan[1].trial_id) == newer
    assert ledger.compact() == 1
    assert broken.exists()
    assert str(broken) in caplog.text
    assert ledger.row(plan[1].trial_id) == newer
    assert ledger.curves(plan[1].trial_id) == [{"epoch": 0, "loss": 0.5, "other": 2.0}]
    assert ledger.curves(plan[0].trial_id) == [{"epoch": 0, "loss": 1.5}]
    assert ledger.results()["status"].tolist()[:7] == [
        "ok", "ok", "diverged", "skipped", "missing", "missing", "missing",
    ]  # fmt: skip


def test_a_row_that_a_published_table_repeats_counts_once(filled: tuple[Ledger, list[Any]]) -> None:
    ledger, plan = filled
    ledger.compact()
    file = ledger.folder / "results.parquet"
    twice: pd.DataFrame = pd.concat(2 * [pd.read_parquet(str(file))])
    parquet.write_table(file, twice, Row)
    assert ledger.results()["trial_id"].tolist() == [config.trial_id for config in plan]


def test_curves_of_different_columns_are_gathered_whole(filled: tuple[Ledger, list[Any]]) -> None:
    ledger, plan = filled
    points: list[list[dict[str, float]]] = [[{"step": 1, "loss": 2.0}], [{"step": 1, "added": 3.0}]]
    for config, curves in zip(plan, points, strict=False):
        ledger.write(row_of(config, Status.OK), curves)
    ledger.compact()
    assert [ledger.curves(config.trial_id) for config in plan[:2]] == points


def test_curves_of_several_trials_come_as_one_table(filled: tuple[Ledger, list[Any]]) -> None:
    ledger, plan = filled
    ids = [config.trial_id for config in plan[:2]]
    ledger.write(row_of(plan[0], Status.OK), [{"step": 1.0, "loss": 1.5}])
    ledger.compact()
    ledger.write(row_of(plan[1], Status.OK), [{"step": 1.0, "loss": 0.5}, {"step": 2.0, "loss": 0.25}])
    table = ledger.curve_table([*ids, "unknown"]).sort_values("loss")
    assert table["trial_id"].tolist() == [ids[1], ids[1], ids[0]]
    assert table["loss"].tolist() == [0.25, 0.5, 1.5]
    assert ledger.curve_table(["unknown"]).empty


def test_a_gathered_file_that_is_broken_is_named_and_nothing_runs_again(
    filled: tuple[Ledger, list[Any]],
) -> None:
    ledger, plan = filled
    ledger.compact()
    file = Path(str(ledger.folder), "results.parquet")
    content = file.read_bytes()
    file.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    for read in (
        ledger.results,
        lambda: ledger.statuses([plan[0].trial_id]),
        lambda: ledger.row(plan[0].trial_id),
    ):
        with pytest.raises(InputError, match=f"^{file}: not a readable Parquet file"):
            read()


def test_half_written_files_of_killed_processes_go(
    filled: tuple[Ledger, list[Any]], spec: dict[str, Any]
) -> None:
    ledger, plan = filled
    old, young = (Path(str(ledger.folder), "trials", f".{name}.parquet1.part") for name in ("old", "young"))
    for file in (old, young):
        file.write_text("x")
    os.utime(old, (0, 0))
    ledger.create(specs.parse(spec), plan)
    assert young.exists()
    assert not old.exists()


def test_a_full_disk_is_no_bad_input(filled: tuple[Ledger, list[Any]]) -> None:
    ledger, _ = filled
    for number, kind in ((errno.ENOSPC, RunStopped), (errno.EDQUOT, RunStopped), (errno.EACCES, InputError)):
        assert isinstance(ledger.unwritable(OSError(number, os.strerror(number))), kind)


def test_a_full_disk_stops_gathering_as_it_stops_a_run(
    filled: tuple[Ledger, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(parquet, "gather", full)
    with pytest.raises(RunStopped, match="No space left"):
        filled[0].compact()


@pytest.mark.parametrize("own_folder", [True, False])
def test_a_full_disk_stops_a_report_as_it_stops_a_run(
    filled: tuple[Ledger, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_folder: bool
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("switchbench.reports.write", full)
    out = None if own_folder else tmp_path / "report"
    with pytest.raises(RunStopped, match=f"cannot write to {out or filled[0].folder}: No space left"):
        report(filled[0].folder, out=out)


def test_nothing_is_gathered_while_a_run_goes_on(filled: tuple[Ledger, list[Any]]) -> None:
    ledger, _ = filled
    with ledger.only_driver(), pytest.raises(InputError, match="another run is going on there"):
        ledger.compact()
