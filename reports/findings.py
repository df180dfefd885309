"""What the statistics say, in sentences."""

import math
from collections.abc import Iterator

from switchbench.reports.analyses.across import across
from switchbench.reports.analyses.best import Best, best_by_density
from switchbench.reports.analyses.curves import LOST, crossings
from switchbench.reports.cells import Report, Task
from switchbench.reports.memory import remembered
from switchbench.reports.statistics.contrasts import Contrast
from switchbench.reports.statistics.paired import ALPHA, Verdict
from switchbench.reports.tables.accuracy import warnings
from switchbench.words import plural

FAMILIES = (
    "Findings on the best method are corrected for all pairs of methods, those on two methods for the pairs "
    "of the table of differences alone: what the one shows, the other may leave open."
)
NAMED = 6
"""Most methods that a sentence names."""


@remembered
def findings(report: Report) -> list[str]:
    """Return the findings of a report, the most important first.

    Args:
        report: The report.

    Returns:
        Plain sentences. None claims a difference or an equality that the corrected tests do not show.
    """
    several = len(report.tasks) > 1
    lines: list[str] = []
    for task in report.tasks:
        where = f"On {task.network} with {task.dataset}, scope {task.scope}: " if several else ""
        lines += [where + line for line in _of_task(task)]
    pairs = [FAMILIES] if any(task.contrasts for task in report.tasks) else []
    return [*lines, *pairs, *_over_all(report)]


def _of_task(task: Task) -> Iterator[str]:
    for density in task.densities:
        if best := best_by_density(task, density):
            yield f"At {100 * density:g} % density, {_best(task.whole, density, best)}."
    for contrast in task.contrasts:
        yield from _contrast(task, contrast)
    yield from _crossings(task)
    yield from warnings(task)


def _best(task: Task, density: float, best: Best) -> str:
    accuracy = task.cells[best.label, density].accuracy
    cells = [cell for (_, target), cell in task.cells.items() if target == density and cell.accuracy.n]
    seeds = {frozenset(cell.seeds) for cell in cells}
    on_shared = "" if len(seeds) == 1 else "; on the seeds that methods have in common"
    mean = f"({100 * accuracy.mean:.2f} %, n = {accuracy.n}{on_shared})"
    others = [label for label in task.labels if label in best.not_worse]
    others.sort(key=lambda label: -task.cells[label, density].accuracy.mean)
    if accuracy.n < 2:
        return f"{best.label} has the highest accuracy {mean}; with one seed no test is possible"
    same = [label for label in others if label in best.identical]
    have = "has" if len(same) == 1 else "have"
    shared = f"; {_listed(same)} {have} the same result for every seed" if same else ""
    others = [label for label in others if label not in best.identical]
    untested = [label for label in task.labels if label in best.untested]
    few = f"; too few seeds for a test of {_listed(untested)}" if untested else ""
    if others:
        apart = f"; {_named(others)} not significantly different"
        return f"{best.label} has the highest mean accuracy {mean}{shared}{apart}{few}"
    compared = best.compared - 1 - len(untested)
    if same or not compared:
        return f"{best.label} has the highest mean accuracy {mean}{shared}{few}"
    rest = "the other method" if compared == 1 else f"all {compared} other methods"
    return f"{best.label} is significantly more accurate {mean} than {rest}{few}"


def _contrast(task: Task, contrast: Contrast) -> Iterator[str]:
    """Yield a sentence for each verdict that the tests have reached."""
    words = {
        Verdict.ABOVE: "is more accurate than",
        Verdict.BELOW: "is less accurate than",
        Verdict.EQUAL: "equals",
    }
    label, against = (_with_density(task, each) for each in (contrast.label, contrast.against))
    for verdict, said in words.items():
        at = [f"{100 * d:g} %" for d, each in contrast.differences.items() if each.verdict == verdict]
        if at:
            margin = next(iter(contrast.differences.values())).margin
            within = f" within {100 * margin:g} points" if verdict == Verdict.EQUAL else ""
            yield f"{label} {said} {against}{within} at {', '.join(at)} density."
    undecided = [d for d, each in contrast.differences.items() if each.verdict == Verdict.UNDECIDED]
    if undecided and len(undecided) == len(contrast.differences):
        numbers = [each.more_seeds for each in contrast.differences.values() if each.more_seeds]
        fewest = min(numbers, default=0)
        more = f"; {plural(fewest, 'more seed')} may decide at one of them" if fewest else ""
        yield f"{label} and {against} do not differ significantly at any density{more}."


def _with_density(task: Task, label: str) -> str:
    """Name a method; one that takes no target with the density that it ended at."""
    cell = task.cells.get((label, None))
    return f"{label} (at {100 * cell.means['density']:.3g} % density)" if cell and cell.accuracy.n else label


def _crossings(task: Task) -> Iterator[str]:
    """Say which methods keep within one point of dense, or how far the one goes that goes furthest."""
    found = {label: each for label, each in crossings(task).items() if label in task.labels}
    far = [label for label, each in found.items() if 2 * each.below > each.n]
    known = {label: each for label, each in found.items() if not math.isnan(each.density)}
    lost = f"{100 * LOST:g} percentage point against dense"
    if far:
        lowest = f"{100 * min(task.whole.densities):g} % density"
        yield f"{_listed(far)} lost less than {lost} at all densities down to {lowest}, for most seeds."
    elif known:
        label = min(known, key=lambda each: known[each].density)
        each = known[label]
        kind = "median" if each.below or each.above else "geometric mean"
        interval = f", 95 % interval {100 * each.low:.2g} to {100 * each.high:.2g} %"
        over = f"{kind} of {plural(each.n, 'seed')}{'' if math.isnan(each.low) else interval}"
        yield (
            f"{label} lost {lost} at {100 * each.density:.2g} % density ({over}), the lowest of all methods; "
            "this order is not tested."
        )


def _over_all(report: Report) -> Iterator[str]:
    found = across(report)
    if found.tests is None or not found.labels:
        return
    ranks = found.tests.ranks.tolist()
    best = found.labels[min(range(len(ranks)), key=ranks.__getitem__)]
    test = f"(Friedman, p = {found.tests.p:.3g})"
    if found.tests.p <= ALPHA:
        yield f"Over {len(found.tasks)} tasks methods differ {test}; {best} has the best average rank."
    elif not math.isnan(found.tests.p):
        yield f"Over {len(found.tasks)} tasks no difference between the ranks of methods is shown {test}."


def _named(labels: list[str]) -> str:
    return f"{_listed(labels)} {'is' if len(labels) == 1 else 'are'}"


def _listed(labels: list[str]) -> str:
    shown = labels if len(labels) <= NAMED else labels[: NAMED - 1]
    more = f" and {len(labels) - len(shown)} others" if len(shown) < len(labels) else ""
    return f"{', '.join(shown)}{more}"
