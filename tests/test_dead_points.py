"""A search of a method that learns its density, on made-up results: a dead network is nobody's best."""

import io
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from rich.console import Console

from switchbench.methods.parts.paths import Paths
from switchbench.observe.terminal import PointDisplay
from switchbench.reports.search.tables import search_tables
from switchbench.row import PointState, Row, Status
from switchbench.tuning import run as tuning
from switchbench.tuning.plan import SearchPlan, plan
from switchbench.tuning.source import StudySource, _cutting_layers
from switchbench.tuning.storage import StudyStorage
from switchbench.tuning.study import CONSTRAINT, Outcome, Study
from switchbench.tuning.warm import ranks

Result = tuple[float, float, dict[str, float]]
"""Validation accuracy, density and the densities of the layers."""
ALIVE, DEAD, SPARSE = {"1": 0.01, "3": 0.2}, {"1": 0.0, "3": 0.0}, {"1": 0.02, "3": 0.0}


@pytest.fixture
def searched(tmp_path: Path) -> Callable[..., tuple[SearchPlan, Study, StudySource]]:
    """A search of STR at a target of 2 %, told the results of its points."""

    def search(
        results: list[Result], objectives: tuple[str, ...] = ("val_accuracy",), sampler: str = "tpe"
    ) -> tuple[SearchPlan, Study, StudySource]:
        planned = plan(
            {
                "name": "dead", "networks": ["mlp"], "datasets": ["digits"], "methods": ["str"], "densities": [0.02],
                "seeds": 1, "training": {"steps": 2},
                "search": {"points": 20, "seeds": 2, "objectives": [*objectives], "sampler": sampler},
            },
            tmp_path / "out",
        )  # fmt: skip
        planned.ledger.folder.mkdir(parents=True)
        storage = StudyStorage(str(planned.ledger.journal), None)
        study = Study(storage, "s", planned.config, planned.spaces["str"], planned.identity("str"))
        source = StudySource(planned, {"str": study}, PointDisplay(Console(file=io.StringIO()), None, 0))
        for accuracy, density, layers in results:
            point = source.ask()
            assert point is not None
            source.tell(
                point,
                [
                    Row(
                        **asdict(trial.planned), status=Status.VALIDATED, val_accuracy=accuracy, density=density,
                        density_layers=json.dumps(layers if index else ALIVE), steps=2,
                    )
                    for index, trial in enumerate(point.trials)
                ],
            )  # fmt: skip
        return planned, study, source

    return search


def test_a_display_that_fails_ends_no_search(
    searched: Callable[..., tuple[SearchPlan, Study, StudySource]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(PointDisplay, "point_finished", Mock(side_effect=ValueError("closed file")))
    _, study, _ = searched([(0.7, 0.0199, ALIVE)])
    assert study.finished_points == 1
    assert "PointDisplay failed" in caplog.text


def test_a_dead_network_is_never_the_best(
    searched: Callable[..., tuple[SearchPlan, Study, StudySource]],
) -> None:
    planned, study, _ = searched(
        [(0.1, 0.0, DEAD), (0.9, 0.05, ALIVE), (0.8, 0.01, SPARSE), (0.7, 0.0199, ALIVE)]
    )
    assert [trial.number for trial in study.best(None)] == [
        3
    ]  # 1 is too dense, 2 has an empty layer on one seed
    tuning._store(planned, {"str": study})
    points = planned.ledger.points()
    assert points is not None
    assert points["collapsed"].tolist() == [2, 0, 1, 0]
    notes = search_tables(points)[0].notes
    assert (
        "str: 2 points have a network that is dead or does no better than guessing; never selected" in notes
    )
    assert ranks(points).sort_values().index[0] == 3  # also for --warm-start


def test_where_all_are_dead_or_too_dense_there_is_no_best(
    searched: Callable[..., tuple[SearchPlan, Study, StudySource]],
) -> None:
    planned, study, _ = searched([(0.1, 0.0, DEAD), (0.9, 0.05, ALIVE)])
    assert study.best(None) == []
    assert [method.label for method in tuning._best(planned, {"str": study}).methods] == ["str"]
    tuning._store(planned, {"str": study})
    points = planned.ledger.points()
    assert points is not None
    notes = search_tables(points)[0].notes
    assert "str: all points failed, are off the target or are dead, so none is compared" in notes
    assert "str: 1 point has a network that is dead or does no better than guessing; never selected" in notes


def test_a_dead_network_is_on_no_front(
    searched: Callable[..., tuple[SearchPlan, Study, StudySource]],
) -> None:
    _, study, _ = searched(
        [(0.1, 0.0, DEAD), (0.9, 0.05, ALIVE), (0.8, 0.01, ALIVE)], ("val_accuracy", "density")
    )
    assert [trial.number for trial in study.best(None)] == [1, 2]


def test_a_study_with_points_of_an_older_version_continues_with_gp(
    searched: Callable[..., tuple[SearchPlan, Study, StudySource]],
) -> None:
    """Their only constraint is the density, and the sampler wants the same constraints for all points."""
    _, study, _ = searched([], sampler="gp")
    for index in range(10):  # after so many points gp stops drawing at random
        number, _ = study.ask()
        older = study._running.pop(number)
        older.set_constraint(CONSTRAINT, 0.01 * (index - 5))
        study._study.tell(older, 0.5 + 0.01 * index)
    for infeasibility, collapsed in ((-0.01, 2), (0.03, 0), (-0.01, 0)):
        number, _ = study.ask()
        study.tell(number, Outcome(PointState.COMPLETE, [0.9], infeasibility, collapsed))
    study.ask()
    assert [trial.number for trial in study.best(None)] == [12]
    points = study.points("str", None)
    assert [point.collapsed for point in points[9:13]] == [None, 2, 0, 0]
    assert [point.infeasible for point in points[9:13]] == pytest.approx([0.04, -0.01, 0.03, -0.01])


@pytest.mark.parametrize(
    ("network", "scope", "empty", "cutting"),
    [
        ("mlp", "fc", ["1"], 1),
        ("resnet-18", "all", ["layer1.0.conv1", "layer1.0.conv2", "layer3.1.conv2"], 0),
        ("resnet-18", "all", ["conv1"], 1),  # all else has weights, and only biases to pass on
        ("resnet-18", "all", ["layer2.0.conv2"], 0),  # the shortcut has a convolution
        ("resnet-18", "all", ["layer2.0.conv2", "layer2.0.downsample.0"], 2),
        ("resnet-18", "fc", ["layer1.0.conv1"], 0),  # out of scope
    ],
)
def test_only_layers_that_cut_the_input_from_the_output_make_a_network_dead(
    network: str, scope: str, empty: list[str], cutting: int, make_config: Any
) -> None:
    config = make_config("str", None, network=network, scope={"layers": scope})
    row = Row(
        **asdict(config.planned),
        status=Status.VALIDATED,
        density_layers=json.dumps(dict.fromkeys(empty, 0.0)),
    )
    assert _cutting_layers(config, row) == cutting


def test_where_paths_cannot_be_followed_empty_layers_in_scope_count(
    make_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Paths, "_is_transparent", False)
    config = make_config("str", None, network="resnet-18")
    row = Row(**asdict(config.planned), status=Status.VALIDATED, density_layers='{"conv1": 0, "fc": 0}')
    assert _cutting_layers(config, row) == 1


def test_a_point_that_guesses_is_never_the_best(
    searched: Callable[..., tuple[SearchPlan, Study, StudySource]],
) -> None:
    _, study, source = searched([(0.7, 0.0199, ALIVE)])
    point = source.ask()
    assert point
    row = Row(
        **asdict(point.trials[0].planned), status=Status.VALIDATED, density=0.02, density_layers=json.dumps(ALIVE),
        val_accuracy=0.105, val_size=1_000, classes=10, steps=2,
    )  # fmt: skip
    source.tell(point, [row])
    assert [trial.number for trial in study.best(None)] == [0]
    assert study.trials()[-1].user_attrs["collapsed"] == 1
