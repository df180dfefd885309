"""Tables and figures from stored results alone; knows nothing of methods or training.

``results`` always is the ledger's table: one row per planned trial. Measured trials have the status ``ok``.

May import: nothing.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from switchbench.reports import escape
from switchbench.reports.cells import Report, build
from switchbench.reports.contrasts import Pair
from switchbench.reports.figures import accuracy_figure
from switchbench.reports.paired import MARGIN
from switchbench.reports.render import csv, grid_lines, latex, markdown, print_grid, terminal
from switchbench.reports.search_tables import search_grids
from switchbench.reports.tables import Grid

__all__ = ["Report", "build", "print_grid", "terminal", "write", "write_search"]


def write(
    results: pd.DataFrame, folder: Path, title: str, pairs: Sequence[Pair] = (), margin: float = MARGIN
) -> Report:
    """Write ``table.md``, ``table.csv``, ``table.tex`` and the figure ``accuracy`` (svg, png).

    Args:
        results: The ledger's table.
        folder: Where the files are written; it is created.
        title: Heading of the report.
        pairs: Pairs of labels whose difference is shown beside methods and their controls.
        margin: Differences of accuracy that are smaller, as shares, count as equal.

    Returns:
        The report, for other renderers.

    Raises:
        OSError: A file cannot be written.
    """
    report = build(results, title, pairs, margin)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(markdown(report), encoding="utf-8")
    (folder / "table.csv").write_text(csv(report), encoding="utf-8")
    (folder / "table.tex").write_text(latex(report), encoding="utf-8")
    accuracy_figure(report, folder / "accuracy")
    return report


def write_search(points: pd.DataFrame, folder: Path, title: str) -> list[Grid]:
    """Write the tables ``search.md`` and the pictures ``search.html`` of a search.

    Args:
        points: The ledger's table of points, one row per point.
        folder: Where the files are written; it is created.
        title: Name of the search.

    Returns:
        The tables of ``search.md``.

    Raises:
        OSError: A file cannot be written.
    """
    from switchbench.reports.search_plots import write_pictures  # imports optuna and plotly, which is slow

    folder.mkdir(parents=True, exist_ok=True)
    grids = search_grids(points)
    lines = [f"# {escape.markdown_line(title)}: search", ""]
    for grid in grids:
        lines += [*grid_lines(grid), ""]
    (folder / "search.md").write_text("\n".join(lines), encoding="utf-8")
    write_pictures(points, folder / "search.html", title)
    return grids
