"""Tables on the terminal."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from switchbench.reports.tables.table import Number, Table, text


def show(table: Table, title: str, console: Console, with_caption: bool = True) -> None:
    """Print a table with its caption and notes. It may be wider than the terminal: no number is cut."""
    if console.quiet:
        return
    caption = Text(table.caption) if with_caption else None
    drawn = RichTable(title=Text(title), title_justify="left", caption=caption, caption_justify="left")
    for index, name in enumerate(table.header):
        drawn.add_column(Text(name), justify="right" if table.is_numeric(index) else "left", no_wrap=True)
    for row in table.rows:
        drawn.add_row(*(_entry(entry, table.digits, console.is_terminal) for entry in row))
    needed = Measurement.get(console, console.options.update(width=10_000), drawn).maximum
    width = max(needed, console.width)
    wide = type(console)(file=console.file, width=width, force_terminal=console.is_terminal)
    wide.print(drawn)
    for note in table.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def _entry(entry: str | Number, digits: int, is_terminal: bool) -> Text:
    """Return an entry. What is bold stands between asterisks where bold cannot be seen, as in a file."""
    shown = text(entry, digits)
    if not (isinstance(entry, Number) and entry.best):
        return Text(shown)
    return Text(shown, style="bold") if is_terminal else Text(f"**{shown}**")
