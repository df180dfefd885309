"""Fill the tables of README.md, docs/*.md and docs/science/*.md from the stored results that they name.

``make docs`` runs it; ``--check`` writes nothing, and fails if a page would change. A table stands between
``<!-- table: FOLDER -->`` and ``<!-- end -->``; where a folder holds several tasks, one of them is named by
the scope: ``<!-- table: FOLDER, scope fc -->``. Its header says which of the report's tables it is, the
first words of its rows which of that table's rows; pairs of methods, and the margin of equality, come from
the page's own ``switchbench report FOLDER … --pair A:B --margin M``.
"""

import itertools
import re
import shlex
import sys
from functools import cache
from pathlib import Path

from switchbench import reports
from switchbench.reports.formats.markdown import table_lines
from switchbench.reports.search.tables import search_tables
from switchbench.reports.statistics.margin import MARGIN
from switchbench.store.ledger import Ledger
from switchbench.store.search import SearchLedger

ROOT = Path(__file__).parent.parent
TABLE = re.compile(r"(<!-- table: ([^\s,]+)(?:, scope (\S+))? -->\n)(.*?)(?=\n<!-- end -->)", re.DOTALL)
RULE = re.compile(r"[|:-]+")
KEYS = ("against", "target")
"""Names of a second column without which a row is not known from the others."""

Row = tuple[str, ...]
Tables = dict[str, dict[Row, str]]
"""Header → key of a row → its line."""


def filled(page: str) -> str:
    """The page with every table as the stored results have it. Raises ValueError for a row that they
    do not have."""

    def fill(match: re.Match[str]) -> str:
        pairs, margin = _options(page, match[2])
        return match[1] + "\n".join(_lines(match[4], _tables(match[2], match[3], tuple(pairs), margin)))

    return TABLE.sub(fill, page)


def _options(page: str, folder: str) -> tuple[list[tuple[str, str]], float]:
    """The pairs, and the margin as a share, with which the page draws the report of a folder."""
    command = re.search(rf"report {re.escape(folder)}(?=[\s`])((?:\\\n|[^\n`])*)", page)
    words = shlex.split(command[1]) if command else []
    given = list(itertools.pairwise(words))
    pairs = [(one, other) for key, value in given if key == "--pair" for one, other in [value.split(":")]]
    return pairs, next((float(value) / 100 for key, value in given if key == "--margin"), MARGIN)


@cache
def _tables(folder: str, scope: str | None, pairs: tuple[tuple[str, str], ...], margin: float) -> Tables:
    """The tables of the report of a folder."""
    ledger = Ledger(ROOT / folder)
    results, points = ledger.results(), SearchLedger(ledger).points()
    rows = results if scope is None else results[results["scope"] == scope]
    text = reports.text(reports.build(rows, ledger.name(), [*ledger.pairs(), *pairs], margin))
    if points is not None:
        text += "\n".join(line for table in search_tables(points) for line in table_lines(table))
    tables: Tables = {}
    header = ""
    for line, after in zip(text.splitlines(), [*text.splitlines()[1:], ""], strict=True):
        if line.startswith("|") and RULE.fullmatch(after):
            header = line
            tables[header] = {}
        elif line.startswith("|") and not RULE.fullmatch(line):
            tables[header][_key(line, header)] = line
    return tables


def _lines(text: str, tables: Tables) -> list[str]:
    lines, header = text.splitlines(), ""
    for number, line in enumerate(lines):
        if line in tables:
            header = line
        elif line.startswith("|") and not RULE.fullmatch(line):
            if _key(line, header) not in tables.get(header, {}):
                raise ValueError(f"the stored results have no such row: {line}")
            lines[number] = tables[header][_key(line, header)]
    return lines


def _key(line: str, header: str) -> Row:
    return tuple(_cells(line)[: 2 if set(KEYS) & set(_cells(header)[1:2]) else 1])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def main() -> None:
    """Fill every page, or check them."""
    stale = []
    for path in [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "docs" / "science").glob("*.md")),
    ]:
        page = path.read_text(encoding="utf-8")
        if (new := filled(page)) != page:
            stale.append(path.name)
            if "--check" not in sys.argv[1:]:
                path.write_text(new, encoding="utf-8")
    print(f"changed: {', '.join(stale) or 'none'}")
    sys.exit("--check" in sys.argv[1:] and bool(stale))


if __name__ == "__main__":
    main()
