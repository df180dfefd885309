"""Searches: budgets, objectives, samplers, pruners, failures, resuming and what comes of them."""

import io
import itertools
import json
import math
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from optuna.distributions import FloatDistribution, distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from rich.console import Console

import switchbench
from switchbench import datasets
from switchbench.cli import show
from switchbench.cli.app import app
from switchbench.cluster.points import Point
from switchbench.cluster.worker import Job, execute_point
from switchbench.compare.progress import progress
from switchbench.compare.report import report_search
from switchbench.datasets import DATASETS, Data, Images
from switchbench.errors import ExitCode, InputError, RunStopped
from switchbench.methods import METHODS, Method, option, register
from switchbench.observe.terminal import PointDisplay
from switchbench.reports.search import pictures
from switchbench.reports.search.tables import search_tables
from switchbench.row import Row, Status
from switchbench.spec import file as specfile
from switchbench.spec.comparison import Resources
from switchbench.spec.file import parse
from switchbench.store.ledger import Ledger
from switchbench.store.search import SearchLedger
from switchbench.tuning import run as tuning
from switchbench.tuning.plan import plan
from switchbench.tuning.pruning import PointPruner
from switchbench.tuning.source import StudySource
from switchbench.tuning.storage import StudyStorage
from switchbench.tuning.study import Study
from switchbench.tuning.warm import warm_points

pytestmark = pytest.mark.usefixtures("without_figures")

SPEC: dict[str, Any] = {
    "name": "tiny",
    "networks": [{"network": "mlp", "hidden": [20, 12]}],
    "datasets": ["digits"],
    "methods": ["dense", "magnitude", "l1", "str"],
    "densities": [0.2],
    "seeds": 2,
    "training": {"epochs": 4, "batch_size": 64},
    "search": {"points": 4, "training": {"epochs": 2}},
}
EPOCH = 21
"""Steps: 1,293 images in batches of 64."""


def spec(**search: Any) -> dict[str, Any]:
    """The small search with another part ``search``, and what else is given in capitals."""
    outer = {key.lower(): search.pop(key) for key in [*search] if key.isupper()}
    return SPEC | outer | {"search": SPEC["search"] | search}


SEARCHED = spec(pruner="median")
"""The same with a pruner in the workers, which looks at five points before it stops one."""


class Driver:
    """A search in this process: everything but Ray."""

    def __init__(self, folder: Path, given: dict[str, Any], url: str | None = None) -> None:
        self.planned = plan(given, folder)
        self.planned.ledger.folder.mkdir(parents=True, exist_ok=True)
        place = StudyStorage(str(self.planned.ledger.journal), url)
        self.studies = {
            label: Study(
                place,
                f"{url and folder.name}/{label}",
                self.planned.config,
                about,
                self.planned.identity(label),
            )
            for label, about in self.planned.spaces.items()
        }
        for label, own in self.studies.items():
            own.enqueue(self.planned.spaces[label].defaults(), self.planned.origin(label))
        tuning._store(self.planned, self.studies)
        console = Console(file=io.StringIO())
        self.source = StudySource(self.planned, self.studies, PointDisplay(console, None, 0))
        run = uuid.uuid4().hex
        self.job = Job(self.planned.ledger.folder, datasets.data_folder(), Resources(), run, test=False)

    def points(self, most: int = 1_000, untold: int = 0) -> int:
        """Run points until there are no more; of the last ones so many are left without being told."""
        number = 0
        while number < most and (point := self.source.ask()):
            watchers: Callable[[int], Any] = point.pruner.watchers() if point.pruner else lambda seed: None
            if number < most - untold:
                self.source.tell(point, execute_point(point.trials, self.job, watchers))
            number += 1
        return number

    def table(self) -> pd.DataFrame:
        tuning._store(self.planned, self.studies)
        points = self.planned.ledger.points()
        assert points is not None
        return points


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, on_shared_ray: None) -> Path:
    """A whole search, through Ray."""
    folder = tmp_path_factory.mktemp("search") / "out"
    switchbench.search(SEARCHED, folder, console=Console(file=io.StringIO()))
    return folder


def test_every_method_gets_the_same(done: Path) -> None:
    points = SearchLedger(Ledger(done)).points()
    assert points is not None
    assert set(points["label"]) == {"magnitude", "l1", "str"}  # dense has nothing to search
    assert (points.groupby("label").size() == 4).all()
    assert (points.groupby("label")["steps"].sum() == 4 * 2 * EPOCH).all()
    assert (points["state"] == "complete").all()
    assert (points.groupby("label")["origin"].first() == "defaults").all()
    text = (done / "report" / "search.md").read_text()
    assert f"budgets were equal: 4 points and {4 * 2 * EPOCH} gradient steps for every method" in text


def test_a_search_reads_no_test_image_and_the_comparison_does(done: Path) -> None:
    searched, compared = (Ledger(folder).results() for folder in (done / "search", done))
    assert len(searched) == 12
    assert (searched["status"] == "validated").all()
    assert searched["val_accuracy"].notna().all()
    assert searched[["test_accuracy", "test_loss", "test_top5"]].isna().all(axis=None)
    assert (searched["test_size"] == 0).all()
    assert not set(searched["seed"]) & set(compared["seed"])
    assert compared["test_accuracy"].notna().all()


def test_the_best_are_run_again_beside_the_defaults_on_fresh_seeds(done: Path) -> None:
    best = specfile.load(done / "best.yaml")
    points = SearchLedger(Ledger(done)).points()
    assert points is not None
    assert best.search is None
    assert best.seeds == [0, 1]
    assert best.training.epochs == 4
    results = Ledger(done).results()
    assert set(results["label"]) == {method.label for method in best.methods}
    for label, own in points.groupby("label"):
        allowed = own[(own["infeasible"] <= 0) & (own["collapsed"] == 0)]
        if allowed.empty:  # such as str here: off the target, or dead
            assert not own["best"].any()
            continue
        chosen = own[own["best"]].iloc[0]
        assert chosen["val_accuracy"] == allowed["val_accuracy"].max()
        if chosen["origin"] != "defaults":
            (tuned,) = [method for method in best.methods if method.label == f"{label} tuned"]
            assert {key: tuned.options[key] for key in json.loads(chosen["params"])} == json.loads(
                chosen["params"]
            )
    assert {"dense", "magnitude", "l1", "str"} <= set(results["label"])


def test_best_yaml_runs_as_it_is_and_finds_everything_done(done: Path) -> None:
    assert switchbench.plan(done / "best.yaml", done).todo == []


def test_the_report_is_one_page_that_needs_nothing_else(done: Path, tmp_path: Path) -> None:
    page = (done / "report" / "index.html").read_text()
    for heading in ("History", "Importance", "Parallel coordinates", "Contours", "Slices"):
        assert page.count(f"<figcaption>{heading}</figcaption>") == 3
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?http", page)
    drawn = "</figcaption><script type='application/gzip'>"
    assert page.count(drawn) >= 12
    assert page.count('id="plotly"') == 1
    assert "Results by task" in page
    published = tmp_path / "published"
    for name in ("search/spec.yaml", "report/results.parquet", "search/points.parquet"):
        (published / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(done / name, published / name)
    assert report_search(published, Console(file=io.StringIO()))
    again = (published / "report" / "index.html").read_text()
    assert again.count(drawn) == page.count(drawn)
    assert "Results by task" not in again  # the search alone
    assert (published / "report" / "search.md").read_text() == (done / "report" / "search.md").read_text()


def test_every_point_is_in_mlflow(done: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{done / 'mlflow.db'}")
    for name, number in (("tiny", 12), ("tiny-best", len(Ledger(done).results()))):
        experiment = client.get_experiment_by_name(name)
        assert experiment
        runs = client.search_runs([experiment.experiment_id], filter_string="tags.status != 'x'")
        assert len(runs) == number
        assert all("val_accuracy" in run.data.metrics for run in runs)
        assert all(run.info.status == "FINISHED" for run in runs)


def test_again_does_nothing(done: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.rglob("trials/*.parquet")}
    said = io.StringIO()
    switchbench.search(SEARCHED, done, mlflow_uri="none", console=Console(file=said, width=300))
    assert {path: path.stat().st_mtime_ns for path in done.rglob("trials/*.parquet")} == before
    assert "12 done" in said.getvalue()


def test_a_search_has_no_test_images_at_all(tmp_path: Path, monkeypatch: Any) -> None:
    def loader(folder: Path) -> Data:
        """Digits whose test images cannot be read."""
        digits = datasets.load("digits")
        return Data(
            digits.train,
            Guard(torch.zeros(5, 1, 8, 8, dtype=torch.uint8), torch.zeros(5, dtype=torch.int64)),
            10,
        )

    class Guard(Images):
        armed = False

        def __getattribute__(self, name: str) -> Any:
            if Guard.armed and name in ("images", "labels", "histogram"):
                raise AssertionError(f"test {name} read")
            return super().__getattribute__(name)

        def __len__(self) -> int:
            return 0

        def to(self, device: torch.device) -> Images:
            return self

    # Even what stands in their place is not read.
    monkeypatch.setattr(Data, "without_test", lambda self: Data(self.train, self.test, self.classes))
    datasets.register("guarded")(loader)
    try:
        driver = Driver(tmp_path / "a", spec(points=1, DATASETS=["guarded"], METHODS=["magnitude"]))
        datasets.load("guarded")  # where it is checked, once
        Guard.armed = True
        assert driver.points() == 1
        assert driver.table()["state"].tolist() == ["complete"]
    finally:
        DATASETS.pop("guarded")


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random", "grid", "cmaes"])
@pytest.mark.parametrize("objectives", [["val_accuracy"], ["val_accuracy", "density"]], ids=["one", "two"])
def test_samplers(sampler: str, objectives: list[str], tmp_path: Path) -> None:
    given = spec(
        sampler=sampler, objectives=objectives, points=7, METHODS=["magnitude", "str"], grid=2,
        space={"magnitude.power": 3.0},
        density={"low": 0.05, "high": 0.5, "log": True} if len(objectives) > 1 else None,
    )  # fmt: skip
    given["training"] = {"steps": 80, "lr": 3e-3}
    given["search"]["training"] = {"steps": 60}  # fewer, and the networks would guess
    if sampler == "cmaes" and len(objectives) > 1:
        with pytest.raises(InputError, match="sampler: 'cmaes' takes a single objective, not 2"):
            plan(given, tmp_path)
        return
    driver = Driver(tmp_path, given)
    driver.points()
    points = driver.table()
    assert (points["state"] == "complete").all()
    sizes = points.groupby("label").size()
    assert sizes["str"] == 7
    assert sizes["magnitude"] == (
        5 if sampler == "grid" and len(objectives) == 1 else 7
    )  # defaults, and 2 × 2
    for label, own in points.groupby("label"):
        drawn = own["params"].tolist()
        assert len(set(drawn)) == len(own), label
        front = own[own["best"]]
        found = bool(((own["infeasible"] <= 0) & (own["collapsed"] == 0)).any())
        assert len(front) == found if len(objectives) == 1 else len(front) >= 1
    best = tuning._best(driver.planned, driver.studies)
    if len(objectives) > 1:
        tuned = [method for method in best.methods if "#" in method.label and method.takes_target()]
        assert all(method.densities and 0.05 <= method.densities[0] <= 0.5 for method in tuned)
        assert {trial.density for trial in best.trials()} >= {
            method.densities[0] for method in tuned if method.densities
        }


def test_a_small_grid_ends_by_itself(tmp_path: Path) -> None:
    space = {"magnitude.begin": [0.0, 0.1], "magnitude.end": 0.6, "magnitude.power": 3.0}
    driver = Driver(tmp_path, spec(sampler="grid", points=9, METHODS=["magnitude"], space=space))
    driver.points()
    begins = [json.loads(text)["begin"] for text in driver.table()["params"]]
    assert set(begins) == {0.0, 0.1}
    assert len(begins) <= 3  # the defaults, and the grid


@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband"])
def test_pruners_stop_what_does_badly(pruner: str, tmp_path: Path) -> None:
    space = {
        "training.lr": {"low": 1e-7, "high": 1e-2, "log": True},
        "magnitude.begin": 0.1,
        "magnitude.end": 0.6,
    }
    given = spec(
        pruner=pruner, points=14, METHODS=["magnitude"], space=space, sampler="random", training={"epochs": 9}
    )
    given["search"]["methods"] = ["magnitude"]
    driver = Driver(tmp_path, given)
    driver.points()
    points = driver.table()
    states = points["state"].value_counts()
    assert states["pruned"] >= 1
    assert states["complete"] >= 1
    assert set(states.index) <= {"pruned", "complete"}
    pruned = points[points["state"] == "pruned"]
    whole = EPOCH * 9
    assert (pruned["steps"] < whole).all()
    assert (points[points["state"] == "complete"]["steps"] == whole).all()
    assert "stopped" in "".join(pruned["error"]) or pruned["error"].str.startswith("pruned").all()
    best = points[points["best"]].iloc[0]
    assert json.loads(best["params"])["training.lr"] > 1e-4


def test_a_budget_of_steps(tmp_path: Path) -> None:
    driver = Driver(tmp_path, spec(points=None, steps=2 * EPOCH * 3 + 10, METHODS=["magnitude", "l1"]))
    driver.points()
    assert driver.table().groupby("label")["steps"].sum().tolist() == [2 * EPOCH * 3] * 2


def test_a_method_of_many_rounds_gets_the_same_steps_and_fewer_points(tmp_path: Path) -> None:
    driver = Driver(tmp_path, spec(points=12, METHODS=["magnitude", "lottery-ticket"]))
    driver.points()
    points = driver.table()
    steps, numbers = points.groupby("label")["steps"].sum(), points.groupby("label").size()
    assert numbers["magnitude"] == 12
    assert 1 <= numbers["lottery-ticket"] < 12
    assert steps["lottery-ticket"] <= steps["magnitude"]
    assert "methods did not use equal budgets" in "".join(
        note for table in search_tables(points) for note in table.notes
    )


def test_a_method_that_finds_its_own_density_must_land_at_the_target(tmp_path: Path) -> None:
    space = {"str.start": {"low": -9, "high": -2}}
    driver = Driver(tmp_path, spec(points=10, METHODS=["str"], space=space, density=0.3, sampler="random"))
    driver.points()
    points = driver.table()
    assert (points["infeasible"] > 0).any()
    off = [abs(math.log(max(density, 1e-6) / 0.3)) - math.log(1.1) for density in points["density"]]
    assert off == pytest.approx(points["infeasible"].tolist())
    landed = points[points["density"].between(0.3 / 1.1, 0.3 * 1.1) & (points["collapsed"] == 0)]
    assert points[points["best"]]["val_accuracy"].tolist() == [landed["val_accuracy"].max()][: len(landed)]


def test_a_density_off_the_target_on_either_side_is_infeasible(tmp_path: Path) -> None:
    planned = Driver(tmp_path, spec(METHODS=["str", "magnitude"], density=0.1)).planned
    off = {
        density: planned.infeasibility(density, "str") > 0 for density in (0, 0.05, 0.09, 0.092, 0.109, 0.112)
    }
    assert off == {0: True, 0.05: True, 0.09: True, 0.092: False, 0.109: False, 0.112: True}
    taken = {density: planned.infeasibility(density, "magnitude") > 0 for density in (0.05, 0.1, 0.102)}
    assert taken == {0.05: False, 0.1: False, 0.102: True}


def test_a_weight_more_than_the_target_is_feasible_in_a_small_network(tmp_path: Path) -> None:
    """1,480 weights: 1 % are 14.8, and methods keep 15."""
    small = [{"network": "mlp", "hidden": [20]}]
    planned = plan(spec(NETWORKS=small, METHODS=["magnitude"], density=0.01), tmp_path)
    assert planned.infeasibility(15 / 1480, "magnitude") < 0 < planned.infeasibility(16 / 1480, "magnitude")
    assert [*planned.densities("magnitude")] == pytest.approx([0, 15.8 / 1480])


def test_dense_has_no_density_to_find(tmp_path: Path) -> None:
    given = spec(METHODS=["dense"], methods=["dense"], density=0.1, space={"training.lr": [1e-3, 1e-2]})
    assert Driver(tmp_path, given).planned.infeasibility(1.0, "dense") == 0


@pytest.fixture
def moody() -> Iterator[None]:
    """A method that fails, diverges, or works, as its option says."""

    @register("moody")
    class Moody(Method):
        """Fails where it is told to."""

        class Config(Method.Config):
            mood: float = option(0.5, "below 0.3 it fails, above 0.7 it diverges", search=(0.0, 1.0))

        config: Config

        @classmethod
        def takes_target(cls, config: Any) -> bool:
            return False

        def after_step(self, progress: Any) -> None:
            if self.config.mood < 0.3:
                raise RuntimeError("bad mood")
            if self.config.mood > 0.7:
                with torch.no_grad():
                    next(iter(self.weights.values())).fill_(math.nan)

    yield
    METHODS.pop("moody")


def test_what_fails_is_recorded_and_stops_nothing(tmp_path: Path, moody: None) -> None:
    driver = Driver(tmp_path, spec(points=12, METHODS=["moody"], sampler="random", density=1.0))
    assert driver.points() == 12
    points = driver.table()
    moods = [json.loads(text)["mood"] for text in points["params"]]
    expected = ["fail" if mood < 0.3 or mood > 0.7 else "complete" for mood in moods]
    assert points["state"].tolist() == expected
    assert {"fail", "complete"} <= set(expected)
    for mood, error in zip(moods, points["error"], strict=True):
        if mood < 0.3:
            assert error.startswith("failed: RuntimeError: bad mood")
        elif mood > 0.7:
            assert error.startswith("diverged: ")


def test_values_that_do_not_go_together_cost_nothing(tmp_path: Path) -> None:
    space = {"magnitude.begin": {"low": 0.0, "high": 0.9}}  # begin has to be before end
    driver = Driver(tmp_path, spec(points=10, METHODS=["magnitude"], space=space, sampler="random"))
    assert driver.points() == 10
    assert (driver.table()["state"] == "complete").all()
    assert driver.source.withdrawn >= 1


def test_points_left_behind_are_taken_up_and_nothing_runs_twice(tmp_path: Path) -> None:
    given = spec(points=8, METHODS=["magnitude"])
    first = Driver(tmp_path, given)
    first.points(most=5, untold=2)
    asked = {number: trial.params for number, trial in enumerate(first.studies["magnitude"].trials())}
    second = Driver(tmp_path, given)
    assert second.points() == 8 - 3
    points = second.table()
    assert points["number"].tolist() == [*range(8)]
    assert (points["state"] == "complete").all()
    assert {n: json.loads(points["params"][n]) for n in asked} == asked
    assert len(Ledger(tmp_path / "search").results()) == 8


def test_a_row_that_was_not_told_is_not_trained_again(tmp_path: Path) -> None:
    given = spec(points=3, METHODS=["magnitude"])
    first = Driver(tmp_path, given)
    point = first.source.ask()
    assert point
    execute_point(point.trials, first.job, lambda seed: None)
    (path,) = (tmp_path / "search" / "trials").iterdir()
    before = path.stat().st_mtime_ns
    Driver(tmp_path, given).points()
    assert path.stat().st_mtime_ns == before


def test_another_search_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    Driver(tmp_path, spec(METHODS=["magnitude"])).points(most=1)
    Driver(tmp_path, spec(METHODS=["magnitude"], points=6, sampler="random"))  # may go on otherwise
    with pytest.raises(
        InputError, match=r"magnitude: the stored study belongs to another search \(training changed\)"
    ):
        Driver(tmp_path, spec(METHODS=["magnitude"], training={"epochs": 3}))


def test_a_study_goes_on_with_the_schema_that_it_has_begun_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = spec(METHODS=["magnitude"])
    study = Driver(tmp_path, given).studies["magnitude"]._study
    known = json.loads(study.user_attrs["identity"])
    assert known.pop("schema") == 2
    study.set_user_attr("identity", json.dumps(known))  # as in studies of before
    Driver(tmp_path, given)
    monkeypatch.setattr("switchbench.tuning.plan.SCHEMA_VERSION", 3)
    with pytest.raises(InputError, match=r"belongs to another search \(schema changed\)"):
        Driver(tmp_path, given)


def test_a_search_does_not_go_on_with_data_that_have_changed(tmp_path: Path) -> None:
    def save(brightness: int) -> None:
        labels = np.arange(60) % 2
        images = (labels[:, None, None] * brightness).repeat(6, 1).repeat(6, 2).astype(np.uint8)
        np.savez(file, x_train=images, y_train=labels, x_test=images, y_test=labels)

    file = tmp_path / "a.npz"
    save(100)
    data = [{"dataset": "arrays", "path": str(file)}]
    training = {"steps": 5, "batch_size": 16}
    driver = Driver(
        tmp_path / "out", spec(DATASETS=data, METHODS=["magnitude"], TRAINING=training, training={})
    )
    assert driver.points(most=1) == 1
    driver.table()
    [trial_id] = driver.planned.ledger.results()["trial_id"]
    save(200)
    assert driver.points(most=1) == 1
    points = driver.table()
    assert driver.planned.ledger.results()["trial_id"][0] == trial_id
    assert points["state"].tolist() == ["complete", "fail"]
    assert "its files have changed since the trial was planned" in points["error"][1]


def test_half_a_line_in_the_journal_is_cut_off(tmp_path: Path) -> None:
    given = spec(points=3, METHODS=["magnitude"])
    Driver(tmp_path, given).points(most=2)
    journal = tmp_path / "search" / "study.journal"
    with journal.open("ab") as stream:
        stream.write(b'{"op_code": 5, "worker')
    StudyStorage(str(journal), None).repair()
    driver = Driver(tmp_path, given)
    assert driver.points() == 1
    assert len(driver.table()) == 3


def test_a_second_driver_is_refused(tmp_path: Path, without_ray: None) -> None:
    planned = plan(SPEC, tmp_path)
    planned.ledger.folder.mkdir()
    with FileLock(str(planned.ledger.lock_file)), pytest.raises(InputError) as caught:
        switchbench.search(SPEC, tmp_path, mlflow_uri="none", console=Console(file=io.StringIO()))
    assert str(caught.value) == f"{tmp_path / 'search'}: another run is going on there"


def test_a_running_search_says_how_far_it_is(
    tmp_path: Path, without_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(spec(METHODS=["magnitude"], points=2), tmp_path)
    planned.ledger.create(planned.spec, [])
    assert progress(planned.ledger).total == 0  # before the first point
    seen = []

    tell = StudySource.tell

    def observed(source: StudySource, point: Point, rows: list[Row]) -> None:
        seen.append(progress(planned.ledger))
        tell(source, point, rows)

    monkeypatch.setattr(StudySource, "tell", observed)
    switchbench.search(planned.spec, tmp_path, mlflow_uri="none", console=Console(file=io.StringIO()))
    seeds = len(planned.config.seeds)
    assert (seen[0].done, seen[0].total) == (seeds, seeds)  # the second is stored ten seconds later
    assert (seen[0].points, seen[0].points_each) == ({"magnitude": 0}, 2)
    assert progress(planned.ledger).done == 2 * seeds
    assert progress(planned.ledger).points == {"magnitude": 2}
    assert progress(planned.comparison).points is None


def test_warm_start_tries_the_best_of_another_search_first(
    tmp_path: Path, done: Path, without_ray: None
) -> None:
    planned = plan(SPEC, tmp_path)
    warm = warm_points(planned, done)
    points = SearchLedger(Ledger(done)).points()
    assert points is not None
    for label, found in warm.items():
        feasible = (points["infeasible"] <= 0) & (points["collapsed"] == 0)
        own = points[(points["label"] == label) & feasible]
        best = own.sort_values(["val_accuracy", "number"], ascending=[False, True])["params"].head(1)
        assert [found[0].params()] == [json.loads(text) for text in best] or own.empty
    with pytest.raises(InputError, match="no search is stored there"):
        warm_points(planned, tmp_path)
    printed = io.StringIO()
    switchbench.search(
        spec(METHODS=["magnitude"], points=3, space={"magnitude.end": 0.5}), tmp_path / "warm",
        warm_start=done, mlflow_uri="none", console=Console(file=printed),
    )  # fmt: skip
    assert "--warm-start: magnitude: its first point and the best of the other search" in (
        " ".join(printed.getvalue().split())
    )
    started = SearchLedger(Ledger(tmp_path / "warm")).points()
    assert started is not None
    assert started["origin"].tolist() == ["start", "warm start", "warm start"]  # end is another


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": ["dense"]}, "search.methods: 'dense' has no hyperparameters to search"),
        ({"METHODS": ["dense", "random"]}, "search.methods: none of dense, random has hyperparameters to search"),
        ({"methods": ["magnitud"]}, "search.methods: unknown label 'magnitud'; did you mean 'magnitude'"),
        ({"space": {"l1.strenght": 3}}, "search.space: l1: method 'l1': unknown hyperparameter 'strenght'; did you"),
        ({"space": {"lr": 3}}, "search.space: 'lr' should be one of dense.OPTION, magnitude.OPTION"),
        ({"space": {"magnitud.end": 3}}, "search.space: magnitud.end: unknown label 'magnitud'; did you mean 'magnitude'?"),
        ({"space": {"l1.strength": {"low": 2, "high": 1}}}, "search.space: l1: strength: low 2 should be less than"),
        ({"methods": ["magnitude"], "space": {"l1.strength": 3}}, "l1.strength: 'l1' is not searched; searched: magn"),
        ({"points": 0}, "search.points: 0 should be greater than or equal to 1"),
        ({"steps": 5}, "search: give either points or steps, not both"),
        ({"sampler": "tpee"}, "search.sampler: 'tpee' should be 'tpe', 'nsga2'"),
        ({"pruner": "median", "objectives": ["density"]}, "search: pruner: 'median' needs a single objective"),
        ({"objectives": ["test_accuracy"]}, "search.objectives: unknown objective 'test_accuracy'; did you"),
        ({"seeds": [0]}, "search.seeds: 0 is also a seed of the comparison"),
        ({"training": {"epoch": 1}}, "search.training: .*unknown key 'epoch'; did you mean 'epochs'"),
        ({"density": {"low": 0.1, "high": 0.5}}, "search: density: a range needs a second objective"),
        ({"DENSITIES": [0.1, 0.2]}, "search.density: is required, because the comparison has several"),
        ({"METHODS": ["l1", {"method": "l1", "label": "2"}]}, "methods: 'l1' on 'mlp' and '2' on 'mlp' are the same"),
        ({"NETWORKS": ["mlp", "lenet-300-100"]}, "networks: a search takes one entry, not 2"),
        ({"poins": 3}, "search: unknown key 'poins'; did you mean 'points'"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said) as caught:
        plan(spec(**changes), tmp_path)
    assert "\n" not in str(caught.value)
    assert [*tmp_path.iterdir()] == []


def test_run_and_search_say_which_is_for_what(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this spec describes a search; run it with 'switchbench search'"):
        switchbench.run(SPEC, tmp_path)
    plain = {key: value for key, value in SPEC.items() if key != "search"}
    with pytest.raises(InputError, match="search: is required"):
        switchbench.search(plain, tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_a_dry_run_says_what_is_searched_and_what_it_costs(tmp_path: Path) -> None:
    from ruamel.yaml import YAML
    from typer.testing import CliRunner

    path = tmp_path / "tiny.yaml"
    YAML().dump(SPEC, path)
    wide = {"COLUMNS": "200"}
    said = CliRunner().invoke(app, ["search", str(path), "--dry-run"], catch_exceptions=False, env=wide)
    words = " ".join(said.output.split())
    assert "magnitude begin 0 to 0.3" in words
    assert "l1 strength 1e-06 to 0.01, log" in words
    assert f"each method: {4 * 2 * EPOCH} gradient steps, seeds [1000]" in words
    assert f"4 points of magnitude 4 {4 * 2 * EPOCH}" in words
    assert (
        f"the comparison of the best, at most 14 {14 * 4 * EPOCH:,}" in words
    )  # 4 methods and 3 tuned, 2 seeds, 104 steps
    assert [*tmp_path.iterdir()] == [path]


def options(point: Point) -> dict[str, Any]:
    """The options of a point's method."""
    return point.trials[0].method.options


def validated(point: Point, accuracy: float, density: float = 0.2) -> Row:
    """A made-up row of a point's first trial."""
    planned = asdict(point.trials[0].planned)
    return Row(**planned, status=Status.VALIDATED, steps=42, val_accuracy=accuracy, density=density)


def told(driver: Driver, number: int, density: float = 0.2) -> None:
    """Tell points made-up rows, the first of which is best."""
    for place in range(number):
        point = driver.source.ask()
        assert point
        reached = point.trials[0].density or density
        driver.source.tell(point, [validated(point, 0.9 - place / 100, reached)])


@pytest.mark.parametrize(
    "changes",
    [
        {"space": {"training.lr": {"low": 1e-4, "high": 1e-2, "log": True}}},
        {
            "space": {"training.lr": [1e-3, 1e-2], "magnitude tuned.begin": 0.0},
            "METHODS": [{"method": "magnitude", "label": "magnitude tuned", "updates": 5}, "magnitude"],
        },
        {
            "density": {"low": 0.05, "high": 0.2},
            "objectives": ["val_accuracy", "density"],
            "DENSITIES": [0.2, 0.1],
        },
    ],
    ids=["learning rate", "label", "density"],
)
def test_where_the_defaults_win_the_comparison_still_runs(changes: dict[str, Any], tmp_path: Path) -> None:
    driver = Driver(tmp_path, spec(**({"METHODS": ["magnitude"]} | changes)))
    told(driver, 4)
    best = tuning._best(driver.planned, driver.studies)
    trials = best.trials()  # raises where two labels stand for one trial
    assert len({trial.trial_id for trial in trials}) == len(trials)
    assert specfile.parse(best.model_dump(mode="json")) == best


def test_a_method_without_a_row_of_its_own_is_named_with_the_reason(tmp_path: Path) -> None:
    driver = Driver(tmp_path, spec(METHODS=["magnitude"]))
    told(driver, 4)
    (budgets, _) = search_tables(driver.table())
    assert budgets.notes[1:] == [
        "magnitude: no point was better than the defaults, so there is no row 'magnitude tuned'"
    ]
    driver = Driver(tmp_path / "dense", spec(METHODS=["str"]))
    told(driver, 4, density=0.9)
    (budgets, _) = search_tables(driver.table())
    (line,) = budgets.notes[1:]
    assert line.startswith("str: all points failed, are off the target")
    driver = Driver(tmp_path / "found", spec(METHODS=["magnitude"]))
    told_best_last(driver)
    (budgets, _) = search_tables(driver.table())
    assert list(budgets.notes[1:]) == []


def test_json_holds_the_best_points(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = switchbench.best_points(done)
    show.as_json(switchbench.results(done), points)
    printed = json.loads(capsys.readouterr().out)
    assert printed["statuses"]["ok"] == len(printed["trials"])
    found = {point["label"]: point for point in printed["best_points"]}
    assert list(found) == list(points["label"])
    assert found["magnitude"]["values"] == [found["magnitude"]["val_accuracy"]]
    assert {"begin", "end", "power"} <= found["magnitude"]["params"].keys()


def test_what_is_found_is_compared_with_its_method_whatever_labels_are_taken(tmp_path: Path) -> None:
    """A user's own "magnitude tuned" is not taken for what the search found."""
    taken = {"method": "magnitude", "label": "magnitude tuned", "updates": 5}
    driver = Driver(tmp_path, spec(METHODS=["magnitude", taken], methods=["magnitude"]))
    told_best_last(driver)
    best = tuning._best(driver.planned, driver.studies)
    assert [(method.label, method.against) for method in best.methods] == [
        ("magnitude", None),
        ("magnitude tuned*", "magnitude"),
        ("magnitude tuned", None),
    ]
    driver.planned.comparison.create(best, best.trials())
    assert driver.planned.comparison.pairs() == [("magnitude tuned*", "magnitude")]


def told_best_last(driver: Driver) -> None:
    """Tell four points made-up rows, the last of which is best."""
    for place in range(4):
        point = driver.source.ask()
        assert point
        driver.source.tell(point, [validated(point, 0.5 + place / 100)])


def test_a_strength_that_the_comparison_finds_anew_is_no_method_of_its_own(tmp_path: Path) -> None:
    given = spec(METHODS=["dense", "str"], space={"str.start": -4.75, "str.threshold_lr": 0.085})
    for matched, labels in ((True, ["dense", "str"]), (False, ["dense", "str", "str tuned"])):
        driver = Driver(tmp_path / str(matched), given | {"match_density": matched})
        assert [str(variable) for variable in driver.planned.spaces["str"].dimensions] == ["strength"]
        told_best_last(driver)
        best = tuning._best(driver.planned, driver.studies)
        assert [method.label for method in best.methods] == labels


def test_the_best_points_differ(tmp_path: Path) -> None:
    """Two choices, and four points that draw them: the best is not two or three times in the comparison."""
    space = {"magnitude.begin": 0.0, "magnitude.power": 3.0, "magnitude.end": [0.4, 0.6]}
    given = spec(METHODS=["magnitude"], points=4, top=3, space=space, sampler="random")
    driver = Driver(tmp_path, given)
    for _ in range(4):
        point = driver.source.ask()
        assert point
        driver.source.tell(point, [validated(point, options(point)["end"])])
    points = driver.table()
    assert len({*points["params"]}) == 2
    best = driver.studies["magnitude"].best(3)
    assert [trial.params for trial in best] == [{"end": 0.6}, {"end": 0.4}]
    assert points[points["best"]]["number"].tolist() == sorted(trial.number for trial in best)
    warm = warm_points(driver.planned, tmp_path)["magnitude"]
    assert [values.params() for values in warm] == [{"end": 0.6}, {"end": 0.4}]


def test_values_that_the_comparison_could_not_train_with_are_not_tried(tmp_path: Path) -> None:
    space = {"training.momentum": {"low": 0.0, "high": 0.9}}
    training = {"optimizer": "sgd", "epochs": 1}
    driver = Driver(tmp_path, spec(METHODS=["magnitude"], training=training, space=space))
    with pytest.raises(InputError, match=r"with the comparison's training: .*momentum"):
        told(driver, 4)


def test_a_method_with_a_density_of_its_own_is_searched_at_it(tmp_path: Path) -> None:
    driver = Driver(tmp_path, spec(METHODS=[{"method": "magnitude", "densities": [0.5]}]))
    told(driver, 2)
    assert (driver.table()["density"] == 0.5).all()
    assert (driver.table()["infeasible"] <= 0).all()
    with pytest.raises(InputError, match="density changed"):
        Driver(tmp_path, spec(METHODS=[{"method": "magnitude", "densities": [0.4]}]))
    with pytest.raises(InputError, match=r"search\.density: is required, because 'magnitude' has several"):
        plan(spec(METHODS=[{"method": "magnitude", "densities": [0.5, 0.4]}]), tmp_path)


def test_nothing_is_best_where_nothing_is_sparse_enough(tmp_path: Path) -> None:
    driver = Driver(tmp_path, spec(METHODS=["str"]))
    told(driver, 4, density=0.3)
    assert not driver.table()["best"].any()
    (budgets, _) = search_tables(driver.table())
    assert "str: all points failed, are off the target or are dead, so none is compared" in budgets.notes
    assert [method.label for method in tuning._best(driver.planned, driver.studies).methods] == ["str"]


@pytest.mark.parametrize("begin", [[0.0, 0.02], {"low": 0.2, "high": 0.3}], ids=["default inside", "outside"])
def test_a_grid_in_parallel_runs_no_point_twice(begin: Any, tmp_path: Path) -> None:
    space = {"magnitude.begin": begin, "magnitude.end": [0.5, 0.75], "magnitude.power": 5.0}
    driver = Driver(tmp_path, spec(METHODS=["magnitude"], sampler="grid", points=9, grid=2, space=space))
    asked = []
    while point := driver.source.ask():
        asked.append(json.dumps(options(point)))
    assert len(asked) == len(set(asked)) == 4


GRID = {"magnitude.begin": [0.0, 0.1, 0.2], "magnitude.end": [0.5, 0.6, 0.7], "magnitude.power": 5.0}


def test_a_grid_has_no_points_that_differ_in_options_without_effect(tmp_path: Path) -> None:
    """Only a cubic schedule has a begin and a power."""
    space = {"magnitude.schedule": ["cubic", "one-shot"], "magnitude.begin": [0.0, 0.1]}
    space |= {"magnitude.power": [3.0, 4.0, 5.0], "magnitude.end": 0.6}
    given = spec(METHODS=["magnitude"], sampler="grid", points=9, space=space)
    for most in (3, 20):  # it is continued
        driver = Driver(tmp_path, given)
        for _ in range(most):
            if point := driver.source.ask():
                driver.source.tell(point, [validated(point, 0.5)])
    points = driver.table()
    assert len(points) == points["params"].nunique() == 2 * 3 + 1
    assert not driver.source.ask()


def test_a_continued_grid_goes_on_in_its_order(tmp_path: Path) -> None:
    given = spec(METHODS=["magnitude"], sampler="grid", points=20, space=GRID)
    for most in (4, 3, 20):
        driver = Driver(tmp_path, given)
        for _ in range(most):
            if point := driver.source.ask():
                driver.source.tell(point, [validated(point, 0.5)])
    asked = [*driver.table()["params"]]
    assert len(asked) == 9
    assert len({*asked}) == 9


def test_another_grid_is_gone_through_whatever_an_earlier_one_started(tmp_path: Path) -> None:
    space = GRID | {"magnitude.begin": {"low": 0.0, "high": 0.2}}
    for grid in (3, 4):  # six points of the second are not on the first
        given = spec(METHODS=["magnitude"], sampler="grid", points=30, grid=grid, space=space)
        driver = Driver(tmp_path, given)
        while point := driver.source.ask():
            driver.source.tell(point, [validated(point, 0.5)])
    assert len(driver.table()) == 9 + 6


def test_drivers_that_share_a_database_go_through_one_grid(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    given = spec(METHODS=["magnitude"], sampler="grid", points=20, space=GRID)
    drivers = [Driver(tmp_path, given, url) for _ in range(2)]
    values = [json.dumps(options(p)) for _ in range(9) for driver in drivers if (p := driver.source.ask())]
    assert len({*values}) == len(values) == 9
    for driver in drivers:
        driver.studies["magnitude"].close()


def test_drivers_that_share_a_database_draw_points_of_their_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    drivers = [Driver(tmp_path, spec(METHODS=["magnitude"], points=12), url) for _ in range(2)]
    values = [options(point) for _ in range(6) for driver in drivers if (point := driver.source.ask())]
    assert len({json.dumps(each) for each in values}) == 12
    assert drivers[0].source.ask() is None
    for driver in drivers:
        driver.studies["magnitude"].close()


def test_a_point_that_another_driver_has_told_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: Any
) -> None:
    url, given = f"sqlite:///{tmp_path / 'studies.db'}", spec(METHODS=["magnitude"], points=2)
    one = Driver(tmp_path, given, url)
    point = one.source.ask()
    assert point
    other = Driver(tmp_path, given, url)
    monkeypatch.setattr("switchbench.tuning.study.LEASE_SECONDS", -1)  # no sign of life is young enough
    same = other.source.ask()
    assert same
    assert same.number == point.number
    other.source.tell(same, [validated(same, 0.7)])
    one.source.tell(point, [validated(point, 0.1)])
    assert one.table()["val_accuracy"].tolist() == [0.7]
    for driver in (one, other):
        driver.studies["magnitude"].close()


def test_clocks_that_differ_take_no_point_from_a_living_driver(tmp_path: Path, monkeypatch: Any) -> None:
    """The other machine's clock is a day ahead or behind: only whether the heartbeat changes counts."""
    url, given = f"sqlite:///{tmp_path / 'studies.db'}", spec(METHODS=["magnitude"], points=1)
    one = Driver(tmp_path, given, url)
    assert one.source.ask()
    other = Driver(tmp_path, given, url)
    now = time.time()
    for hours in (24, -24):
        monkeypatch.setattr(time, "time", lambda hours=hours: now + 3600 * hours)
        assert other.source.ask() is None
    monkeypatch.setattr("switchbench.tuning.study.LEASE_SECONDS", 0)
    assert other.source.ask()
    for driver in (one, other):
        driver.studies["magnitude"].close()


def test_open_points_of_many_rounds_are_charged_in_full(tmp_path: Path) -> None:
    driver = Driver(tmp_path, spec(points=12, METHODS=["lottery-ticket"]))
    asked = 0
    while driver.source.ask():
        asked += 1
    budget = 12 * 2 * EPOCH
    assert asked == budget // driver.planned.steps_of_point("lottery-ticket") < 12


def test_a_refused_search_leaves_what_is_there(tmp_path: Path) -> None:
    driver = Driver(tmp_path, spec(METHODS=["magnitude"]))
    told(driver, 2)
    driver.table()
    ledger = driver.planned.ledger
    before = (ledger.folder / "spec.yaml").read_bytes(), len(ledger.results())
    with pytest.raises(InputError, match="the stored study belongs to another search"):
        switchbench.search(
            spec(METHODS=["magnitude"], training={"epochs": 3}) | {"name": "None"},
            tmp_path,
            mlflow_uri="none",
        )
    assert before == ((ledger.folder / "spec.yaml").read_bytes(), len(ledger.results()))


def test_a_budget_of_less_than_a_point_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"search.steps: 5 should be {2 * EPOCH} or more: the budget is in"):
        plan(spec(points=None, steps=5), tmp_path)


def test_a_budget_without_a_point_of_a_method_of_many_rounds_is_one_line(tmp_path: Path) -> None:
    methods = ["magnitude", {"method": "lottery-ticket", "prunings": 2}]
    with pytest.raises(
        InputError, match=r"search.points: 2 should be 3 or more: .* a point of 'lottery-ticket'"
    ):
        plan(spec(points=2, METHODS=methods), tmp_path)
    driver = Driver(tmp_path, spec(points=3, METHODS=methods))
    driver.points()
    assert driver.table()["label"].value_counts().to_dict() == {"magnitude": 3, "lottery-ticket": 1}


def test_a_sampler_that_is_started_again_knows_what_was_told(tmp_path: Path) -> None:
    """TPE to which high values were said to be good draws high, also in another process."""
    space = {
        "magnitude.begin": 0.0,
        "magnitude.end": {"low": 0.4, "high": 0.9},
        "magnitude.power": 3.0,
    }
    given = spec(METHODS=["magnitude"], points=40, space=space)
    first = Driver(tmp_path, given)
    for _ in range(20):
        point = first.source.ask()
        assert point
        first.source.tell(point, [validated(point, options(point)["end"])])
    again = Driver(tmp_path, given)
    drawn = [options(point)["end"] for _ in range(10) if (point := again.source.ask())]
    assert sum(drawn) / 10 > 0.75  # the middle is 0.65


@pytest.mark.slow  # above, pruners stop points in this process, and workers report to one that stops none
def test_a_pruner_stops_points_in_workers(tmp_path: Path, on_shared_ray: None) -> None:
    given = spec(
        pruner="asha",
        points=10,
        METHODS=["magnitude"],
        methods=["magnitude"],
        space={"training.lr": {"low": 1e-7, "high": 1e-2, "log": True}},
        sampler="random",
        training={"epochs": 9},
        parallel=1,
    )
    switchbench.search(given, tmp_path, mlflow_uri="none", console=Console(file=io.StringIO()))
    points = SearchLedger(Ledger(tmp_path)).points()
    assert points is not None
    assert {"pruned", "complete"} == set(points["state"])
    rows = Ledger(tmp_path / "search").results()
    assert set(rows["status"]) == {"pruned", "validated"}
    assert (rows[rows["status"] == "pruned"]["steps"] < 9 * EPOCH).all()


@dataclass
class Reported:
    """A point of Optuna that keeps what is reported on it."""

    steps: list[int] = field(default_factory=list)

    def report(self, value: float, step: int) -> None:
        self.steps.append(step)

    def should_prune(self) -> bool:
        return False


def test_epochs_of_rounds_and_seeds_are_reported_on_under_numbers_of_their_own() -> None:
    config = parse(spec(pruner="median", seeds=2)).search
    assert config
    pruner = PointPruner(cast("Any", None), "study", 0, config, epochs=4, rounds=3, densities=(0, 0.1))
    seen = Reported()
    point = {"val_accuracy": 0.5, "step": 1, "density": 0.1}
    for seed, turn, epoch in itertools.product(range(2), range(3), range(4)):
        pruner._report(seen, seed, point | {"round": turn, "epoch": epoch})
    assert seen.steps == list(range(24))


def away(*arguments: Any, **more: Any) -> NoReturn:
    """What Optuna raises while a database does not answer."""
    raise StorageInternalError("invalid data?") from OSError("no answer from postgresql://me:secret@there/x")


@pytest.mark.parametrize("call", ["set_trial_intermediate_value", "get_study_id_from_name"])
def test_a_point_needs_no_database_while_it_trains(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While epochs are reported to a pruner, or while the worker opens the study."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    given = spec(pruner="median", METHODS=["magnitude"], points=1)
    driver = Driver(tmp_path, given, url)
    point = driver.source.ask()
    assert point
    assert point.pruner
    with monkeypatch.context() as patch:
        patch.setattr(RDBStorage, call, away)
        rows = execute_point(point.trials, driver.job, point.pruner.watchers())
    assert [row.status for row in rows] == ["validated"]
    assert "no answer from postgresql://…@there/x" in caplog.text
    driver.source.tell(point, rows)
    assert driver.table()["state"].tolist() == ["complete"]
    driver.studies["magnitude"].close()


def test_a_search_whose_database_is_lost_says_how_to_go_on(
    tmp_path: Path, without_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it reports the first point, which the same command then finds trained."""
    given, url = spec(METHODS=["magnitude"], points=2), f"sqlite:///{tmp_path / 'studies.db'}"
    tell = StudySource.tell

    def lost(source: StudySource, point: Point, rows: list[Row]) -> None:
        assert progress(source.planned.ledger).driven
        with monkeypatch.context() as patch:
            patch.setattr(RDBStorage, "set_trial_state_values", away)
            tell(source, point, rows)

    def search() -> None:
        console = Console(file=io.StringIO())
        switchbench.search(given, tmp_path, storage=url, mlflow_uri="none", console=console)

    with monkeypatch.context() as patch:
        patch.setattr(StudySource, "tell", lost)
        with pytest.raises(RunStopped) as caught:
            search()
    said = "no answer from postgresql://…@there/x; run the same command again to continue"
    assert str(caught.value) == f"--storage {url}: {said}"
    assert caught.value.exit_code == ExitCode.CLUSTER_LOST
    [first] = (tmp_path / "search" / "trials").iterdir()
    before = first.stat().st_mtime_ns
    monkeypatch.setattr("switchbench.tuning.study.LEASE_SECONDS", -1)  # the first driver has ended
    search()
    assert first.stat().st_mtime_ns == before
    points = SearchLedger(Ledger(tmp_path)).points()
    assert points is not None
    assert points["state"].tolist() == ["complete", "complete"]


def test_a_pruner_compares_no_network_that_is_denser_than_the_target(tmp_path: Path) -> None:
    planned = plan(spec(), tmp_path)
    assert [*planned.densities("magnitude")] == pytest.approx([0, 0.202])
    assert [*planned.densities("str")] == pytest.approx([0.2 / 1.1, 0.22])
    assert planned.infeasibility(0.25, "str") > 0 > planned.infeasibility(0.21, "str")
    assert planned.infeasibility(0.1, "str") > 0
    pruner = PointPruner(
        cast("Any", None), "study", 0, planned.config, epochs=4, rounds=1, densities=planned.densities("str")
    )
    seen = Reported()
    for epoch, density in enumerate((1.0, 0.5, 0.21, 0.1)):
        pruner._report(
            seen, 0, {"round": 0, "epoch": epoch, "val_accuracy": 0.5, "step": 1, "density": density}
        )
    assert seen.steps == [2]


def test_drivers_that_start_together_do_not_overspend_steps(tmp_path: Path) -> None:
    """Both look before either has taken what is left of the budget."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    given = spec(points=None, steps=2 * 2 * EPOCH, METHODS=["magnitude"])
    one, two = Driver(tmp_path / "a", given, url), Driver(tmp_path / "a", given, url)
    assert one.points(1) == 1
    share = one.source._share_left
    racing: list[Any] = []

    def look(label: str) -> float:
        left = share(label)
        if left and not racing:
            racing.append(two.source.ask())
        return left

    one.source._share_left = look  # type: ignore[method-assign]
    assert one.source.ask() is None
    assert racing[0] is not None
    for driver in (one, two):
        for study in driver.studies.values():
            study.close()


@pytest.mark.slow  # test_local_pool.py has the same of a comparison
def test_a_search_trains_each_dense_start_once_and_first(tmp_path: Path, on_shared_ray: None) -> None:
    given = spec(points=3, METHODS=["magnitude"], START={"steps": 30, "batch_size": 64}, parallel=2)
    starts = {start.trial_id for start in plan(given, tmp_path).starts}
    switchbench.search(given, tmp_path, mlflow_uri="none", console=Console(file=io.StringIO()))
    ledger = SearchLedger(Ledger(tmp_path))
    assert plan(given, tmp_path).starts == []
    assert {file.stem for file in (tmp_path / "search" / "networks").iterdir()} == starts
    finished = [row.finished or "" for start in starts if (row := ledger.row(start))]
    assert max(finished) <= min(row.finished or "" for row in ledger.rows())


def test_pictures_show_no_point_as_best_that_is_never_selected() -> None:
    point = {
        "label": "magnitude",
        "state": "complete",
        "objectives": '["val_accuracy"]',
        "params": '{"end": 0.5}',
        "distributions": json.dumps({"end": distribution_to_json(FloatDistribution(0.0, 1.0))}),
    }
    facts = [(0.9, 0.3, None, 0.5), (0.8, 0.0, 1, 0.1), (0.7, None, None, 0.0), (0.6, 0.0, 0, 0.1)]
    table = pd.DataFrame(
        {**point, "number": number, "values": f"[{value}]"}
        | {"infeasible": infeasible, "collapsed": collapsed, "density": density}
        for number, (value, infeasible, collapsed, density) in enumerate(facts)
    )
    assert pictures._study(table).best_trial.number == 3
