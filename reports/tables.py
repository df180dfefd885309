"""The tables of a report, as text: what they show, in which form, and what their captions say.

To add a table, write a function ``Task -> Grid`` and add it to :data:`TABLES`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from switchbench.reports.cells import Cell, Task
from switchbench.reports.paired import POWER, Difference, Verdict, no_spread
from switchbench.reports.statistics import Summary
from switchbench.row import used_as, uses

CAPTION = (
    "Test accuracy in %, mean ± half-width of the 95 % confidence interval (Student's t) over n seeds; "
    "no interval for n = 1. Columns are target densities of the layers in scope; @ gives the density "
    "that was reached if it differs from the target."
)
COST_CAPTION = (
    "Results and costs, means over seeds. Densities are recounted from the finished weights: in scope, of"
    " all linear and convolution weights, of all parameters. MACs are per image with non-zero weights; "
    "speedup is theoretical; MACs shrunk are those of the smaller dense network without dead neurons and "
    "channels. Training FLOPs are those of executed matrix products and convolutions, estimated from a "
    "sample of steps, relative to one round of plain training. Time is training time relative to one "
    "round of plain steps, which are timed at intervals in the same run; lowest to highest over seeds. "
    "Dense adds no cost, so its time shows the error of this measure, which is large if training is short"
    " or the machine is busy."
)
START_CAPTION = (
    " All methods of a seed started from the same trained dense network; its training is not counted."
)
CONTRAST_CAPTION = (
    "Test accuracy of a method minus that of another, in percentage points: mean over pairs of the same seed "
    "± half-width of the 95 % confidence interval (Student's t). * marks a difference from zero, ≈ equality "
    "within the margin; both are corrected for all differences of this table (Holm). No mark: the data do "
    "not decide. A control is the method without one of its parts: if both are equal, that part has no use."
)
TEST_CAPTION = (
    "Tests of the differences above. p: paired t test of no difference. p equal: two one-sided t tests of "
    "a difference of at least {margin:g} points. Holm: the p before it, corrected for all tests of its "
    "column. Seeds: how many more would decide with a probability of {power:.0%}, if the measured mean and "
    "spread are the true ones."
)
LAYER_CAPTION = (
    "Density of each linear and convolution layer, recounted from the finished weights, mean over seeds. "
    "Columns are the names of layers in the network."
)
NOTHING = "–"
OWN_COLUMN = "own density"
MISSED = 0.01
"""Relative distance from the target density above which the density is shown beside the accuracy."""


@dataclass(frozen=True)
class Grid:
    """A table as text, which all renderers share."""

    caption: str
    header: list[str]
    rows: list[list[str]]
    notes: Sequence[str] = ()
    """Findings, one line each."""


def grids(task: Task) -> list[Grid]:
    """Return the tables of a task, in the order of :data:`TABLES`; tables without rows are left out."""
    made = [table(task) for table in TABLES]
    return [grid for grid in made if grid.rows]


def accuracy(task: Task) -> Grid:
    """Test accuracy by method and target density."""
    own = any(not cell.takes_target for cell in task.cells.values())
    targets = [f"{density:g}" for density in task.densities]
    header = ["method", *targets, *([OWN_COLUMN] if own else []), "n"]
    rows = []
    for label in task.labels:
        cells = [task.cells.get((label, density)) for density in task.densities]
        free = task.cells.get((label, None))
        texts = [_accuracy(cell) for cell in cells]
        if own:
            texts.append(_accuracy(free))
        counts = {cell.accuracy.n for cell in [*cells, free] if cell}
        rows.append([label, *texts, "–".join(str(n) for n in sorted({min(counts), max(counts)}))])
    return Grid(CAPTION, header, rows, [*_idle_methods(task), *_emptied_layers(task)])


def _idle_methods(task: Task) -> Iterator[str]:
    """Yield a line for each method that the training was too short for."""
    idle = {cell.label: cell.idle for cell in task.cells.values() if cell.idle}
    for label, reason in idle.items():
        yield f"{label}: {reason}"


def _emptied_layers(task: Task) -> Iterator[str]:
    """Yield a line for each method that left a layer without connections; nothing flows through it."""
    for label in task.labels:
        found = [
            f"layer {name}{_at_target(cell)} ({seeds} of {cell.accuracy.n} seeds)"
            for cell in task.cells.values()
            for name, seeds in cell.emptied.items()
            if cell.label == label
        ]
        if found:
            yield f"{label}: no connection is left in {', '.join(found)}"


def contrasts(task: Task) -> Grid:
    """Differences between two methods, paired by seed."""
    header = ["method", "against", *(f"{density:g}" for density in task.densities)]
    rows = [
        [contrast.label, contrast.against, *map(_difference, contrast.differences.values())]
        for contrast in task.contrasts
    ]
    return Grid(CONTRAST_CAPTION, header, rows, [contrast.verdict for contrast in task.contrasts])


def tests(task: Task) -> Grid:
    """P-values of the differences, and what they say."""
    tests_of = ["p", "Holm", "p equal", "Holm"]
    header = ["method", "against", "density", "n", "difference", *tests_of, "verdict", "seeds"]
    rows = [
        [contrast.label, contrast.against, f"{density:g}", *_test(difference)]
        for contrast in task.contrasts
        for density, difference in contrast.differences.items()
        if not math.isnan(difference.p)
    ]
    return Grid(TEST_CAPTION.format(margin=100 * task.margin, power=POWER), header, rows)


def costs(task: Task) -> Grid:
    """Densities, MACs, FLOPs and time by method and target density."""
    measured = [cell for cell in task.cells.values() if cell.accuracy.n]
    columns = [
        column
        for column in _cost_columns()
        if not column.optional or any(column.text(cell) for cell in measured)
    ]
    rows = [
        [cell.label, _target(cell), *(column.text(cell) or NOTHING for column in columns)]
        for cell in measured
    ]
    header = ["method", "target", *(column.heading for column in columns)]
    return Grid(COST_CAPTION + (START_CAPTION if task.started else ""), header, rows)


@dataclass(frozen=True)
class _Column:
    heading: str
    text: Callable[[Cell], str]
    """Text of a cell's entry; empty if there is no value."""
    optional: bool = False


def _cost_columns() -> Iterator[_Column]:
    """Yield the columns of rows that have a heading, and the columns computed from several of them."""
    for name in used_as("heading"):
        yield _Column(uses(name).heading, partial(_mean, name), uses(name).optional)
        if name == "macs":
            yield _Column("speedup", _speedup)
    yield _Column("training FLOPs", lambda cell: "" if math.isnan(cell.flops) else f"{cell.flops:.2f}×")
    yield _Column("time", lambda cell: _range(cell.times))


def _mean(name: str, cell: Cell) -> str:
    mean = cell.means[name]
    return "" if math.isnan(mean) else uses(name).template.format(mean)


def _speedup(cell: Cell) -> str:
    """Return the theoretical speedup. It assumes a kernel that skips zeros."""
    macs = cell.means["macs"]
    speedup = cell.means["macs_dense"] / macs if macs else math.inf
    return "" if math.isnan(speedup) else f"{speedup:.1f}×"


def layers(task: Task) -> Grid:
    """Density of each layer by method and target density."""
    cells = [cell for cell in task.cells.values() if cell.layers]
    names = list(dict.fromkeys(name for cell in cells for name in cell.layers))
    rows = [
        [cell.label, _target(cell), *(f"{cell.layers.get(name, math.nan):.3%}" for name in names)]
        for cell in cells
    ]
    return Grid(LAYER_CAPTION, ["method", "target", *names], rows)


TABLES: tuple[Callable[[Task], Grid], ...] = (accuracy, contrasts, tests, costs, layers)
"""The tables of a task, in the order of the report."""


def _at_target(cell: Cell) -> str:
    return f" at {cell.target:g}" if cell.takes_target else ""


def _target(cell: Cell) -> str:
    return f"{cell.target:g}" if cell.takes_target else NOTHING


def _accuracy(cell: Cell | None) -> str:
    if cell is None:
        return ""
    summary = cell.accuracy
    if not summary.n:
        return "none measured"
    short = f" ({summary.n} of {cell.planned})" if summary.n < cell.planned else ""
    missed = cell.takes_target and abs(cell.means["density"] / cell.target - 1) > MISSED
    found = f" @ {cell.means['density']:.2%}" if missed or not cell.takes_target else ""
    return f"{100 * summary.mean:.2f}{_interval(summary)}{short}{found}"


def _difference(difference: Difference) -> str:
    summary = difference.summary
    if not summary.n:
        return "none measured"
    if no_spread(summary):
        return f"{100 * summary.mean:+.2f} (n = {summary.n}, no spread)"
    mark = " *" if difference.verdict in (Verdict.ABOVE, Verdict.BELOW) else ""
    mark += " ≈" if difference.within_margin else ""
    return f"{100 * summary.mean:+.2f}{_interval(summary)}{mark} (n = {summary.n})"


def _test(difference: Difference) -> list[str]:
    """Return the cells of a tested difference."""
    p_values = difference.p, difference.p_corrected, difference.p_equal, difference.p_equal_corrected
    more = f"+{difference.more_seeds}" if difference.more_seeds else NOTHING
    words = {Verdict.EQUAL: "equal", Verdict.UNDECIDED: "undecided"}
    verdict = words.get(difference.verdict, str(difference.verdict))
    if difference.within_margin and difference.verdict != Verdict.EQUAL:
        verdict += ", within the margin"
    mean = f"{100 * difference.summary.mean:+.2f}"
    return [str(difference.summary.n), mean, *map(_p_value, p_values), verdict, more]


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _interval(summary: Summary) -> str:
    return "" if math.isnan(summary.interval) else f" ± {100 * summary.interval:.2f}"


def _range(ratios: list[float]) -> str:
    ends = dict.fromkeys(f"{ratio:.3g}" for ratio in (min(ratios), max(ratios))) if ratios else {}
    return f"{'–'.join(ends)}×" if ends else "–"
