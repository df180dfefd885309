"""Tables of a search: the budget of each method, its best points, and their options.

``points`` is the ledger's table of points: one row per point, with values, params and distributions as JSON.
"""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from switchbench.reports.tables.table import Entry, Table
from switchbench.row import PointState, uses
from switchbench.words import plural

BUDGET_CAPTION = (
    "Budget and best point of each method. A point is a set of options, measured on validation images only. "
    "Points off the target are never selected: denser than a target that the method takes, or more than a "
    "tenth away from it where the method finds its density by itself. Gradient steps are "
    "those of all points, including stopped and failed ones. Defaults: the point with the method's default "
    "options, if the search space contains them."
)
BEST_CAPTION = (
    "The best point of each method, or its Pareto set: means over the search's seeds. Selection makes the "
    "best of many points look better than it is; the comparison on fresh seeds is free of this bias."
)


def search_tables(points: pd.DataFrame) -> list[Table]:
    """Return the tables of a search: budgets and best points. There are none without points."""
    groups = [(str(label), own) for label, own in points.groupby("label", sort=False)]
    return [_budgets(groups), _bests(groups)] if groups else []


def _budgets(groups: Sequence[tuple[str, pd.DataFrame]]) -> Table:
    header = [
        "method",
        "points",
        "complete",
        "stopped",
        "failed",
        "off target",
        "gradient steps",
        "defaults",
        "best",
    ]
    rows: list[list[Entry]] = []
    for label, own in groups:
        states = own["state"].value_counts()
        names, best, defaults = objectives_of(own), own[own["best"]], own[own["origin"] == "defaults"]
        one = len(names) == 1
        rows.append(
            [
                label,
                str(len(own)),
                *(
                    str(states.get(state, 0))
                    for state in (PointState.COMPLETE, PointState.PRUNED, PointState.FAILED)
                ),
                str(int((own["infeasible"] > 0).sum())),
                f"{own['steps'].sum():,.0f}",
                _first(defaults, names),
                _first(best, names) if one else f"{len(best)} on the front",
            ]
        )
    return Table("search", BUDGET_CAPTION, header, rows, [_equality(groups), *_warnings(groups)])


def _warnings(groups: Sequence[tuple[str, pd.DataFrame]]) -> list[str]:
    """Return a line for each method that has no best point, or whose best point is its defaults or dead."""
    lines = []
    for label, own in groups:
        best = own[own["best"]]
        if best.empty and not (own["state"] == PointState.RUNNING).any():
            lines.append(f"{label}: all points failed, are off the target or are dead, so none is compared")
        elif (best["density"] == 0).any():
            lines.append(f"{label}: a best point has no weights left")
        elif list(best["origin"]) == ["defaults"]:
            lines.append(
                f"{label}: no point was better than the defaults, so there is no row '{label} tuned'"
            )
        if "defaults" not in set(own["origin"]):
            lines.append(f"{label}: its defaults are not in the space, so they were not tried")
        if collapsed := int((own["collapsed"] > 0).sum()):
            points = f"{plural(collapsed, 'point')} {'has' if collapsed == 1 else 'have'}"
            lines.append(
                f"{label}: {points} a network that is dead or does no better than guessing; never selected"
            )
    return lines


def _equality(groups: Sequence[tuple[str, pd.DataFrame]]) -> str:
    """Return a line that says whether methods used equal budgets."""
    numbers = {len(own) for _, own in groups}
    steps = {int(own["steps"].sum()) for _, own in groups}
    open_ = [label for label, own in groups if (own["state"] == PointState.RUNNING).any()]
    if open_:
        return f"still running: {', '.join(open_)}"
    if len(groups) == 1:
        return f"one method: {plural(max(numbers), 'point')}, {max(steps):,} gradient steps"
    if len(numbers) == len(steps) == 1:
        points = plural(max(numbers), "point")
        return f"budgets were equal: {points} and {max(steps):,} gradient steps for every method"
    points = "–".join(str(n) for n in sorted({min(numbers), max(numbers)}))
    taken = "–".join(f"{n:,}" for n in sorted({min(steps), max(steps)}))
    return (
        f"methods did not use equal budgets: {points} points and {taken} gradient steps (lowest to highest)"
    )


def _bests(groups: Sequence[tuple[str, pd.DataFrame]]) -> Table:
    names = objectives_of(groups[0][1])
    shown = names if "density" in names else [*names, "density"]
    rows: list[list[Entry]] = []
    for label, own in groups:
        for _, point in own[own["best"]].iterrows():
            values = dict(zip(names, json.loads(point["values"]), strict=True)) | {
                "density": point["density"]
            }
            options = ", ".join(
                f"{key} {_short(value)}" for key, value in json.loads(point["params"]).items()
            )
            rows.append(
                [label, f"#{point['number']}", *(_value(name, values[name]) for name in shown), options]
            )
    return Table("best-points", BEST_CAPTION, ["method", "point", *shown, "options"], rows)


def objectives_of(own: pd.DataFrame) -> list[str]:
    """Return the names of the objectives, which are the same for all points of a method."""
    names: list[str] = json.loads(own["objectives"].iloc[0])
    return names


def _first(points: pd.DataFrame, names: list[str]) -> str:
    """Return the objectives of the first complete point as text."""
    points = points[points["state"] == PointState.COMPLETE]
    if points.empty:
        return "–"
    values = json.loads(points["values"].iloc[0])
    return ", ".join(_value(name, value) for name, value in zip(names, values, strict=True))


def in_words(names: Sequence[str], values: Sequence[float]) -> str:
    """Return values of objectives with their names as text; empty if there are no values.

    Example:
        >>> in_words(["val_accuracy", "val_loss"], [0.975, 0.12])
        'val_accuracy 97.50 %, val_loss 0.12'
    """
    return ", ".join(f"{name} {_value(name, value)}" for name, value in zip(names, values, strict=False))


def _value(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if uses(name).share else f"{value:.4g}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
