"""What the statistics say, in sentences."""

import math
from collections.abc import Iterator

from switchbench.reports.analyses.across import across
from switchbench.reports.analyses.best import Ranked, best_by_density
from switchbench.reports.analyses.curves import LOST, crossings
from switchbench.reports.cells import Report, Task
from switchbench.reports.statistics.contrasts import Contrast
from switchbench.reports.statistics.paired import ALPHA, Verdict

NAMED = 6
"""Most methods that a sentence names."""


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
    return [*lines, *_over_all(report)]


def _of_task(task: Task) -> Iterator[str]:
    for density in task.densities:
        if best := best_by_density(task, density):
            yield f"At {100 * density:g} % density, {_best(task, density, best)}."
    for contrast in task.contrasts:
        yield from _contrast(contrast)
    lost = {label: found for label, found in crossings(task).items() if not math.isnan(found.density)}
    if lost:
        label = min(lost, key=lambda each: lost[each].density)
        found = lost[label]
        ends = f" (95 % interval {100 * found.low:.2g} to {100 * found.high:.2g} %)"
        yield (
            f"The lowest density at which a method has lost {100 * LOST:g} percentage point against dense is "
            f"that of {label}: {100 * found.density:.2g} %{'' if math.isnan(found.low) else ends}."
        )


def _best(task: Task, density: float, best: Ranked) -> str:
    accuracy = task.cells[best.label, density].accuracy
    mean = f"({100 * accuracy.mean:.2f} %)"
    others = sorted(best.tied, key=lambda label: -task.cells[label, density].accuracy.mean)
    if accuracy.n < 2:
        return f"{best.label} has the highest accuracy {mean} of one seed, which decides nothing"
    if others:
        return f"{best.label} has the highest mean accuracy {mean}; {_named(others)} not told apart from it"
    return f"{best.label} is the most accurate {mean}: all others are below it"


def _contrast(contrast: Contrast) -> Iterator[str]:
    """Yield a sentence for each verdict that the tests have reached."""
    words = {
        Verdict.ABOVE: "is more accurate than",
        Verdict.BELOW: "is less accurate than",
        Verdict.EQUAL: "equals",
    }
    for verdict, said in words.items():
        at = [f"{100 * d:g} %" for d, each in contrast.differences.items() if each.verdict == verdict]
        if at:
            margin = next(iter(contrast.differences.values())).margin
            within = f" within {100 * margin:g} points" if verdict == Verdict.EQUAL else ""
            yield f"{contrast.label} {said} {contrast.against}{within} at {', '.join(at)} density."
    undecided = [d for d, each in contrast.differences.items() if each.verdict == Verdict.UNDECIDED]
    if undecided and len(undecided) == len(contrast.differences):
        seeds = [each.more_seeds for each in contrast.differences.values() if each.more_seeds]
        fewest = min(seeds, default=0)
        more = f"; {fewest} more {'seed' if fewest == 1 else 'seeds'} may decide one of them" if seeds else ""
        yield f"{contrast.label} and {contrast.against} are not told apart at any density{more}."


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
    shown = labels if len(labels) <= NAMED else labels[: NAMED - 1]
    more = f" and {len(labels) - len(shown)} others" if len(shown) < len(labels) else ""
    verb = "is" if len(labels) == 1 else "are"
    return f"{', '.join(shown)}{more} {verb}"
