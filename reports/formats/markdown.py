"""Tables and whole reports in Markdown."""

from collections.abc import Callable, Iterable, Sequence

from switchbench.errors import printable
from switchbench.reports.formats import escape
from switchbench.reports.tables.sections import Section
from switchbench.reports.tables.table import Number, Table, text


def document(
    title: str,
    sections: Sequence[Section],
    problems: Sequence[str] = (),
    findings: Sequence[str] = (),
    rendered: Callable[[Table], Sequence[str]] | None = None,
) -> str:
    """Return a whole report.

    Args:
        title: Heading of the report.
        sections: The tables, in groups.
        problems: Lines on the planned trials without a measurement.
        findings: What the statistics say, in sentences.
        rendered: Returns the lines of a table, if they are known already.

    Returns:
        The text of the file.
    """
    lines = [f"# {escape.markdown_line(title)}", ""]
    lines += ["## Findings", "", *bullets(findings), ""] if findings else []
    for section in sections:
        lines += [f"## {escape.markdown_line(section.title)}", ""]
        lines += [line for table in section.tables for line in (rendered or table_lines)(table)]
        lines += [*bullets(section.notes), ""] if section.notes else []
    if not sections and not problems:
        lines.append("No trial is planned: there is nothing to report.")
    if problems:
        lines += ["Trials without a measurement:", "", *bullets(map(printable, problems))]
    return "\n".join(lines) + "\n"


def table_lines(table: Table) -> list[str]:
    """Return the lines of a table, with its caption and notes."""
    alignment = ["---:" if table.is_numeric(column) else "---" for column in range(len(table.header))]
    lines = [_row(map(escape.markdown, table.header)), f"|{'|'.join(alignment)}|"]
    lines += [
        _row(_bold(escape.markdown(text(entry, table.digits)), entry) for entry in row) for row in table.rows
    ]
    lines += ["", escape.markdown_line(table.caption), ""]
    return [*lines, *bullets(table.notes), ""] if table.notes else lines


def bullets(lines: Iterable[str]) -> list[str]:
    """Return a list of plain lines in Markdown."""
    return [f"- {escape.markdown_line(line)}" for line in lines]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bold(escaped: str, entry: str | Number) -> str:
    return f"**{escaped}**" if isinstance(entry, Number) and entry.best else escaped
