"""Files that are not what was written: made again, or counted as missing with a warning, or named in one line."""

import errno
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

import switchbench
from switchbench.cluster import environment
from switchbench.cluster.worker import Job, execute
from switchbench.compare.report import report, report_search
from switchbench.compare.sync import sync
from switchbench.errors import InputError
from switchbench.observe.mlflow import Mirror
from switchbench.row import PointRow, PointState, Status
from switchbench.spec.comparison import Resources
from switchbench.store import tensors
from switchbench.store.ledger import Ledger
from switchbench.store.seal import SEAL
from switchbench.store.search import SearchLedger
from switchbench.store.tensors import NetworkStore
from switchbench.trained.load import load_finished
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.control import Control, Stopped, after
from switchbench.trial.run import run_trial

RANDOM = bytes(range(256)) * 8


def replace_by(kind: str, file: Path) -> None:
    """Replace a file by something else of that kind."""
    file.unlink(missing_ok=True)
    if kind == "a folder":
        file.mkdir()
    elif kind == "another table":
        pd.DataFrame({"label": [1.5], "x": ["y"]}).to_parquet(file)
    else:
        file.write_bytes({"random bytes": RANDOM, "text": b"x\n" * 100, "nothing": b""}[kind])


KINDS = pytest.mark.parametrize("kind", ["random bytes", "text", "nothing", "another table", "a folder"])


def line_of(call: Callable[[], Any]) -> str:
    """The one line of an InputError."""
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, module_without_ray: None) -> Path:
    """A finished comparison with its networks."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    spec = {
        "name": "small", "networks": ["mlp"], "datasets": ["digits"], "methods": ["dense", "random"],
        "densities": [0.2], "seeds": 1, "training": {"steps": 5}, "keep_networks": True,
    }  # fmt: skip
    switchbench.run(spec, folder, mlflow_uri="none")
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Ledger:
    import shutil

    shutil.copytree(whole, tmp_path / "out")
    return Ledger(tmp_path / "out")


def points_of(folder: Path) -> SearchLedger:
    ledger = SearchLedger(Ledger(folder))
    ledger.folder.mkdir(parents=True)
    point = PointRow(
        label="a", number=0, state=PointState.COMPLETE, objectives='["val_accuracy"]', values="[0.5]",
        params="{}", distributions="{}",
    )  # fmt: skip
    ledger.write_points([point])
    return ledger


# Tables


@KINDS
def test_a_plan_that_is_none_is_named(copy: Any, kind: str) -> None:
    file = copy.folder / "plan.parquet"
    replace_by(kind, file)
    assert line_of(lambda: report(copy.folder)).startswith(f"{file}: ")


@KINDS
def test_a_plan_that_is_none_is_written_again(copy: Any, kind: str, without_ray: None) -> None:
    file = copy.folder / "plan.parquet"
    before = {path: path.stat().st_mtime_ns for path in (copy.folder / "trials").iterdir()}
    replace_by(kind, file)
    if kind == "a folder":
        line = line_of(lambda: switchbench.run(copy.folder / "spec.yaml", copy.folder, mlflow_uri="none"))
        assert line == f"output folder {copy.folder}: Is a directory: plan.parquet"
    else:
        results = switchbench.run(copy.folder / "spec.yaml", copy.folder, mlflow_uri="none")
        assert (results["status"] == "ok").all()
    assert {path: path.stat().st_mtime_ns for path in (copy.folder / "trials").iterdir()} == before


@KINDS
def test_points_that_are_none_are_named(tmp_path: Path, kind: str) -> None:
    file = Path(str(points_of(tmp_path).folder), "points.parquet")
    replace_by(kind, file)
    assert line_of(lambda: report_search(tmp_path)).startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("state", "odd", "state 'odd' should be one of complete, pruned, fail, running"),
        ("params", "[1]", "params '[1]' is not what it should be"),
        ("values", "{", "values '{' is no JSON"),
        ("number", None, "number None should be int"),
    ],
)
def test_points_with_other_values_are_named(tmp_path: Path, column: str, value: Any, problem: str) -> None:
    ledger = points_of(tmp_path)
    points = ledger.points()
    assert points is not None
    points.assign(**{column: [value]}).to_parquet(str(ledger.folder / "points.parquet"))
    expected = f"{ledger.folder / 'points.parquet'}: not a table of this version of switchbench: {problem}"
    assert line_of(lambda: report_search(tmp_path)) == expected


@KINDS
def test_a_published_table_that_is_none_is_named(tmp_path: Path, kind: str) -> None:
    replace_by(kind, tmp_path / "results.parquet")
    assert line_of(lambda: report(tmp_path)).startswith(f"{tmp_path / 'results.parquet'}: ")


def test_no_changed_bit_of_a_row_changes_a_value(copy: Any, caplog: pytest.LogCaptureFixture) -> None:
    """In the data, in the names of columns, anywhere: beyond the checksums of pages, which cover data alone."""
    (file, *_) = (copy.folder / "trials").iterdir()
    content, row = file.read_bytes(), copy.row(file.stem)
    missing = 0
    for position in range(0, len(content), 41):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        file.write_bytes(changed)
        found = copy.row(file.stem)
        assert found in (row, None)
        missing += found is None
    assert missing > len(content) / 41 - 3
    assert f"{file}: not a readable Parquet file (its bytes have changed since it was written)" in caplog.text


def test_a_changed_seal_hides_no_changed_value(copy: Any, caplog: pytest.LogCaptureFixture) -> None:
    (file, *_) = (copy.folder / "trials").iterdir()
    content = file.read_bytes()
    assert content.count(SEAL) == 1
    file.write_bytes(content.replace(SEAL, SEAL[::-1]).replace(b"digits", b"fidget"))
    assert copy.row(file.stem) is None
    assert "its bytes have changed since it was written" in caplog.text


def test_text_that_is_none_in_a_file_without_a_digest(copy: Any) -> None:
    file = copy.folder / "plan.parquet"
    pd.read_parquet(file).to_parquet(file, compression=None)
    file.write_bytes(file.read_bytes().replace(b"digits", b"dig\xb0ts"))
    assert line_of(lambda: report(copy.folder)).startswith(f"{file}: not a readable Parquet file (")


def test_other_tools_read_a_row(copy: Any) -> None:
    (file, *_) = (copy.folder / "trials").iterdir()
    (row,) = pd.read_parquet(file).to_dict("records")
    assert row["test_accuracy"] == copy.row(file.stem).test_accuracy


# The spec


@pytest.mark.parametrize("kind", ["random bytes", "text", "nothing", "a folder"])
def test_a_spec_that_is_none_is_named(copy: Any, kind: str) -> None:
    replace_by(kind, copy.folder / "spec.yaml")
    assert line_of(lambda: report(copy.folder)).startswith(f"{copy.folder / 'spec.yaml'}: ")


def test_a_spec_that_is_a_folder_is_named_by_a_run(copy: Any, spec: Any, without_ray: None) -> None:
    replace_by("a folder", copy.folder / "spec.yaml")
    line = line_of(lambda: switchbench.run(spec, copy.folder, mlflow_uri="none"))
    assert line == f"output folder {copy.folder}: Is a directory: spec.yaml"


# A search's journal

JOURNALS = {
    "random bytes": lambda lines: RANDOM,
    "bytes of no line": lambda lines: b"\x80" * 100,
    "a line in the middle": lambda lines: b"\n".join([lines[0], b"x", *lines[1:]]),
    "a line of something else": lambda lines: b"\n".join([lines[0], b"[1]", *lines[1:]]),
    "a value of another type": lambda lines: b"\n".join(
        [*lines[:-1], b'{"op_code": 4, "trial_id": "x"}', b""]
    ),
}


@pytest.mark.parametrize("kind", [*JOURNALS, "a folder"])
def test_a_journal_that_is_none_is_named_and_stays(tmp_path: Path, spec: Any, kind: str) -> None:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    file = tmp_path / "out" / "search" / "study.journal"
    file.parent.mkdir(parents=True)
    study = optuna.create_study(storage=optuna.storages.JournalStorage(JournalFileBackend(str(file))))
    study.add_trial(optuna.create_trial(value=0.5))
    lines, content = file.read_bytes().split(b"\n"), b""
    if kind == "a folder":
        replace_by(kind, file)
    else:
        content = JOURNALS[kind](lines)
        file.write_bytes(content)
    spec |= {"methods": ["magnitude"], "densities": [0.1], "search": {"points": 2}, "seeds": 1}
    line = line_of(lambda: switchbench.search(spec, tmp_path / "out", mlflow_uri="none"))
    assert line.startswith(f"{file}: not a journal of Optuna, or broken (")
    assert line.endswith("the search then draws its points anew, and stored trials are not trained again")
    assert file.is_dir() or file.read_bytes() == content


def test_a_journal_that_cannot_be_opened_is_not_called_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from switchbench.tuning.storage import StudyStorage

    file = tmp_path / "gone" / "study.journal"
    storage = StudyStorage(str(file), None)
    assert line_of(storage.open) == f"{file}: cannot be opened: No such file or directory"

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("optuna.storages.journal.JournalFileBackend", full)
    assert line_of(storage.open) == f"{file}: cannot be opened: No space left on device"


# Networks


class Code:
    """What a file of tensors must not hold."""

    def __reduce__(self) -> Any:
        return (print, ("run",))


NETWORKS: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "other shapes": lambda state: {name: tensor[:1] for name, tensor in state.items()},
    "other names": lambda state: {f"x{name}": tensor for name, tensor in state.items()},
    "other dtypes": lambda state: {name: tensor.double() for name, tensor in state.items()},
    "fewer layers": lambda state: dict([*state.items()][:-1]),
    "another trial's": lambda state: {"trial_id": "other", "state": state},
    "a list": lambda state: [1, 2],
    "numbers": lambda state: dict.fromkeys(state, 0.5),
    "code": lambda state: Code(),
    "a bare tensor": lambda state: torch.zeros(3),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_kept_network_that_is_none_is_named_and_made_again(
    copy: Any, kind: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    trial_id = next(row.trial_id for row in copy.rows() if row.method == "random")
    file = copy.folder / "networks" / f"{trial_id}.pt"
    before = torch.load(file)["state"]
    torch.save(NETWORKS[kind](before), file)
    said: list[str] = []
    finished = load_finished(str(copy.folder / trial_id), said.append)
    assert said == [f"{trial_id}: the network cannot be used, so it is trained again"]
    after = finished.network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    (warning,) = caplog.messages
    assert warning.startswith(str(file))
    assert warning.endswith("it counts as missing")
    assert "weights_only" not in warning
    assert "trust" not in warning
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("kind", ["other shapes", "a list"])
def test_a_start_that_is_none_is_made_again(
    make_config: Any, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config("random", 0.1, start={"steps": 5}, training={"steps": 5})
    start_id, networks = config.start_trial.trial_id, NetworkStore(tmp_path)
    expected = run_trial(config, networks=networks)
    file = tmp_path / f"{start_id}.pt"
    good = torch.load(file)["state"]
    torch.save(NETWORKS[kind](good), file)
    assert run_trial(config, networks=networks).row.test_loss == expected.row.test_loss
    assert str(file) in caplog.text
    found = networks.load(start_id, good)
    assert found is not None
    assert all(torch.equal(found[name], good[name]) for name in good)


def test_no_changed_bit_of_a_network_changes_a_value(tmp_path: Path) -> None:
    state, file = {"a": torch.randn(7, 3), "b": torch.arange(5)}, tmp_path / "t.pt"
    networks = NetworkStore(tmp_path)
    networks.save("t", state)
    content = file.read_bytes()
    for position in range(0, len(content), 23):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        file.write_bytes(changed)
        found = networks.load("t", state)
        assert found is None or all(torch.equal(found[name], state[name]) for name in state)


# Checkpoints


def _without_state(stored: Any) -> Any:
    del stored["state"]
    return stored


def _other_shape(stored: Any) -> Any:
    network = stored["state"]["network"]
    stored["state"]["network"] = {name: tensor[:1] for name, tensor in network.items()}
    return stored


def _other_parameter(stored: Any) -> Any:
    stored["state"]["method"] = {name: torch.ones(1) for name in stored["state"]["method"]}
    return stored


def _half_state(stored: Any) -> Any:
    del stored["state"]["random"]  # which is restored last
    return stored


def _with_averages(change: Callable[[Tensor], Any]) -> Callable[[Any], Any]:
    def changed(stored: Any) -> Any:
        for state in stored["state"]["optimisers"][0]:
            state["exp_avg"] = change(state["exp_avg"])
        return stored

    return changed


def _without_count(stored: Any) -> Any:
    for state in stored["state"]["optimisers"][0]:
        del state["step"]
    return stored


def _fewer_parameters(stored: Any) -> Any:
    stored["state"]["optimisers"][0].pop()
    return stored


CHECKPOINTS: dict[str, Callable[[Any], Any]] = {
    "no state": _without_state,
    "other shapes": _other_shape,
    "another method's": _other_parameter,
    "half a state": _half_state,
    "other shapes of an optimiser": _with_averages(lambda average: average[:1]),
    "no numbers of an optimiser's": _with_averages(lambda average: [1.0]),
    "an optimiser without its count": _without_count,
    "fewer optimised parameters": _fewer_parameters,
    "a state of text": lambda stored: stored | {"state": "x"},
    "a list": lambda stored: [1],
    "another trial's": lambda stored: stored | {"stamp": stored["stamp"].replace("trial ", "trial x")},
}


@pytest.mark.parametrize("method", ["switcher-free-gates", "magnitude"])
@pytest.mark.parametrize("kind", [*CHECKPOINTS, "a folder", "random bytes"])
def test_a_checkpoint_that_is_none_costs_the_start_of_a_trial(
    tmp_path: Path, make_config: Any, kind: str, method: str
) -> None:
    config = make_config(method, 0.3, training={"epochs": 2, "batch_size": 512})
    ledger: Any
    ledger, whole = Ledger(tmp_path), run_trial(config)
    for name in ("trials", "curves", "running", "logs"):
        (tmp_path / name).mkdir()
    path = ledger.checkpoint(config.trial_id)
    cut = Checkpoint(path, f"trial {config.trial_id}, {environment.stamp('cpu', 1)}")
    with suppress(Stopped):
        run_trial(config, control=Control(checkpoint=cut, stop=after(3)))
    if kind in CHECKPOINTS:
        tensors.save(path, CHECKPOINTS[kind](torch.load(path)))
    else:
        replace_by(kind, path)
    row = execute(config, Job(tmp_path, tmp_path, Resources(), "run"))
    assert (row.status, row.error) == (Status.OK, None)
    assert (row.test_loss, row.steps) == (whole.row.test_loss, whole.row.steps)
    assert ledger.curves(config.trial_id) == whole.curves
    assert not path.is_file()


# MLflow


@pytest.mark.parametrize("kind", ["a folder", "text", "random bytes"])
def test_a_database_of_mlflow_that_is_none_is_named_at_once(copy: Any, kind: str) -> None:
    file, started = copy.folder / "mlflow.db", time.monotonic()
    replace_by(kind, file)
    reason = "unable to open database file" if kind == "a folder" else "file is not a database"
    expected = f"{file}: no database that MLflow can use ({reason})"
    assert line_of(lambda: sync(copy.folder)) == expected
    mirror = Mirror(copy, None)  # as a run does, which goes on
    mirror.start()
    mirror.close()
    assert mirror.problem == expected[:200]
    assert time.monotonic() - started < 15


# Curves


@KINDS
def test_curves_that_are_none_are_named_and_left_out(
    copy: Any, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    trial_id = next(copy.rows()).trial_id
    assert copy.curves(trial_id)
    file = copy.folder / "curves" / f"{trial_id}.parquet"
    replace_by(kind, file)
    with caplog.at_level(logging.WARNING):
        assert copy.curves(trial_id) == []
    assert f"{file}: " in caplog.text
    assert "it counts as missing" in caplog.text
