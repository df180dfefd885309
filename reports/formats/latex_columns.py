"""How LaTeX sets a column of a table: numbers aligned by siunitx, what follows them, and text."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from switchbench.reports.formats import escape
from switchbench.reports.tables.table import Entry, Number, Table

WIDTHS = {"ijl.,:;'|!": 2.6, "()[]-frts ": 3.5, "mw%@&±×†<>≈": 7.4, "MW": 8.9}
"""Widths of characters of ``\\footnotesize`` that are far from the others', in points."""
LETTER, CAPITAL = 4.5, 6.4
LONGEST_TEXT = 110.0
"""Points of the widest column of text whose lines are not broken."""
RAGGED = 1.3
"""Factor by which broken lines are longer, because words do not fill them."""
LONGEST_WORD = 12
"""Characters of the longest word that is not broken in such a column."""
LONGEST_HEADING = 8
"""Characters of the longest heading that is not broken into two lines."""
NUMBER = re.compile(r"[+-]?[\d,]+(\.\d+)?")


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    heading: str
    spec: str
    """For the argument of ``tabular``."""
    places: int
    """Number of LaTeX's columns: two if text follows some numbers."""
    width: float
    """Estimated, in points."""
    parts: Sequence[tuple[str, str]]
    """For each row: its number as siunitx reads it, empty if there is none, and the text after it."""
    best: Sequence[bool]
    """For each row: whether it is the best."""

    @property
    def head(self) -> str:
        """The entry of the heading."""
        lines = [escape.latex(line) for line in _lines(self.heading)]
        shown = lines[0] if len(lines) == 1 else f"\\shortstack{{{lines[0]}\\\\{lines[1]}}}"
        return f"\\multicolumn{{{self.places}}}{{c}}{{{shown}}}" if self.spec.startswith("S") else shown

    def lines(self, row: int) -> int:
        """Estimate how many lines an entry takes: several in a column of long text."""
        if self.spec == "l" or self.spec.startswith("S"):
            return 1
        return math.ceil(RAGGED * _points(self.parts[row][1]) / self.width)

    def entry(self, row: int) -> str:
        """Return an entry of the column."""
        number, after = self.parts[row]
        if not self.spec.startswith("S"):
            return escape.latex(after, breaks=0 if self.spec == "l" else LONGEST_WORD)
        if not number:
            return f"\\multicolumn{{{self.places}}}{{c}}{{{escape.latex(after)}}}"
        bold = "\\bfseries " if self.best[row] else ""
        return bold + number + (f" & {escape.latex(after)}" if self.places == 2 else "")


def column(table: Table, at: int) -> Column:
    """Describe a column of a table."""
    entries, heading = [row[at] for row in table.rows], table.header[at]
    units = {entry.unit.strip() for entry in entries if isinstance(entry, Number)}
    unit = next(iter(units)) if len(units) == 1 else ""
    parts = [_split(entry, table.digits, unit) for entry in entries]
    numbers = [number for number, _ in parts if number]
    best = [isinstance(entry, Number) and entry.best for entry in entries]
    heading += f" ({unit})" if unit and numbers else ""
    wide = max(map(_points, _lines(heading)))
    if not numbers:
        wide = max([_points(heading), *(_points(after) for _, after in parts)])
        long, width = wide > LONGEST_TEXT, min(wide, LONGEST_TEXT)
        spec = f">{{\\raggedright\\arraybackslash}}p{{{width:.0f}pt}}" if long else "l"
        return Column(heading, spec, 1, width, parts, best)
    size, digits = _format(numbers)
    after = max(_points(after) for number, after in parts if number)
    alone = max((_points(after) for number, after in parts if not number), default=0)
    spec = f"S[table-format={size}]" + ("@{\\,}l" if after else "")
    width = max(digits + (after + 2 if after else 0), wide, alone)
    return Column(heading, spec, 2 if after else 1, width, parts, best)


def _split(entry: Entry, digits: int, unit: str) -> tuple[str, str]:
    """Return an entry's number as siunitx reads it, and the text after it; without a number, all is text."""
    if isinstance(entry, str):
        return "", entry
    written = (replace(entry, unit="") if unit else entry).text(digits)
    number = NUMBER.match(written)
    return (number[0].replace(",", ""), written[number.end() :].strip()) if number else ("", written)


def _points(text: str) -> float:
    """Estimate the width of text, in points."""
    return sum(map(_width, text))


@cache
def _width(character: str) -> float:
    for group, width in WIDTHS.items():
        if character in group:
            return width
    return CAPITAL if character.isupper() or not character.isascii() else LETTER


def _format(numbers: Sequence[str]) -> tuple[str, float]:
    """Return siunitx's format of some numbers, and its width in points."""
    whole = max(len(number.lstrip("+-").partition(".")[0]) for number in numbers)
    decimals = max(len(number.partition(".")[2]) for number in numbers)
    sign = "+" if any(number[0] in "+-" for number in numbers) else ""
    longest = sign + "0" * whole + "," * (whole // 4) + ("." + "0" * decimals if decimals else "")
    return f"{sign}{whole}.{decimals}", _points(longest) + (3 if sign else 0)


def _lines(heading: str) -> list[str]:
    """Break a long heading of several words into two lines of about the same length."""
    words = heading.split()
    if len(words) < 2 or len(heading) <= LONGEST_HEADING:
        return [" ".join(words)]
    breaks = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words))]
    return [*min(breaks, key=lambda lines: max(map(len, lines)))]
