"""A table as a fragment of HTML, to be put into any page."""

from switchbench.reports.formats.html_text import as_html
from switchbench.reports.tables.table import Entry, Number, Table, text


def fragment(table: Table) -> str:
    """Return a table with its caption and notes.

    Numbers have the class ``number``, the best of a column the class ``best``; nothing else is styled.
    """
    head = "".join(f'<th scope="col">{as_html(name)}</th>' for name in table.header)
    body = "\n".join(f"<tr>{_row(table, row)}</tr>" for row in table.rows)
    notes = "".join(f"<li>{as_html(note)}</li>" for note in table.notes)
    return (
        f'<table class="{as_html(table.name)}">\n<caption>{as_html(table.caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
        + (f"<ul>{notes}</ul>\n" if notes else "")
    )


def _row(table: Table, row: list[Entry]) -> str:
    return "".join(
        f'<th scope="row">{as_html(text(entry, table.digits))}</th>'
        if at < table.keys
        else f"<td{_class(entry)}>{as_html(text(entry, table.digits))}</td>"
        for at, entry in enumerate(row)
    )


def _class(entry: Entry) -> str:
    if not isinstance(entry, Number):
        return ""
    return ' class="number best"' if entry.best else ' class="number"'
