"""Draw a search with Optuna's plots, as a part of the page.

Studies are rebuilt from the stored points, so published points give the same pictures.
"""

import json
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import optuna
import pandas as pd
from optuna import visualization
from optuna.distributions import json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from switchbench.reports.formats.html_text import as_html
from switchbench.reports.page.packed import packed
from switchbench.reports.search.tables import objectives_of
from switchbench.row import PointState, never_selected, uses

STATES = {
    PointState.COMPLETE: TrialState.COMPLETE,
    PointState.PRUNED: TrialState.PRUNED,
    PointState.FAILED: TrialState.FAIL,
}
FACTS = ("infeasible", "collapsed", "density")
"""Columns that say whether a point may be selected."""
CONTOURS = 4
"""Number of dimensions in the contour plot: the most important ones."""


def pictures(points: pd.DataFrame, level: int = 3) -> str:
    """Return every picture of every method's points as HTML for the page.

    Args:
        points: The ledger's table of points, one row per point.
        level: Level of the headings, which name the methods.

    Returns:
        For each method a heading and its figures. A figure is plotly's description, compressed; the page's
        own copy of plotly draws it.
    """
    parts = []
    for label, own in points.groupby("label", sort=False):
        parts.append(f"<h{level}>{as_html(str(label))}</h{level}>")
        for heading, draw in _pictures(_study(own), objectives_of(own)):
            parts.append(
                f"<figure class='picture'><figcaption>{as_html(heading)}</figcaption>{_drawn(draw)}</figure>"
            )
    return "\n".join(parts)


def _drawn(draw: Callable[[], Any]) -> str:
    """Return a compressed figure, or why there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure = draw()
    except Exception as error:  # optuna raises many kinds if there are too few points
        return f"<p class='caption'>not drawn: {as_html(str(error) or type(error).__name__)}</p>"
    figure.update_layout(template=None)  # colours and fonts are those of the page
    return f"<script type='application/gzip'>{packed(figure.to_json())}</script>"


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
                    constraints={"selected": float(never_selected(*map(point.get, FACTS)))},
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
