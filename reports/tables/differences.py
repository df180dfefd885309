"""Tables of differences between two methods, paired by seed."""

import math

from switchbench.reports.cells import Cell, Task
from switchbench.reports.statistics.contrasts import Contrast
from switchbench.reports.statistics.paired import POWER, Difference, Verdict
from switchbench.reports.tables.table import NOTHING, Entry, Number, Table

CAPTION = (
    "Test accuracy of a method minus that of another, in percentage points: mean over pairs of the same seed "
    "± half-width of the 95 % confidence interval (Student's t). * marks a difference from zero, ≈ equality "
    "within the margin; both are corrected for all differences of this table (Holm). No mark: the data do "
    "not decide. A method that ended denser than a target is not compared at it. A control is the method "
    "without some of its parts: if both are equal (≈), these have no use."
)
TEST_CAPTION = (
    "Tests of the differences above. p: paired t test of no difference. p equal: two one-sided t tests of "
    "a difference of at least {margin:g} points. Holm: the p to its left, corrected for all tests of its "
    "column. Seeds: how many more would decide with a probability of {power:.0%}, if the measured mean and "
    "spread are the true ones."
)
ATTRIBUTION_CAPTION = (
    "What the parts of a method are worth: its test accuracy minus that of a control without them, in "
    "percentage points, as in the table of differences, with its corrected marks. Undecided: the data do not "
    "say whether the parts have a use. A spec may give a method and its control other options: then "
    "what these are worth is in the number too."
)


def differences(task: Task) -> Table:
    """Differences between two methods, paired by seed."""
    rows: list[list[Entry]] = [
        [
            contrast.label,
            contrast.against,
            *(
                _difference(difference, *_cells(task, contrast, density))
                for density, difference in contrast.differences.items()
            ),
        ]
        for contrast in task.contrasts
    ]
    header = ["method", "against", *(f"{density:g}" for density in task.densities)]
    notes = [contrast.verdict for contrast in task.contrasts]
    return Table("differences", CAPTION, header, rows, notes, keys=2)


def tests(task: Task) -> Table:
    """P-values of the differences, and what they say."""
    p_values = ["p", "p Holm", "p equal", "p equal Holm"]
    header = ["method", "against", "density", "n", "difference", *p_values, "verdict", "seeds"]
    rows: list[list[Entry]] = [
        [contrast.label, contrast.against, Number(density, significant=6), *_test(difference)]
        for contrast in task.contrasts
        for density, difference in contrast.differences.items()
        if not math.isnan(difference.p)
    ]
    caption = TEST_CAPTION.format(margin=100 * task.margin, power=POWER)
    return Table("tests", caption, header, rows, keys=3)


def attribution(task: Task) -> Table:
    """What each part of a method is worth, by its controls."""
    controls = [each for each in task.contrasts if each.against in task.paired.control_of]
    header = ["method", "without it", "density", "worth", "verdict"]
    rows: list[list[Entry]] = [
        [
            contrast.label,
            contrast.against,
            Number(density, significant=6),
            _difference(difference),
            verdict(difference),
        ]
        for contrast in controls
        for density, difference in contrast.differences.items()
        if difference.summary.n
    ]
    return Table("attribution", ATTRIBUTION_CAPTION, header, rows, keys=3)


def _cells(task: Task, contrast: Contrast, density: float) -> list[Cell | None]:
    return [task.cells.get((label, density)) for label in (contrast.label, contrast.against)]


def nothing_compared(*cells: Cell | None) -> str:
    """Say why a difference between two cells has no number."""
    return "denser" if any(cell and cell.accuracy.n and cell.denser for cell in cells) else "none measured"


def _difference(difference: Difference, *cells: Cell | None) -> Entry:
    summary = difference.summary
    if not summary.n:
        return nothing_compared(*cells)
    if summary.constant:
        what = "no spread" if summary.mean else "the same on all seeds"
        return Number(100 * summary.mean, signed=True, note=f"(n = {summary.n}, {what})")
    marks = ["*" if difference.verdict in (Verdict.ABOVE, Verdict.BELOW) else ""]
    marks += ["≈" if difference.within_margin else ""]
    mark = " ".join(mark for mark in marks if mark)
    return Number(
        100 * summary.mean, 100 * summary.interval, signed=True, mark=mark, note=f"(n = {summary.n})"
    )


def _test(difference: Difference) -> list[Entry]:
    """Return the entries of a tested difference."""
    p_values = difference.p, difference.p_corrected, difference.p_equal, difference.p_equal_corrected
    more = difference.more_seeds
    return [
        Number(difference.summary.n, digits=0),
        Number(100 * difference.summary.mean, signed=True),
        *map(p_value, p_values),
        verdict(difference),
        Number(more, digits=0, signed=True) if more else NOTHING,
    ]


def verdict(difference: Difference) -> str:
    """Return what the tests of a difference say, as a table's entry."""
    words = {
        Verdict.EQUAL: "equal",
        Verdict.UNDECIDED: "undecided",
        Verdict.ONE_SEED: "one seed, no verdict",
        Verdict.IDENTICAL: "the same on all seeds",
        Verdict.NO_SPREAD: "no spread, no verdict",
        Verdict.UNMEASURED: "not compared",
    }
    verdict = words.get(difference.verdict, str(difference.verdict))
    within = difference.within_margin and difference.verdict != Verdict.EQUAL
    return f"{verdict}, within the margin" if within else verdict


def p_value(p: float) -> Number:
    """Return a p-value as a table's entry."""
    return Number(p, digits=3, floor=0.001)
