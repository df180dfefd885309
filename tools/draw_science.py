"""Draw the figures of docs/science that no report has, once the results that they are drawn from are stored.

Structure: accuracy against multiply-adds and against measured time, with small dense networks on the same
axes. Exponents: what readers find against what is best on a grid.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from switchbench import results
from switchbench.reports.figures.axes import linear_y, log_limits, log_x, percent_limits
from switchbench.reports.figures.lines import HEIGHT, Series, lines_figure, series
from switchbench.reports.figures.panels import Entry, grid
from switchbench.reports.figures.settings import save_as, settings
from switchbench.reports.figures.style import COLOURS, NO_LINE, SINGLE, Style, styles
from switchbench.reports.statistics.summary import summarise
from switchbench.store.ledger import Ledger

ROOT = Path(__file__).parent.parent
STORED, PAGES = ROOT / "docs" / "results", ROOT / "docs" / "science"
SHOWN = ["granet", "obd", "taylor", "switcher", "switcher-fixed-exponent"]
DENSE = "dense, smaller"
BATCH = 64
EXPONENTS = {
    "SGD": "science-exponents",
    "Adam": "science-exponents-adam",
    "digits": "science-exponents-digits",
    "LeNet-5": "science-exponents-lenet-5",
}
READERS = {"switcher look-ahead": "o", "switcher gradient": "^"}
NEAR = 0.001
"""Exponents whose mean accuracy is as near to the best one's are drawn with it: 0.1 points."""


def main() -> None:
    """Draw all figures."""
    rows = [results(STORED / "science"), results(STORED / "science-dense")]
    structure(rows, "macs_shrunk", "MACs without dead units", PAGES / "structure-macs.svg")
    timed = [with_times("science-structure"), with_times("science-dense")]
    structure(timed, "ms", f"milliseconds for {BATCH} images, fastest form", PAGES / "structure-time.svg")
    exponents(PAGES / "exponents.svg")


def with_times(name: str) -> pd.DataFrame:
    """Return the rows of a comparison with ``ms``, the time of the fastest form of each network."""
    times = Ledger(STORED / name).latencies()
    fastest = times[times["batch"] == BATCH].groupby("trial_id")["seconds"].min()
    rows = results(STORED / name)
    return rows.assign(ms=1e3 * rows["trial_id"].map(fastest))


@settings()
def structure(tables: Sequence[pd.DataFrame], cost: str, title: str, path: Path) -> None:
    """Draw accuracy against a cost: a line for each method, and one of smaller dense networks."""
    pruned, dense = tables
    drawn = [of_cells(name, pruned[pruned["label"] == name], "target_density", cost) for name in SHOWN]
    drawn.append(of_cells(DENSE, dense, "network", cost))

    def scales(panel: Axes, width: float) -> None:
        log_x(panel, log_limits(np.concatenate([each.x for each in drawn])), width)
        linear_y(panel, percent_limits(np.concatenate([each.y for each in drawn])))

    looks = styles([each.label for each in drawn])
    save_as(lines_figure(drawn, looks, scales, (title, "test accuracy (%)")), path)


def of_cells(label: str, rows: pd.DataFrame, by: str, cost: str) -> Series:
    """Return mean accuracy in % with its interval, against the mean cost, of each group of rows."""
    points = []
    for _, cell in rows.groupby(by):
        accuracy = summarise(100 * cell["test_accuracy"])
        points.append((cell[cost].mean(), accuracy.mean, accuracy.interval))
    return series(label, points)


@settings()
def exponents(path: Path) -> None:
    """Draw the exponents that readers found, with the spread of seeds, against the best ones of the grid."""
    looks = {name: Style(colour, "s", NO_LINE) for name, colour in zip(EXPONENTS, COLOURS, strict=False)}
    keys = [Entry(name, look, line=False) for name, look in looks.items()]
    keys += [
        Entry(reader, Style("#555555", marker, NO_LINE), line=False) for reader, marker in READERS.items()
    ]
    made = grid([keys], SINGLE, [HEIGHT], "best exponent of the grid", ["exponent found"])
    panel = made.panels[0][0]
    panel.set_xlim(-0.05, 0.55)
    linear_y(panel, (-0.6, 0.6))
    panel.plot([0, 0.5], [0, 0.5], color="#555555", linewidth=0.7, zorder=1)
    for name, folder in EXPONENTS.items():
        rows = results(STORED / folder)
        for _, cell in rows.groupby("target_density"):
            best, low, high = best_of_grid(cell)
            for reader, marker in READERS.items():
                values = found(cell[cell["label"] == reader])
                panel.plot([low, high], [values.mean()] * 2, color=looks[name].colour, linewidth=0.5)
                panel.errorbar(
                    best,
                    values.mean(),
                    values.std(ddof=1),
                    color=looks[name].colour,
                    marker=marker,
                    linewidth=0.8,
                )
    save_as(made.finished(), path)


def best_of_grid(cell: pd.DataFrame) -> tuple[float, float, float]:
    """Return the fixed exponent of the highest mean validation accuracy, and the range of those near it."""
    fixed = cell[cell["method"] == "switcher-fixed-exponent"]
    means = fixed["val_accuracy"].groupby(fixed["label"].str.split().str[1].astype(float)).mean()
    tried, accuracies = means.index.to_numpy(), means.to_numpy()
    near = tried[accuracies >= accuracies.max() - NEAR]
    return float(tried[accuracies.argmax()]), float(near.min()), float(near.max())


def found(rows: pd.DataFrame) -> "pd.Series[float]":
    """Return the exponents that a reader found, one for each seed."""
    return rows["found"].map(lambda stored: float(json.loads(stored)["exponent"]))


if __name__ == "__main__":
    main()
