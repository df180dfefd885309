"""The best points of another search, which a search tries first."""

import json
from pathlib import Path

import pandas as pd

from switchbench.errors import InputError
from switchbench.row import PointState, never_selected, to_minimise
from switchbench.store.ledger import Ledger
from switchbench.store.search import SearchLedger
from switchbench.tuning.plan import SearchPlan
from switchbench.tuning.values import Values

WARM_POINTS = 5
"""Largest number of points that a method takes from another search."""


def warm_points(planned: SearchPlan, folder: str | Path | None) -> dict[str, list[Values]]:
    """Return the best points of another search, by label.

    Args:
        planned: The search that tries them.
        folder: Folder of the other search; None: there is none.

    Raises:
        InputError: The folder holds no search, or no complete point of a method that is searched.
    """
    if folder is None:
        return {}
    other = Ledger(folder)
    points = SearchLedger(other).points()
    if points is None:
        what = "no search is stored there" if other.folder.exists() else "no such folder"
        raise InputError(f"--warm-start {folder}: {what}")
    warm: dict[str, list[Values]] = {}
    for label in planned.spaces:
        complete = points[(points["label"] == label) & (points["state"] == PointState.COMPLETE)]
        ranked = complete.assign(rank=ranks(complete), not_best=~complete["best"])
        best = ranked.sort_values(["not_best", "rank", "number"]).drop_duplicates("params")
        warm[label] = [Values.from_params(json.loads(text)) for text in best.head(WARM_POINTS)["params"]]
    if not any(warm.values()):
        raise InputError(f"--warm-start {folder}: no complete points of {', '.join(planned.spaces)}")
    return warm


def ranks(points: pd.DataFrame) -> "pd.Series[float]":
    """Return the ranks of points by their first objective, best first. Infeasible points come last."""
    costs = [
        to_minimise(json.loads(names)[0], json.loads(values)[0])
        for names, values in zip(points["objectives"], points["values"], strict=True)
    ]
    found: pd.Series[float] = pd.Series(costs, index=points.index, dtype=float).rank()
    facts = zip(points["infeasible"], points["collapsed"], points["density"], strict=True)
    return found + len(points) * pd.Series([never_selected(*each) for each in facts], index=points.index)
