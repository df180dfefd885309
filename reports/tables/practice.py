"""The checklist of good practice as a table."""

from collections.abc import Sequence

from switchbench.reports.checklist import Check
from switchbench.reports.tables.table import Entry, Table

CAPTION = (
    "Good practice (Blalock et al. 2020, What is the State of Neural Network Pruning?, and the rules of this "
    "project), checked by program."
)


def practice(checks: Sequence[Check]) -> Table:
    """Which recommendations the comparison meets, and what would meet the others."""
    rows: list[list[Entry]] = [
        [check.name, "yes" if check.met else "no", check.why, check.spec_change] for check in checks
    ]
    return Table("practice", CAPTION, ["recommendation", "met", "found", "change of the spec"], rows)
