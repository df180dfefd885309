"""Tables of costs: of the finished network, of finding its structure, and densities by layer."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from switchbench.reports.cells import LATENCY, Cell, Task
from switchbench.reports.tables.accuracy import target
from switchbench.reports.tables.table import NOTHING, Entry, Number, Table
from switchbench.row import used_as, uses

CAPTION = (
    "Results and costs, means over seeds. Densities are recounted from the finished weights: in scope, of"
    " all linear and convolution weights, of all parameters. MACs are per image with non-zero weights; "
    "speedup is theoretical; MACs without dead units are those of the smaller dense network that "
    "is left when neurons and channels that lie on no path are removed; inputs stay. Training FLOPs are "
    "those of executed matrix products and convolutions, estimated from a "
    "sample of steps, relative to one round of plain training. Peak memory is that of the whole process that "
    "trained, libraries included. Time is training time relative to one "
    "round of plain steps, which are timed at intervals in the same run; lowest to highest over seeds. "
    "Dense adds no cost, so its time shows the error of this measure, which is large if training is short"
    " or the machine is busy."
)
LATENCY_CAPTION = (
    " Latency is the measured time per image of the fastest form of the network: dense, sparse, without dead "
    "units."
)
START_CAPTION = (
    " All methods of a seed started from the same trained dense network; its training is not counted."
)
LAYER_CAPTION = (
    "Density of each linear and convolution layer, recounted from the finished weights, mean over seeds. "
    "Columns are the names of layers in the network."
)


def costs(task: Task) -> Table:
    """Densities, MACs, FLOPs, memory and time by method and target density."""
    measured = task.measured
    columns = [
        column
        for column in _columns()
        if not column.optional or any(column.entry(cell) is not None for cell in measured)
    ]
    rows: list[list[Entry]] = [
        [cell.label, target(cell), *(column.entry(cell) or NOTHING for column in columns)]
        for cell in measured
    ]
    header = ["method", "target", *(column.heading for column in columns)]
    caption = CAPTION + (LATENCY_CAPTION if "latency" in header else "")
    return Table("costs", caption + (START_CAPTION if task.started else ""), header, rows, keys=2)


def layers(task: Task) -> Table:
    """Density of each layer by method and target density."""
    cells = [cell for cell in task.measured if cell.layers]
    names = list(dict.fromkeys(name for cell in cells for name in cell.layers))
    rows: list[list[Entry]] = [
        [
            cell.label,
            target(cell),
            *(Number(100 * cell.layers.get(name, math.nan), digits=3, unit="%") for name in names),
        ]
        for cell in cells
    ]
    return Table("layers", LAYER_CAPTION, ["method", "target", *names], rows, keys=2)


@dataclass(frozen=True)
class _Column:
    heading: str
    entry: Callable[[Cell], Number | None]
    """A cell's entry; None if there is no value."""
    optional: bool = False


def _columns() -> Iterator[_Column]:
    """Yield the columns of rows that have a heading, and the columns computed from several of them."""
    for name in used_as("heading"):
        yield _Column(uses(name).heading, partial(_mean, name), uses(name).optional)
        if name == "macs":
            yield _Column("speedup", _speedup)
    yield _Column("latency", _latency, optional=True)
    yield _Column("training FLOPs", lambda cell: _known(Number(cell.flops, digits=2, unit="×")))
    yield _Column("time", _time)


def _mean(name: str, cell: Cell) -> Number | None:
    shown = uses(name)
    scale, unit = (100, "%") if shown.share else (shown.scale, shown.unit)
    return _known(Number(scale * cell.means[name], digits=shown.digits, unit=unit))


def _speedup(cell: Cell) -> Number | None:
    """Return the theoretical speedup. It assumes a kernel that skips zeros."""
    macs = cell.means["macs"]
    return _known(Number(cell.means["macs_dense"] / macs if macs else math.inf, digits=1, unit="×"))


def _latency(cell: Cell) -> Number | None:
    """Return the measured time per image, in milliseconds."""
    seconds = cell.means.get(LATENCY, math.nan)
    return _known(Number(1e3 * seconds, significant=3, unit=" ms"))


def _time(cell: Cell) -> Number | None:
    """Return the mean of the times, and the lowest and highest if they differ."""
    if not cell.times:
        return None
    low, high = min(cell.times), max(cell.times)
    mean = sum(cell.times) / len(cell.times)
    return Number(mean, ends=(low, high) if f"{low:.3g}" != f"{high:.3g}" else None, significant=3, unit="×")


def _known(number: Number) -> Number | None:
    return None if math.isnan(number.value) else number
