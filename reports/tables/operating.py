"""Tables of whole curves: areas and the density that costs one point; Pareto fronts."""

import math

from switchbench.reports.analyses.curves import LOST, Crossing, areas, best_area, crossings
from switchbench.reports.analyses.fronts import DRAWS, fronts
from switchbench.reports.cells import Task
from switchbench.reports.tables.table import NOTHING, Entry, Number, Table
from switchbench.words import plural

CURVE_CAPTION = (
    "Area: area under test accuracy against log density, divided by its width: a mean accuracy in % in which "
    "each factor of density counts the same; mean ± half-width of the 95 % confidence interval (Student's t) "
    "over the seeds that were measured at all densities. One point lost: density at which a method has lost "
    "{lost:g} percentage point against the dense network of the same seed, interpolated in log density; "
    "geometric mean over seeds and its 95 % interval, cut at the highest and lowest density. The "
    "area is over target densities, one point lost over those that were reached. Where seeds lie beyond "
    "these, the median, if it is known, and how many lie beyond. Bold: largest area; † no significant "
    "difference from it (corrected over all pairs of methods). Methods that ended denser than a target "
    "are left out, those whose strength was matched to it only if they are more than a tenth denser."
)
FRONT_CAPTION = (
    "Pareto fronts of test accuracy against cost: share of {draws:,} bootstrap draws of the seeds in which a "
    "method is on the front at some density, that is, no other method is as accurate at less cost. Bold: on "
    "the front of the means. Costs are means over seeds; training cost includes what the method adds, and "
    "training time is that of the machine, with whatever else ran there. Few seeds allow few different "
    "draws: three allow ten."
)


def curves(task: Task) -> Table:
    """Areas, and densities at which a method has lost one point."""
    area, lost = areas(task), crossings(task)
    best = best_area(task)
    rows: list[list[Entry]] = []
    for label in task.with_targets():
        if label not in area and label not in lost:
            continue
        summary = area.get(label)
        shown: Entry = NOTHING
        if summary:
            leads = best is not None and label in {best.label} | best.identical
            mark = "†" if best and not leads and label in best.not_worse else ""
            shown = Number(100 * summary.mean, 100 * summary.interval, mark=mark, best=leads)
        n = summary.n if summary else lost[label].n
        rows.append([label, shown, _crossing(lost.get(label), task, n), Number(n, digits=0)])
    caption = CURVE_CAPTION.format(lost=100 * LOST)
    return Table("curves", caption, ["method", "area", "one point lost at", "n"], rows)


def front_shares(task: Task) -> Table:
    """How sure it is that a method is on the Pareto front of accuracy against each cost."""
    found = fronts(task)
    rows: list[list[Entry]] = [
        [
            label,
            *(
                Number(
                    100 * front.shares[label],
                    digits=0,
                    unit="%",
                    best=any(point.on_front for point in front.points if point.label == label),
                )
                for front in found
            ),
        ]
        for label in task.labels
        if found and label in found[0].shares
    ]
    header = ["method", *(front.heading for front in found)]
    notes = []
    if found and found[0].seeds < 3:
        notes.append(f"Shares of {plural(found[0].seeds, 'seed')} say little: add seeds to the spec.")
    return Table("fronts", FRONT_CAPTION.format(draws=DRAWS), header, rows, notes)


def _crossing(crossing: Crossing | None, task: Task, n: int) -> Entry:
    """Return the entry of a crossing; ``n``: the number of seeds that the row shows."""
    if crossing is None:
        return NOTHING
    lowest, highest = min(task.whole.densities), max(task.whole.densities)
    beyond = [] if crossing.n == n else [f"n = {crossing.n}"]
    if crossing.below:
        beyond.append(f"{crossing.below} of {crossing.n} below {100 * lowest:g}%")
    if crossing.above:
        beyond.append(f"{crossing.above} of {crossing.n} above {100 * highest:g}%")
    known = not math.isnan(crossing.low)
    ends = (100 * crossing.low, 100 * crossing.high) if known else None
    note = f"({', '.join(beyond)})" if beyond else ""
    return Number(100 * crossing.density, ends=ends, significant=3, unit="%", note=note)
