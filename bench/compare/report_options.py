"""What a report can be asked to show. The command line imports this; pandas is not needed."""

from collections.abc import Sequence
from dataclasses import dataclass

from switchbench.reports.statistics.margin import MARGIN


@dataclass(frozen=True)
class ReportOptions:
    """What a report shows."""

    pairs: Sequence[tuple[str, str] | str] = ()
    """Pairs of labels of methods whose difference is shown, paired by seed, also as ``A:B``."""
    baseline: str | None = None
    """Label of a method that all others are compared with."""
    margin: float = 100 * MARGIN
    """Differences of accuracy that are smaller, in percentage points, count as equal."""
    methods: Sequence[str] = ()
    """Labels of methods that are shown, also several in one text with commas between; empty: all."""
    densities: Sequence[str] = ()
    """Target densities that are shown, in the same form."""
    columns: Sequence[str] = ()
    """Columns of tables that are shown, in the same form."""
    sort: str | None = None
    """Column that sorts tables; with ``:ascending``, the smallest number is first."""
    digits: int = 2
    """Decimals of accuracies."""
    style: str = "paper"
    """What LaTeX does with wide tables: ``paper`` splits them, ``wide`` turns them by 90°."""


DEFAULTS = ReportOptions()
"""All methods and densities, the default margin, no pairs."""
