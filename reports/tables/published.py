"""Figures of papers beside ours. They are in ``published.csv``, one row per figure."""

import csv
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from switchbench.reports.cells import Cell, Task
from switchbench.reports.tables.table import NOTHING, Entry, Number, Table

CAPTION = (
    "Test accuracy in % that papers report for this network and data set, and our most accurate method at "
    "the nearest density. Counts: what the paper's density counts; weights are those of all linear and "
    "convolution layers, as in our densities here. Papers differ in "
    "training, splits and counting: these figures are for orientation, not for ranking."
)
NEAR = 1.5
"""Largest factor between two densities that are set side by side."""
DENOMINATOR = 1.01
"""Factor between our densities in scope and over all layers from which the table warns."""


@dataclass(frozen=True)
class Figure:
    """A figure of a paper."""

    network: str
    dataset: str
    method: str
    density: float
    accuracy: float
    """A share."""
    denominator: str
    """What the density counts: ``weights`` of all linear and convolution layers."""
    source: str
    year: int


@cache
def figures() -> list[Figure]:
    """Return all figures of papers that the project holds."""
    text = files("switchbench.reports").joinpath("published.csv").read_text(encoding="utf-8")
    return [
        Figure(
            **{key: row[key] for key in ("network", "dataset", "method", "denominator", "source")},
            density=float(row["density"]),
            accuracy=float(row["accuracy"]),
            year=int(row["year"]),
        )
        for row in csv.DictReader(text.splitlines())
    ]


def published(task: Task) -> Table:
    """Figures of papers for the task's network and data set, beside ours."""
    own = [figure for figure in figures() if (figure.network, figure.dataset) == (task.network, task.dataset)]
    rows: list[list[Entry]] = []
    counted_apart = False
    for figure in sorted(own, key=lambda figure: -figure.density):
        cell = _nearest(task, figure.density)
        counted_apart |= cell is not None and _counted_apart(cell)
        rows.append(
            [
                figure.method,
                f"{figure.source} {figure.year}",
                figure.denominator,
                Number(100 * figure.density, significant=3, unit="%"),
                Number(100 * figure.accuracy),
                *_ours(cell),
            ]
        )
    notes = ["Our scope leaves out layers that the papers count: densities of all layers are shown here"]
    header = [
        "paper's method",
        "source",
        "counts",
        "density",
        "accuracy",
        "our method",
        "our density",
        "our accuracy",
    ]
    return Table("published", CAPTION, header, rows, notes if counted_apart else [], keys=2)


def _nearest(task: Task, density: float) -> Cell | None:
    """Return the most accurate cell among those whose density is nearest; None if none is near."""
    cells = [cell for cell in task.cells.values() if cell.accuracy.n and cell.means["density_prunable"] > 0]
    distance = {id(cell): abs(math.log(cell.means["density_prunable"] / density)) for cell in cells}
    nearest = min(distance.values(), default=math.inf)
    if nearest > math.log(NEAR):
        return None
    near = [cell for cell in cells if distance[id(cell)] <= nearest + math.log(DENOMINATOR)]
    return max(near, key=lambda cell: cell.accuracy.mean)


def _counted_apart(cell: Cell) -> bool:
    ratio = cell.means["density_prunable"] / cell.means["density"] if cell.means["density"] else math.inf
    return max(ratio, 1 / ratio) > DENOMINATOR


def _ours(cell: Cell | None) -> list[Entry]:
    if cell is None:
        return [NOTHING, NOTHING, NOTHING]
    density = Number(100 * cell.means["density_prunable"], significant=3, unit="%")
    return [cell.label, density, Number(100 * cell.accuracy.mean, 100 * cell.accuracy.interval)]
