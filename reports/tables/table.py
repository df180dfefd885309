"""A table: numbers and text, which every format renders in its own way."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

NOTHING = "–"
DIGITS = 2
"""Default number of decimals of an accuracy in %."""


@dataclass(frozen=True)
class Number:
    """A number of a table, in full precision, with what is shown around it."""

    value: float
    spread: float = math.nan
    """Half-width of its interval; NaN: none."""
    ends: tuple[float, float] | None = None
    """Ends of an interval that is not symmetric."""
    digits: int | None = None
    """Decimals; None: those that the reader chose for accuracies."""
    significant: int | None = None
    """Significant digits, in place of decimals."""
    floor: float = 0.0
    """A smaller value is shown as ``< floor``; 0: none."""
    signed: bool = False
    unit: str = ""
    """Follows the number without a space, such as ``%`` or ``×``; intervals do not repeat it."""
    mark: str = ""
    """Sign of a finding, which the caption explains."""
    note: str = ""
    """Follows everything else, such as ``(n = 3)``."""
    best: bool = False
    """Whether it is the best of its column."""

    def plain(self, value: float, digits: int, signed: bool = False) -> str:
        """Return a value of this entry as text, without its unit."""
        sign = "+" if signed else ""
        if self.significant is not None:
            shown = np.format_float_positional(
                value, precision=self.significant, fractional=False, trim="-", sign=signed
            )
            return str(shown)
        return f"{value:{sign},.{self.digits if self.digits is not None else digits}f}"

    def text(self, digits: int = DIGITS) -> str:
        """Return the entry as plain text.

        >>> Number(1.5, 0.25, signed=True, mark="*", note="(n = 3)").text()
        '+1.50 ± 0.25 * (n = 3)'
        """
        if math.isnan(self.value):
            return " ".join(part for part in (NOTHING, self.mark, self.note) if part)
        if self.floor and self.value < self.floor:
            return f"< {self.plain(self.floor, digits)}"
        parts = [self.plain(self.value, digits, self.signed) + self.unit]
        if not math.isnan(self.spread):
            parts.append(f"± {self.plain(self.spread, digits)}")
        if self.ends:
            parts.append("({}–{})".format(*(self.plain(end, digits) for end in self.ends)))
        return " ".join([*parts, *(part for part in (self.mark, self.note) if part)])


Entry = str | Number


@dataclass(frozen=True)
class Table:
    """A table that all formats share."""

    name: str
    """Name of its files."""
    caption: str
    header: list[str]
    rows: list[list[Entry]]
    notes: Sequence[str] = ()
    """Findings, one line each."""
    keys: int = 1
    """Number of first columns that name a row."""
    digits: int = DIGITS
    """Decimals of accuracies."""

    def texts(self) -> list[list[str]]:
        """Return the rows as plain text."""
        return [[text(entry, self.digits) for entry in row] for row in self.rows]

    def is_numeric(self, column: int) -> bool:
        """Return whether a column holds numbers, beside empty entries."""
        return any(isinstance(row[column], Number) for row in self.rows)

    def only(self, columns: Iterable[str]) -> "Table":
        """Return the table with the named columns, in their order, after the keys; itself if it has none."""
        kept = [self.header.index(name, self.keys) for name in columns if name in self.header[self.keys :]]
        if not kept:
            return self
        at = [*range(self.keys), *kept]
        return replace(
            self,
            header=[self.header[index] for index in at],
            rows=[[row[index] for index in at] for row in self.rows],
        )

    def of(self, names: Collection[str]) -> "Table":
        """Return the table with those rows whose text keys are all among the names."""
        rows = [
            row for row in self.rows if all(key in names for key in row[: self.keys] if isinstance(key, str))
        ]
        return replace(self, rows=rows)

    def by(self, column: str, ascending: bool = False) -> "Table":
        """Return the table sorted by a column: numbers before text; itself if it has no such column."""
        if column not in self.header:
            return self
        at = self.header.index(column)
        numbers = [row for row in self.rows if not math.isnan(_value(row[at]))]
        others = [row for row in self.rows if math.isnan(_value(row[at]))]
        numbers.sort(key=lambda row: _value(row[at]), reverse=not ascending)
        if not numbers:
            others.sort(key=lambda row: text(row[at]), reverse=ascending)
        return replace(self, rows=[*numbers, *others])


def text(entry: Entry, digits: int = DIGITS) -> str:
    """Return an entry as plain text."""
    return entry if isinstance(entry, str) else entry.text(digits)


def _value(entry: Entry) -> float:
    return math.nan if isinstance(entry, str) else entry.value
