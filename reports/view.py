"""What of a report is shown, and how: methods, densities, columns, order, digits, style."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from switchbench.errors import InputError, unknown
from switchbench.reports.cells import Report
from switchbench.reports.formats.latex import Style
from switchbench.reports.tables.sections import Section
from switchbench.reports.tables.table import DIGITS, Table


@dataclass(frozen=True)
class View:
    """A choice of what is shown. The default shows everything, in the order of the plan."""

    methods: Collection[str] = ()
    """Labels of methods; empty: all."""
    densities: Collection[float] = ()
    """Target densities; empty: all."""
    columns: Sequence[str] = ()
    """Columns of tables, beside those that name a row; tables that have none of them keep all."""
    sort: str | None = None
    """Column that sorts the tables that have it: the largest number first, text from A to Z."""
    ascending: bool = False
    """Whether the smallest number is first, and text from Z to A."""
    digits: int = DIGITS
    """Decimals of accuracies."""
    style: Style = Style.PAPER
    """What LaTeX does with wide tables."""

    def report(self, report: Report) -> Report:
        """Return a report with the chosen methods and densities."""
        return report.only(self.methods, self.densities)

    def sections(self, sections: Sequence[Section]) -> list[Section]:
        """Return tables with the chosen columns, order and digits.

        Raises:
            InputError: No table has a column that was named.
        """
        known = {name for section in sections for table in section.tables for name in table.header}
        for option, names in (("--columns", self.columns), ("--sort", [self.sort] if self.sort else [])):
            for name in names:
                if name not in known:
                    alike = [each for each in known if _is_number(each) == _is_number(name)]
                    raise InputError(f"{option}: {unknown('column', name, alike or known)}")
        return [replace(section, tables=[*map(self.table, section.tables)]) for section in sections]

    def applied(self, sections: Sequence[Section]) -> list[str]:
        """Return the names of the tables that have a column which was named, in their order. Columns that
        tell rows apart are in a table in any case."""
        tables = [table for section in sections for table in section.tables]
        changed = [
            table.name
            for table in tables
            if self.sort in table.header or not {*self.columns}.isdisjoint(table.header[table.keys :])
        ]
        return [*dict.fromkeys(changed)]

    def table(self, table: Table) -> Table:
        """Return a table with the chosen columns, order and digits."""
        shown = replace(table, digits=self.digits)
        if self.sort:
            shown = shown.by(self.sort, self.ascending)
        return shown.only(self.columns)


def _is_number(name: str) -> bool:
    """Tell whether a column is that of a target density."""
    try:
        float(name)
    except ValueError:
        return False
    return True


EVERYTHING = View()
"""Everything, in the order of the plan."""
