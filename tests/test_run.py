"""The whole machinery through Ray: the same bits, nothing lost, nothing run twice."""

import json
import sqlite3
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import switchbench
from switchbench.errors import InputError
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.trial.run import run_trial

pytestmark = pytest.mark.usefixtures("without_figures")

PLUGIN = """
    import os
    from pathlib import Path
    from switchbench.methods import Magnitude, Method, option, register

    @register("travelled")
    class Travelled(Magnitude):
        '''Keep the weights that went furthest from where they started.'''

        class Config(Magnitude.Config):
            notes: str = option("", "folder for a note of who ran it")

        def attach(self, network, layers, batch):
            super().attach(network, layers, batch)
            self.start = {name: w.detach().clone() for name, w in self.weights.items()}

        def scores(self):
            return {name: (w - self.start[name]).abs() for name, w in self.weights.items()}

        def finalise(self):
            super().finalise()
            Path(self.config.notes, f"{os.getpid()}-{self.density}-{id(self)}").touch()

    @register("broken")
    class Broken(Method):
        '''Raises.'''

        def after_step(self, progress):
            if not Path("MENDED").exists():
                raise RuntimeError("this method is\\nbroken")

        @classmethod
        def takes_target(cls, config):
            return False

    @register("explosive")
    class Explosive(Broken):
        '''Kills its worker.'''

        def after_step(self, progress):
            os._exit(1)

    @register("sleepy")
    class Sleepy(Broken):
        '''Never comes back.'''

        def after_step(self, progress):
            import time
            time.sleep(1000)
"""


class Case:
    """One comparison that has been run, and what came back."""

    def __init__(self, folder: Path) -> None:
        self.notes = folder / "notes"
        self.notes.mkdir()
        self.plugin = folder / "plugin.py"
        self.mended = folder / "mended"
        """Where this file exists, the broken method works."""
        self.plugin.write_text(textwrap.dedent(PLUGIN).replace("MENDED", str(self.mended)))
        self.out = folder / "out"
        self.spec: dict[str, Any] = {
            "name": "case",
            "networks": [{"network": "mlp", "label": "small", "hidden": [20]}],
            "datasets": ["digits"],
            "methods": [
                "dense",
                {"method": "travelled", "notes": str(self.notes)},
                {"method": "switcher", "updates": 5},
                "switcher-paper",
                "broken",
            ],
            "densities": [0.2, 0.1],
            "seeds": 2,
            "training": {"steps": 24, "batch_size": 64},
        }

    def run(self, **arguments: Any) -> pd.DataFrame:
        return switchbench.run(self.spec, self.out, plugin_files=[self.plugin], **arguments)

    def stamps(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (self.out / "trials").iterdir()}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, on_shared_ray: None) -> Case:
    case = Case(tmp_path_factory.mktemp("case"))
    case.run()
    return case


def test_every_planned_trial_has_its_row(case: Case) -> None:
    results = Ledger(case.out).results()
    assert len(results) == 2 * (1 + 2 + 2 + 1 + 1)
    assert results["trial_id"].is_unique
    assert (results[results["label"] != "broken"]["status"] == "ok").all()
    wanted = """trial_id status error method label network dataset scope seed target_density density
        density_prunable density_network test_accuracy test_top5 test_loss val_accuracy macs macs_dense
        macs_shrunk steps train_seconds parameters method_parameters device versions""".split()
    assert set(wanted) <= set(results.columns)
    assert {"python", "torch", "switchbench"} <= set(json.loads(results["versions"].iloc[0]))
    measured = results[results["status"] == "ok"]
    assert (
        measured[[name for name in wanted if name not in ("error", "target_density")]].notna().all(axis=None)
    )
    assert len(list((case.out / "trials").iterdir())) == len(results)


def test_a_row_holds_the_bits_of_the_trial_alone(case: Case) -> None:
    results = Ledger(case.out).results()
    for label in ("dense", "switcher", "switcher-paper"):
        stored = results[(results["label"] == label) & (results["seed"] == 1)].iloc[0]
        alone = run_trial(TrialConfig.model_validate_json(stored["config"]))
        for key, value in asdict(alone.row).items():
            if key not in ("train_seconds", "method_seconds") and value is not None:
                assert stored[key] == value, key
        assert Ledger(case.out).curves(stored["trial_id"]) == alone.curves


def test_workers_are_reused(case: Case) -> None:
    ran = [note.name.split("-")[0] for note in case.notes.iterdir()]
    assert len(ran) == 4
    import os

    assert len(set(ran)) <= (os.cpu_count() or 1)


def test_failures_are_recorded_and_listed(case: Case) -> None:
    failed = Ledger(case.out).results().query("label == 'broken'")
    assert failed["status"].tolist() == ["failed", "failed"]
    assert set(failed["error"]) == {"RuntimeError: this method is broken (plugin.py:30)"}
    table = (case.out / "report" / "report.md").read_text()
    assert table.count("RuntimeError: this method is broken") == 2
    assert "| broken |" in table


def test_again_runs_only_what_failed(case: Case, without_ray: None) -> None:
    before = case.stamps()
    case.mended.touch()
    results = case.run(mlflow_uri="none")
    assert case.stamps() == before
    assert results["status"].value_counts().to_dict() == {"ok": 12, "failed": 2}
    results = case.run(mlflow_uri="none", retry_failed=True)
    assert (results["status"] == "ok").all()
    after = case.stamps()
    failed = set(results[results["label"] == "broken"]["trial_id"] + ".parquet")
    assert {name for name in before if before[name] != after[name]} == failed


def test_once_more_starts_no_ray_and_a_new_label_is_no_new_trial(case: Case, monkeypatch: Any) -> None:
    import switchbench.cluster.tune

    def refuse(*arguments: Any) -> None:
        raise AssertionError("nothing was to run")

    monkeypatch.setattr(switchbench.cluster.tune, "distribute", refuse)
    before = case.stamps()
    case.spec["methods"][2] = {"method": "switcher", "updates": 5, "label": "renamed"}
    results = case.run(mlflow_uri="none")
    assert case.stamps() == before
    assert (results["label"] == "renamed").sum() == 4
    assert "| renamed |" in (case.out / "report" / "report.md").read_text()


def test_mlflow_has_one_run_per_trial_and_sync_sends_no_more(case: Case) -> None:
    switchbench.sync(case.out)  # what was mended or renamed with MLflow off
    assert switchbench.sync(case.out) == 0
    with sqlite3.connect(case.out / "mlflow.db") as database:
        tags = database.execute("SELECT value FROM tags WHERE key = 'switchbench.trial_id'").fetchall()
        ended = database.execute(
            "SELECT count(*) FROM runs WHERE status IN ('FINISHED', 'FAILED')"
        ).fetchone()
        labels = dict(
            database.execute(
                "SELECT ids.value, labels.value FROM tags AS ids JOIN tags AS labels USING (run_uuid) "
                "WHERE ids.key = 'switchbench.trial_id' AND labels.key = 'label'"
            ).fetchall()
        )
        accuracy = dict(
            database.execute(
                "SELECT tags.value, metrics.value FROM tags JOIN metrics USING (run_uuid) "
                "WHERE tags.key = 'switchbench.trial_id' AND metrics.key = 'test_accuracy'"
            ).fetchall()
        )
    results = Ledger(case.out).results()
    assert sorted(tag for (tag,) in tags) == sorted([*results["trial_id"], "comparison"])
    assert ended == (len(results) + 1,)
    measured = results[results["status"] == "ok"]
    assert accuracy == dict(zip(measured["trial_id"], measured["test_accuracy"], strict=True))
    assert labels == dict(zip(results["trial_id"], results["label"], strict=True))
    assert list((case.out / "mlflow").rglob("report.md"))


def test_an_unreachable_mlflow_loses_nothing(case: Case, tmp_path: Path, capsys: Any) -> None:
    results = case.run(mlflow_uri="http://127.0.0.1:9")
    assert (results["status"] == "ok").all()
    assert f"switchbench sync {case.out}" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"MLflow at http://127\.0\.0\.1:9: "):
        switchbench.sync(case.out, "http://127.0.0.1:9")


@pytest.mark.cluster
@pytest.mark.parametrize(
    "address",
    [None, pytest.param("local", marks=pytest.mark.slow)],  # beside Ray are processes
)
def test_dead_and_hanging_workers_are_failed_trials_and_no_more(
    tmp_path: Path, address: str | None, monkeypatch: Any
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)  # of the shared cluster
    case = Case(tmp_path)
    case.spec |= {"methods": ["explosive", "sleepy", "dense"], "seeds": 1, "resources": {"minutes": 0.1}}
    results = case.run(mlflow_uri="none", address=address).set_index("label")
    assert results.loc["dense", "status"] == "ok"
    assert results["status"].drop("dense").tolist() == ["failed", "failed"]
    assert results.loc["explosive", "error"] == "the worker process died"
    assert results.loc["sleepy", "error"] == "hung: not finished after twice the limit of 0.1 minutes"


def test_a_report_can_be_drawn_from_the_compact_table_alone(case: Case, tmp_path: Path) -> None:
    (tmp_path / "results.parquet").write_bytes((case.out / "report" / "results.parquet").read_bytes())
    (tmp_path / "spec.yaml").write_bytes((case.out / "spec.yaml").read_bytes())
    switchbench.report(case.out)
    switchbench.report(tmp_path)
    for name in ("report.md", "cells.csv", "report.tex"):
        assert (tmp_path / "report" / name).read_text() == (case.out / "report" / name).read_text()
