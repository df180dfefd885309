"""Tables of test accuracy: by density, against the dense control, and in numbers that papers ask for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from switchbench.reports.analyses.best import Best, best_by_density
from switchbench.reports.cells import Cell, Task
from switchbench.reports.statistics.seeds import Numbers
from switchbench.reports.statistics.summary import Summary, summarise
from switchbench.reports.tables.differences import nothing_compared
from switchbench.reports.tables.table import NOTHING, Entry, Number, Table

CAPTION = (
    "Test accuracy in %, mean ± half-width of the 95 % confidence interval (Student's t) over n seeds; "
    "no interval for n = 1, or if all seeds are equal. Columns are target densities of the layers in scope."
)
REACHED = " @: the density that was reached, where it is not the target."
BEST = " Bold: the highest mean of the column."
SHARED = " Bold: the highest mean of the column, on the seeds that methods have in common."
NOT_WORSE = (
    " †: paired t tests show no difference from it (Holm's correction over all pairs of methods of the "
    "column), which does not mean equal."
)
HIDDEN = " Methods that are not shown are tested too."
DENSE_CAPTION = (
    "Test accuracy minus that of {dense}, the dense control with the same seed, in percentage points: mean ± "
    "half-width of the 95 % confidence interval (Student's t). Not corrected for the number of intervals: "
    "they decide nothing; the option --baseline of the command report adds tests. A method that ended denser "
    "than a target is not compared at it."
)
SUMMARY_CAPTION = (
    "Test accuracy in % over seeds: mean ± half-width of the 95 % confidence interval (Student's t), median, "
    "standard deviation (SD), lowest and highest. Density is the mean that was reached in scope. Non-zero is "
    "the number of parameters of the whole network that are not zero: a small share of a wide network may "
    "be as many as a large share of a narrow one."
)
OWN_COLUMN = "no target"
"""Column of methods without a target density."""


def accuracy(task: Task) -> Table:
    """Test accuracy by method and target density."""
    own = any(not cell.takes_target for cell in task.cells.values())
    header = ["method", *(f"{density:g}" for density in task.densities), *([OWN_COLUMN] if own else []), "n"]
    best = {density: best_by_density(task, density) for density in task.densities}
    own_best = {density: found.label for density, found in best.items() if found}
    notes = [
        f"the best method at {density:g}, {label}, is not shown"
        for density, label in own_best.items()
        if label not in task.labels
    ]
    notes += _few_seeds(best)
    rows: list[list[Entry]] = []
    for label in task.labels:
        cells = [task.cells.get((label, density)) for density in task.densities]
        free = task.cells.get((label, None))
        row = [_accuracy(cell, best.get(cell.target) if cell else None) for cell in cells]
        row += [_accuracy(free)] if own else []
        counts = {cell.accuracy.n for cell in [*cells, free] if cell}
        rows.append([label, *row, _seeds(counts)])
    return Table("accuracy", _caption(task, rows), header, rows, [*warnings(task), *notes])


def _caption(task: Task, rows: Iterable[Sequence[Entry]]) -> str:
    """Explain what stands in the rows, and nothing else."""
    numbers = [entry for row in rows for entry in row if isinstance(entry, Number)]
    seeds = {frozenset(cell.seeds) for cell in task.cells.values() if cell.accuracy.n}
    caption = CAPTION
    if any("@" in number.note for number in numbers):
        caption += REACHED
    if any(number.best for number in numbers):
        caption += BEST if len(seeds) == 1 else SHARED
    if any(number.mark for number in numbers):
        caption += NOT_WORSE + (HIDDEN if len(task.labels) < len(task.whole.labels) else "")
    return caption


def _few_seeds(best: Mapping[float, Best | None]) -> Iterator[str]:
    """Say at which densities the tests tell no method from the best."""
    at = [
        f"{density:g}"
        for density, found in best.items()
        if found
        and found.not_worse - found.identical
        and len(found.not_worse | found.untested) == found.compared - 1
    ]
    if at:
        densities = ", ".join(at)
        yield (
            f"no method that was compared differs significantly from the best at {densities}; more seeds "
            "could change that"
        )


def to_dense(task: Task) -> Table:
    """Differences from the dense control, paired by seed."""
    control = task.control
    caption = DENSE_CAPTION.format(dense=control.label if control else "dense")
    header = ["method", *(f"{density:g}" for density in task.densities), "n"]
    if not control:
        return Table("to-dense", caption, header, [])
    rows: list[list[Entry]] = []
    for label in task.with_targets():
        differences = [task.differences(label, control.label, density) for density in task.densities]
        row = [
            _from_dense(found, task.cells.get((label, density)))
            for density, found in zip(task.densities, differences, strict=True)
        ]
        rows.append([label, *row, _seeds({len(found) for found in differences if len(found)} or {0})])
    return Table("to-dense", caption, header, rows)


def summary(task: Task) -> Table:
    """Statistics over seeds, and absolute numbers of weights."""
    header = ["method", "target", "density", "non-zero", "n", "accuracy", "median", "SD", "lowest", "highest"]
    rows: list[list[Entry]] = []
    for label, density in task.shown():
        cell = task.cells[label, density]
        if not cell.accuracy.n:
            continue
        percents = 100 * cell.accuracies
        spread = summarise(percents)
        rows.append(
            [
                label,
                target(cell),
                Number(100 * cell.means["density"], digits=3, unit="%"),
                Number(nonzero(cell), digits=0),
                Number(spread.n, digits=0),
                Number(spread.mean, spread.interval),
                Number(float(np.median(percents))),
                Number(spread.std),
                *map(Number, (float(percents.min()), float(percents.max()))),
            ]
        )
    return Table("summary", SUMMARY_CAPTION, header, rows, keys=2)


def nonzero(cell: Cell) -> float:
    """Return the mean number of non-zero parameters of the whole network."""
    return cell.means["density_network"] * cell.means["parameters"]


def target(cell: Cell) -> Entry:
    """Return the target density as a table's entry."""
    return Number(cell.target, significant=6) if cell.takes_target else NOTHING


def _seeds(counts: set[int]) -> Entry:
    """Return the number of seeds, or the lowest and the highest."""
    low, high = min(counts), max(counts)
    return Number(low, digits=0) if low == high else f"{low}–{high}"


def warnings(task: Task) -> list[str]:
    """Return a line for each method that is not compared, never acted, emptied a layer, or guesses."""
    return [*_denser(task), *_idle_methods(task), *_emptied_layers(task), *_guessing_methods(task)]


def _denser(task: Task) -> Iterator[str]:
    """Yield a line for each method that ended denser than a target."""
    found: dict[str, list[str]] = {}
    for cell in task.cells.values():
        if cell.accuracy.n and cell.denser:
            found.setdefault(cell.label, []).append(f"{cell.target:g} (@ {cell.means['density']:.2%})")
    for label, listed in _in_order(task, found):
        yield f"{label}: denser than its target at {listed}, and not compared there"


def _guessing_methods(task: Task) -> Iterator[str]:
    """Yield a line for each method that classifies no better than guessing."""
    found: dict[str, list[str]] = {}
    for cell in task.cells.values():
        if cell.guessing:
            at = f"at {cell.target:g} " if cell.takes_target else ""
            found.setdefault(cell.label, []).append(f"{at}({cell.guessing} of {cell.accuracy.n} seeds)")
    for label, listed in _in_order(task, found):
        yield f"{label}: no better than guessing {listed}"


def _idle_methods(task: Task) -> Iterator[str]:
    """Yield a line for each method that the training was too short for."""
    idle = {cell.label: cell.idle for cell in task.cells.values() if cell.idle}
    for label, reason in idle.items():
        yield f"{label}: {reason}"


def _emptied_layers(task: Task) -> Iterator[str]:
    """Yield a line for each method that left a layer without connections; nothing flows through it."""
    found: dict[str, list[str]] = {}
    for cell in task.cells.values():
        at = f" at {cell.target:g}" if cell.takes_target else ""
        for name, seeds in cell.emptied.items():
            found.setdefault(cell.label, []).append(f"layer {name}{at} ({seeds} of {cell.accuracy.n} seeds)")
    for label, listed in _in_order(task, found):
        yield f"{label}: no connection is left in {listed}"


def _in_order(task: Task, found: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Yield the labels that something was found of, as the plan orders them, with a list of it."""
    yield from ((label, ", ".join(found[label])) for label in task.labels if label in found)


def _accuracy(cell: Cell | None, best: Best | None = None) -> Entry:
    if cell is None:
        return ""
    seeds = cell.accuracy
    if not seeds.n:
        return "none measured"
    notes = [
        f"({seeds.n} of {cell.planned})" if seeds.n < cell.planned else "",
        f"@ {cell.means['density']:.2%}" if cell.missed or not cell.takes_target else "",
    ]
    return Number(
        100 * seeds.mean,
        100 * seeds.interval,
        mark="†" if best and cell.label in best.not_worse - best.identical else "",
        note=" ".join(note for note in notes if note),
        best=best is not None and cell.label in {best.label} | best.identical,
    )


def _from_dense(differences: Numbers, cell: Cell | None) -> Entry:
    if not len(differences):
        return nothing_compared(cell) if cell else ""
    found: Summary = summarise(100 * differences)
    return Number(found.mean, found.interval, signed=True)
