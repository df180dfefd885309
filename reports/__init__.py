"""Tables and figures from stored results alone; knows nothing of methods or training.

``results`` is the ledger's table throughout: one row per planned trial, with status ``ok``
where there is a measurement.

May import: nothing.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from switchbench.reports.contrasts import Pair
from switchbench.reports.figures import accuracy_figure
from switchbench.reports.render import Grid, csv, grid_lines, latex, markdown, print_grid, terminal
from switchbench.reports.search import search_grids
from switchbench.reports.tables import Report, build

__all__ = ["Report", "build", "print_grid", "terminal", "write", "write_search"]


def write(results: pd.DataFrame, folder: Path, title: str, pairs: Sequence[Pair] = ()) -> Report:
    """Write ``table.md``, ``table.csv``, ``table.tex`` and the figure ``accuracy`` (svg, png)."""
    report = build(results, title, pairs)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(markdown(report), encoding="utf-8")
    (folder / "table.csv").write_text(csv(report), encoding="utf-8")
    (folder / "table.tex").write_text(latex(report), encoding="utf-8")
    accuracy_figure(report, folder / "accuracy")
    return report


def write_search(points: pd.DataFrame, folder: Path, title: str) -> list[Grid]:
    """Write ``search.md`` and ``search.html`` of the points of a search; return the former's tables."""
    from switchbench.reports.pictures import write_pictures  # optuna and plotly take their time

    folder.mkdir(parents=True, exist_ok=True)
    grids = search_grids(points)
    lines = [f"# {title}: search", ""]
    for grid in grids:
        lines += [*grid_lines(grid), ""]
    (folder / "search.md").write_text("\n".join(lines), encoding="utf-8")
    write_pictures(points, folder / "search.html", title)
    return grids
