"""The Python API reads what is stored, and shows it in notebooks."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import switchbench
from switchbench import reports
from switchbench.errors import InputError

PUBLISHED = Path(__file__).parent.parent / "docs" / "results"
SPEC = {
    "name": "api",
    "networks": [{"network": "mlp", "hidden": [20]}],
    "datasets": ["digits"],
    "methods": ["dense", "magnitude"],
    "densities": [0.2],
    "seeds": 2,
    "training": {"epochs": 3},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, module_without_ray: None) -> Path:
    out = tmp_path_factory.mktemp("api") / "out"
    switchbench.run(SPEC, out, mlflow_uri="none")
    return out


def test_results_are_those_of_the_run_and_know_their_folder(folder: Path) -> None:
    found = switchbench.results(folder)
    assert isinstance(found, switchbench.Results)
    assert found.attrs["folder"] == str(folder)
    assert found["status"].tolist() == ["ok"] * 4
    again = switchbench.run(SPEC, folder, mlflow_uri="none")
    pd.testing.assert_frame_equal(pd.DataFrame(found), pd.DataFrame(again))
    assert type(found[found["seed"] == 0]) is pd.DataFrame


def test_in_a_notebook_results_are_the_table_of_accuracies(folder: Path) -> None:
    found = switchbench.results(folder)
    shown = found._repr_html_()
    mean = 100 * found.loc[found["label"] == "magnitude", "test_accuracy"].mean()
    assert f"{mean:.2f}" in shown
    assert "small" not in shown
    assert "mlp on digits, scope fc" in shown
    table = reports.build(found, "").tasks
    assert len(table) == 1


def test_curves_say_which_trial_they_are_of(folder: Path) -> None:
    curves = switchbench.curves(folder)
    assert len(curves) == 4 * 3
    last = curves[curves["epoch"] == 2].set_index("trial_id")["val_accuracy"]
    results = switchbench.results(folder).set_index("trial_id")["val_accuracy"]
    assert last.sort_index().tolist() == results.sort_index().tolist()
    assert {"label", "target_density", "seed"} <= {*curves.columns}


def test_best_points_are_those_of_the_published_search() -> None:
    best = switchbench.best_points(PUBLISHED / "search-switcher")
    assert best["best"].all()
    assert best["label"].tolist() == ["switcher"]


def test_a_folder_without_a_search_says_so(folder: Path) -> None:
    with pytest.raises(InputError, match="holds no search"):
        switchbench.best_points(folder)


def test_methods_have_a_line_each() -> None:
    listed = switchbench.list_methods()
    assert {"magnitude", "switcher"} <= listed.keys()
    assert all(listed.values())


def test_completion_shows_what_there_is() -> None:
    shown: list[Any] = dir(switchbench)
    assert {"run", "results", "curves", "best_points", "report", "load_network", "list_methods"} <= {*shown}
    assert not {"Any", "TYPE_CHECKING", "import_module", "version"} & {*shown}
    assert all(hasattr(switchbench, name) for name in shown)
