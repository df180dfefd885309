"""Tables of the page: HTML that stands alone, and the numbers by which the browser sorts and exports."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from switchbench.reports.formats import flat
from switchbench.reports.formats.html_text import as_html, bullets
from switchbench.reports.tables.table import Entry, Number, Table, text

PAGE_ROWS = 100
"""Rows of a table that are shown at once. Only these are in the HTML."""
METHOD = "method"
"""Header of a first column that names methods, whose rows follow the legend."""
TITLES = {
    "to-dense": "Difference to dense", "tests": "Tests of the differences", "summary": "Summary over seeds",
    "costs": "Costs", "layers": "Density by layer", "attribution": "What each part is worth",
    "curves": "Area, and where a point is lost", "fronts": "Pareto fronts",
    "published": "Published figures", "rank-tests": "Tests of ranks", "trials": "All trials",
    "search": "Budget of the search", "best-points": "Best points of the search",
}  # fmt: skip
"""Headings where the name of a table's file says too little."""


def title_of(table: Table) -> str:
    """Return the heading of a table.

    Example:
        >>> title_of(Table("to-dense", "", [], [])), title_of(Table("my-table", "", [], []))
        ('Difference to dense', 'My table')
    """
    return TITLES.get(table.name) or table.name.replace("-", " ").capitalize()


def table_html(table: Table, key: str, level: int = 4, opened: bool = True) -> str:
    """Return a table as HTML: heading, table, caption and notes. Scripts add what is interactive.

    Args:
        table: The table; of a long one, the first rows.
        key: Unique name of the table on the page.
        level: Level of its heading.
        opened: Whether it is open at first.

    Returns:
        A ``details`` element.
    """
    kinds = [' class="number"' if table.is_numeric(column) else "" for column in range(len(table.header))]
    head = "".join(
        f'<th scope="col"{kind}>{as_html(name)}</th>' for name, kind in zip(table.header, kinds, strict=True)
    )
    body = "".join(_row(row, kinds, table.digits) for row in table.rows[:PAGE_ROWS])
    more = f"The first {PAGE_ROWS} of {len(table.rows):,} rows." if len(table.rows) > PAGE_ROWS else ""
    title = as_html(title_of(table))
    return (
        f'<details class="table" data-table="{key}"{" open" if opened else ""}>'
        f"<summary><h{level}>{title}</h{level}></summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f'<table aria-describedby="{key}-caption"><thead><tr>{head}</tr></thead>'
        f'<tbody>{body}</tbody></table></div><p class="more">{more}</p>'
        f'<p class="caption" id="{key}-caption">{as_html(table.caption)}</p>'
        f"{bullets(table.notes, 'notes')}</details>"
    )


def table_data(table: Table) -> dict[str, Any]:
    """Return what the browser needs to sort, filter and export a table, as plain values.

    Returns:
        ``columns``: for each, its name, its data as in the CSV file (by the name there; the first is what
        it is sorted by), and, if it holds numbers, its texts and the rows of its best entries.
    """
    columns: list[dict[str, Any]] = []
    for at, name in enumerate(table.header):
        entries = [row[at] for row in table.rows]
        own = replace(table, header=[name], rows=[[entry] for entry in entries])
        column: dict[str, Any] = {"name": name, "data": flat.frame(own).to_dict("list")}
        if table.is_numeric(at):
            column["texts"] = [text(entry, table.digits) for entry in entries]
            best = [row for row, entry in enumerate(entries) if isinstance(entry, Number) and entry.best]
            column |= {"best": best} if best else {}
        columns.append(column)
    follows = bool(table.header) and table.header[0] == METHOD
    return {"name": table.name, "caption": table.caption, "columns": columns, "follows": follows}


def _row(row: Sequence[Entry], kinds: Sequence[str], digits: int) -> str:
    return f"<tr>{''.join(_cell(entry, kind, digits) for entry, kind in zip(row, kinds, strict=True))}</tr>"


def _cell(entry: Entry, kind: str, digits: int) -> str:
    escaped = as_html(text(entry, digits))
    best = isinstance(entry, Number) and entry.best
    return f"<td{kind}>{f'<strong>{escaped}</strong>' if best else escaped}</td>"
