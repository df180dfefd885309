r"""Tables in LaTeX, for ``\input``: booktabs rules, numbers aligned by siunitx.

A table that is wider than the text is split into parts that repeat its first columns, or turned by 90°; a
long one is split into pages. Widths are estimated from the number of characters; tests compile the result.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum

from switchbench.reports.formats import escape
from switchbench.reports.formats.latex_columns import Column, column
from switchbench.reports.tables.sections import Section
from switchbench.reports.tables.table import Table

PACKAGES = r"\usepackage{array,booktabs,rotating,siunitx}"
SEPARATION = 8.0
"""Points between two columns."""
LONGEST_WORD = 30
"""Characters of the longest word that is not broken in a caption."""
COLUMN_WIDTH, TEXT_WIDTH, TEXT_HEIGHT = 225.0, 340.0, 540.0
"""Points, of an article at 10pt: one of two columns, the text of one column, and the height of the text."""
PAGE_LINES, TURNED_LINES = 36, 20
"""Lines of one float's rows, and of one that is turned."""
SET_UP = r"\sisetup{detect-weight,group-minimum-digits=4,group-separator={,}}"


class Style(StrEnum):
    """What is done with a table that is wider than the text."""

    PAPER = "paper"
    """It is split into parts."""
    WIDE = "wide"
    """It is turned by 90°, and split if that is not enough."""


def document(sections: Sequence[Section], problems: Sequence[str], rendered: Callable[[Table], str]) -> str:
    r"""Return all tables of a report, to be read by ``\input`` in any article.

    Args:
        sections: The tables, in groups.
        problems: Lines on the planned trials without a measurement.
        rendered: Returns a table as :func:`floats` does.
    """
    lines = [f"% Needs {PACKAGES}"]
    for section in sections:
        for table in section.tables:
            lines += [rendered(table), "\\clearpage"]
    remarks = [*(note for section in sections for note in section.notes), *problems]
    return "\n".join([*lines, *(f"% {escape.latex(remark)}" for remark in remarks)]) + "\n"


def label_of(folder: str, table: Table) -> str:
    """Return the label of a table, which is as stable as the name of its file."""
    return f"tab:{folder}:{table.name}"


def floats(table: Table, title: str, style: Style = Style.PAPER, label: str = "") -> str:
    r"""Return a table as one or several floats.

    Args:
        table: The table.
        title: Beginning of the caption.
        style: What is done with a table that is too wide.
        label: For ``\\ref``, of the first float; empty: none.

    Returns:
        LaTeX that needs :data:`PACKAGES`.
    """
    columns = [column(table, at) for at in range(len(table.header))]
    turned = style == Style.WIDE and _width(columns) > TEXT_WIDTH
    pages = [*_pages(columns, len(table.rows), TURNED_LINES if turned else PAGE_LINES)]
    blocks = [*_blocks(columns, table.keys, TEXT_HEIGHT if turned else TEXT_WIDTH)]
    parts = [(block, page) for page in pages for block in blocks]
    made = []
    for part, (block, page) in enumerate(parts, 1):
        wide = _width(block) > COLUMN_WIDTH
        kind = "sidewaystable*" if turned else "table*" if wide else "table"
        of_parts = f" (part {part} of {len(parts)})" if len(parts) > 1 else ""
        caption = f"{title}{of_parts}." + (f" {table.caption}" if part == 1 else "")
        made.append(_float(kind, caption, label if part == 1 else "", block, page))
    return "\n".join(made)


def _width(columns: Sequence[Column]) -> float:
    return sum(column.width + SEPARATION for column in columns)


def _blocks(columns: Sequence[Column], keys: int, limit: float) -> Iterator[list[Column]]:
    """Yield groups of columns that fit, about equally many, each with the key columns first."""
    first, rest = [*columns[:keys]], [*columns[keys:]]
    for size in range(len(rest), 1, -1):
        groups = -(-len(rest) // size)
        even = -(-len(rest) // groups)
        blocks = [[*first, *rest[start : start + even]] for start in range(0, len(rest), even)]
        if all(_width(block) <= limit for block in blocks):
            yield from blocks
            return
    yield from ([*first, each] for each in rest)


def _pages(columns: Sequence[Column], rows: int, limit: int) -> Iterator[list[int]]:
    """Yield groups of rows, by their place, that fit on a page."""
    page: list[int] = []
    filled = 0
    for row in range(rows):
        lines = max(column.lines(row) for column in columns)
        if page and filled + lines > limit:
            yield page
            page, filled = [], 0
        page.append(row)
        filled += lines
    yield page


def _float(
    kind: str,
    caption: str,
    label: str,
    columns: Sequence[Column],
    rows: Sequence[int],
) -> str:
    return "\n".join(
        [
            f"\\begin{{{kind}}}",
            "\\centering\\footnotesize",
            f"\\setlength{{\\tabcolsep}}{{{SEPARATION / 2:g}pt}}",
            SET_UP,
            f"\\caption{{{escape.latex(caption, breaks=LONGEST_WORD)}}}",
            *([f"\\label{{{label}}}"] if label else []),
            "\\vspace{4pt}",
            f"\\begin{{tabular}}{{{''.join(column.spec for column in columns)}}}",
            "\\toprule",
            " & ".join(column.head for column in columns) + " \\\\",
            "\\midrule",
            *(" & ".join(column.entry(row) for column in columns) + " \\\\" for row in rows),
            "\\bottomrule",
            "\\end{tabular}",
            f"\\end{{{kind}}}",
        ]
    )
