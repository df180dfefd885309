"""Draw a search with Optuna's plots, in one self-contained HTML file.

Studies are rebuilt from the stored points, so published points give the same pictures.
"""

import html
import json
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna import visualization
from optuna.distributions import json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from switchbench.reports.search.tables import objectives_of
from switchbench.row import PointState, uses

STATES = {
    PointState.COMPLETE: TrialState.COMPLETE,
    PointState.PRUNED: TrialState.PRUNED,
    PointState.FAILED: TrialState.FAIL,
}
CONTOURS = 4
"""Number of dimensions in the contour plot: the most important ones."""
STYLE = "body{font-family:sans-serif;max-width:1100px;margin:2em auto;padding:0 1em}"
STYLE += "p.none{color:#666}.picture{overflow-x:auto}"


def write_pictures(points: pd.DataFrame, path: Path, title: str) -> None:
    """Write every picture of every method's points as one self-contained HTML file."""
    parts = [f"<h1>{html.escape(title)}: search</h1>"]
    library: bool = True
    for label, own in points.groupby("label", sort=False):
        parts.append(f"<h2>{html.escape(str(label))}</h2>")
        for heading, draw in _pictures(_study(own), objectives_of(own)):
            parts.append(f"<h3>{html.escape(heading)}</h3>")
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    figure = draw()
                drawn = figure.to_html(full_html=False, include_plotlyjs=library)
                parts.append(f"<div class='picture'>{drawn}</div>")
                library = False
            except Exception as error:  # optuna raises many kinds if there are too few points
                parts.append(
                    f"<p class='none'>not drawn: {html.escape(str(error) or type(error).__name__)}</p>"
                )
    heading = f"<title>{html.escape(title)}: search</title>"
    head = f"<head><meta charset='utf-8'>{heading}<style>{STYLE}</style></head>"
    path.write_text(
        f"<!doctype html><html lang='en'>{head}<body>{''.join(parts)}</body></html>", encoding="utf-8"
    )


def _study(own: pd.DataFrame) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    objectives = objectives_of(own)
    highest, lowest = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
    study = optuna.create_study(
        directions=[highest if uses(name).higher_is_better else lowest for name in objectives]
    )
    for point in own.sort_values("number").to_dict("records"):
        if point["state"] in STATES:
            state = STATES[point["state"]]
            study.add_trial(
                create_trial(
                    state=state,
                    values=json.loads(point["values"]) if state == TrialState.COMPLETE else None,
                    params=json.loads(point["params"]),
                    distributions={
                        name: json_to_distribution(text)
                        for name, text in json.loads(point["distributions"]).items()
                    },
                )
            )
    return study


def _pictures(study: optuna.Study, objectives: list[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the heading of each picture and a function that draws it."""
    several = len(objectives) > 1
    if several and len(objectives) <= 3:
        yield "Pareto front", partial(visualization.plot_pareto_front, study, target_names=objectives)
    for number, name in enumerate(objectives):
        objective: dict[str, Any] = {"target_name": name} | (
            {"target": partial(_value, number)} if several else {}
        )
        of = f" of {name}" if several else ""
        yield f"History{of}", partial(visualization.plot_optimization_history, study, **objective)
        yield f"Importance{of}", partial(visualization.plot_param_importances, study, **objective)
        yield f"Parallel coordinates{of}", partial(visualization.plot_parallel_coordinate, study, **objective)
        yield f"Contours{of}", partial(_contours, study, objective)
        yield f"Slices{of}", partial(visualization.plot_slice, study, **objective)


def _value(number: int, trial: FrozenTrial) -> float:
    return float(trial.values[number])


def _contours(study: optuna.Study, objective: dict[str, Any]) -> Any:
    weights = optuna.importance.get_param_importances(study, target=objective.get("target"))
    figure = visualization.plot_contour(study, params=[*weights][:CONTOURS], **objective)
    figure.update_layout(height=800)
    return figure
