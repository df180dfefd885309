"""Dense starts: trained once for all methods of a seed, and kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import switchbench
from switchbench.cluster import worker
from switchbench.cluster.worker import Job, execute, record_lost
from switchbench.methods import Magnitude
from switchbench.row import Status
from switchbench.spec import file as specfile
from switchbench.spec.comparison import Resources
from switchbench.store.ledger import Ledger
from switchbench.store.tensors import NetworkStore
from switchbench.trial.loop import Training
from switchbench.trial.outcomes import Diverged
from switchbench.trial.run import run_trial

START = {"steps": 40, "batch_size": 64}


def test_a_start_is_known_without_method_density_and_scope(make_config: Any) -> None:
    one = make_config("magnitude", 0.1, start=START)
    others = [make_config("random", 0.2, start=START), make_config("dense", start=START, scope="all")]
    assert one.start_trial.method.name == "dense"
    assert {other.start_trial.trial_id for other in others} == {one.start_trial.trial_id}
    for change in ({"seed": 1}, {"start": START | {"lr": 0.01}}, {"validation": 0.2}):
        assert (
            make_config("magnitude", **({"start": START} | change)).start_trial.trial_id
            != one.start_trial.trial_id
        )
    assert make_config("magnitude", 0.1).start_trial is None
    assert make_config("magnitude", 0.1).trial_id != one.trial_id


def test_a_method_starts_from_the_trained_network_kept_or_not(
    make_config: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    seen: list[torch.Tensor] = []
    attach = Magnitude.attach

    def note(self: Any, *arguments: Any) -> None:
        attach(self, *arguments)
        seen.append(self.weights["1"].detach().clone())

    monkeypatch.setattr(Magnitude, "attach", note)
    config, networks = make_config("magnitude", 0.1, start=START), NetworkStore(tmp_path / "networks")
    alone = run_trial(config)
    trained = run_trial(config.start_trial).network.state_dict()
    networks.save(config.start_trial.trial_id, trained)
    kept = run_trial(config, networks=networks)
    assert torch.equal(seen[0], trained["1.weight"])
    assert torch.equal(seen[1], trained["1.weight"])
    assert alone.row["test_loss"] == kept.row["test_loss"]


def test_a_comparison_trains_each_start_once_and_first(
    spec: Any, tmp_path: Path, monkeypatch: Any, without_ray: None
) -> None:
    spec |= {"start": START, "methods": ["dense", "magnitude"]}
    out = tmp_path / "out"
    results = switchbench.run(spec, out, mlflow_uri="none")
    assert (results["status"] == "ok").all()
    assert results["start"].nunique() == 2
    rows = [Ledger(out).row(trial_id) for trial_id in results["start"].unique()]
    assert all(row and row["method"] == "dense" for row in rows)
    assert max(row["finished"] for row in rows if row) <= results["finished"].min()
    assert len(list((out / "networks").iterdir())) == 2
    config = specfile.parse(spec).trials()[1]
    calls: list[int] = []
    monkeypatch.setattr(Training, "run", _count(Training.run, calls))
    again = run_trial(config, networks=Ledger(out).networks)
    assert len(calls) == 1
    assert again.row["test_loss"] == Ledger(out).row(config.trial_id)["test_loss"]  # type: ignore[index]
    assert switchbench.plan(spec, out).starts == []


def test_calibration_runs_and_trials_start_from_dense_networks(
    spec: Any, tmp_path: Path, without_ray: None
) -> None:
    spec |= {"start": START, "methods": ["str"], "densities": [0.3], "match_density": True, "seeds": 1}
    out = tmp_path / "out"
    results = switchbench.run(spec, out, mlflow_uri="none")
    assert [*results["status"]] == ["ok"]
    assert results["density"].item() == pytest.approx(0.3, rel=0.1)
    trainings = list((out / "calibration" / "networks").iterdir())
    assert len(trainings) == 1  # the dense start of the calibration's seed


def test_a_worker_takes_the_kept_start(make_config: Any, tmp_path: Path, monkeypatch: Any) -> None:
    config = make_config("magnitude", 0.1, start=START)
    job = Job(tmp_path, tmp_path, Resources(), "run", keep_networks=True)
    for folder in ("trials", "curves", "running", "logs"):
        (tmp_path / folder).mkdir()
    execute(config.start_trial, job)
    calls: list[int] = []
    monkeypatch.setattr(Training, "run", _count(Training.run, calls))
    assert execute(config, job)["status"] == "ok"
    assert len(calls) == 1


@pytest.fixture
def lost_network(make_config: Any, tmp_path: Path) -> Any:
    """Measures a dense start and loses its network. Returns its config and the job of the next run."""

    def lose(test: bool = True) -> tuple[Any, Job]:
        start = make_config("magnitude", 0.1, start=START).start_trial
        for folder in ("trials", "curves", "running", "logs"):
            (tmp_path / folder).mkdir()
        job = Job(tmp_path, tmp_path, Resources(), "one", keep_networks=True, test=test)
        execute(start, job, own_process=False)
        (tmp_path / "networks" / f"{start.trial_id}.pt").unlink()
        return start, replace(job, run="two")

    return lose


@pytest.mark.parametrize(("test", "status"), [(True, "ok"), (False, "validated")])
def test_a_measured_start_whose_network_is_lost_is_trained_again(
    lost_network: Any, tmp_path: Path, test: bool, status: str
) -> None:
    start, job = lost_network(test)
    before = Ledger(tmp_path).row(start.trial_id)
    again = execute(start, job, own_process=False)
    assert (again.status, again.run) == (status, "two")
    assert before
    assert again.val_loss == before.val_loss
    assert Ledger(tmp_path).networks.has(start.trial_id)
    assert execute(start, replace(job, run="three"), own_process=False).run == "two"  # nothing is lost now


@pytest.mark.parametrize(
    "end", [TimeoutError("time limit"), Diverged("loss is nan"), "the worker process died"]
)
def test_what_is_measured_stays_where_the_training_for_its_network_fails(
    lost_network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: Any
) -> None:
    start, job = lost_network()
    ledger = Ledger(tmp_path)
    ledger.write_log(start.trial_id, "of the measured trial")
    before, curves = ledger.row(start.trial_id), ledger.curves(start.trial_id)

    def fail(*_: Any, **__: Any) -> Any:
        raise end

    monkeypatch.setattr(worker, "run_trial", fail)
    told = record_lost(start, job, end) if isinstance(end, str) else execute(start, job, own_process=False)
    assert told.status == (
        Status.DIVERGED if isinstance(end, Diverged) else Status.FAILED
    )  # for who needs the network
    assert str(end) in str(told.error)
    assert ledger.row(start.trial_id) == before
    assert ledger.curves(start.trial_id) == curves
    assert ledger.log(start.trial_id) == "of the measured trial"
    assert ledger.announced(start.trial_id) is None


def test_a_start_that_diverges_is_named_and_paid_once(spec: Any, tmp_path: Path, without_ray: None) -> None:
    spec |= {"start": START | {"optimizer": "sgd", "lr": 1e30}, "seeds": 1, "methods": ["dense", "magnitude"]}
    results = switchbench.run(spec, tmp_path / "out", mlflow_uri="none")
    (start,) = results["start"].unique()
    assert results["status"].tolist() == ["failed"] * 3
    assert results["error"].str.startswith(f"dense start {start}: diverged: ").all()


def _count(function: Any, calls: list[int]) -> Any:
    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        return function(*arguments, **named)

    return counted


def test_a_start_that_is_lost_or_broken_is_trained_again(make_config: Any, tmp_path: Path) -> None:
    networks = NetworkStore(tmp_path)
    config = make_config("random", 0.1, start=START)
    (tmp_path / f"{config.start_trial.trial_id}.pt").write_bytes(b"half a fi")
    assert networks.load(config.start_trial.trial_id, {}) is None
    assert run_trial(config, networks=networks).row["test_loss"] == run_trial(config).row["test_loss"]


@pytest.mark.parametrize("keep", [True, False])
def test_networks_are_kept_where_asked(
    keep: bool, spec: Any, tmp_path: Path, make_config: Any, without_ray: None
) -> None:
    spec |= {"methods": ["magnitude"], "densities": [0.1], "seeds": 1, "keep_networks": keep}
    (row,) = switchbench.run(spec, tmp_path / "out", mlflow_uri="none").to_dict("records")
    expected = make_config(network=spec["networks"][0]).network.sketch((1, 8, 8), 10)[0].state_dict()
    state = Ledger(tmp_path / "out").networks.load(row["trial_id"], expected)
    assert (state is not None) == keep
    if state:
        kept = sum(int(state[f"{name}.weight"].count_nonzero()) for name in ("1", "3"))
        assert kept == round(row["density"] * (64 * 20 + 20 * 10))
