"""Print how far a comparison has come, once or again and again."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from switchbench.compare.progress import Progress, progress
from switchbench.observe.terminal import plain_console
from switchbench.row import Status
from switchbench.store.ledger import Ledger
from switchbench.store.search import ledgers_of
from switchbench.words import plural

REFRESH_SECONDS = 5.0
LOST = "unfinished: their run has ended (the same command starts them again), or has its driver elsewhere:"
SHOWN = 20
"""Running trials and reasons that are listed; of more, only the number is shown."""
ID_SHOWN = 8
"""Characters of an id. The beginning of an id is enough for ``switchbench trial``."""


def show(folder: Path, watch: bool) -> None:
    """Print the state of a comparison, and of the search before it.

    Args:
        folder: Folder of the comparison.
        watch: Whether to go on until no driver is running.

    Raises:
        InputError: The folder holds no comparison.
    """
    console = plain_console()
    states = _states(folder)
    if not watch:
        console.print(Group(*map(_render, states)))
        return
    with Live(Group(*map(_render, states)), console=console, auto_refresh=False) as live:
        while any(state.driven for state in states):
            time.sleep(REFRESH_SECONDS)
            states = _states(folder)
            live.update(Group(*map(_render, states)), refresh=True)


def _states(folder: Path) -> list[Progress]:
    return [progress(each) for each in ledgers_of(Ledger(folder))]


def _render(state: Progress) -> RenderableType:
    return Group(*_lines(state))


def _lines(state: Progress) -> Iterator[RenderableType]:
    failed, missing = state.counts.get(Status.FAILED, 0), state.counts.get(Status.MISSING, 0)
    where = "running" if state.driven else "not running"
    trials = "trial of its points so far" if state.points is not None else "trial"
    several = "trials of its points so far" if state.points is not None else None
    yield Text(
        f"{state.name}: {state.done} of {plural(state.total, trials, several)} done, {failed} failed, "
        f"{missing} to run; {where}"
    )
    if state.points is not None:
        done = ", ".join(f"{label} {number}" for label, number in state.points.items()) or "none"
        each = f"; {state.points_each} for each method" if state.points_each else ""
        yield Text(f"points done: {done}{each}")
    others = {
        status: state.counts[status] for status in (Status.DIVERGED, Status.SKIPPED) if status in state.counts
    }
    if others:
        yield Text("of these: " + ", ".join(f"{count} {status}" for status, count in others.items()))
    if state.retried:
        yield Text(f"restarted after their process died: {state.retried}")
    if state.per_hour is not None:
        left = "" if state.left is None else f", about {state.left} left"
        rate = f"{state.per_hour:,.{0 if state.per_hour >= 10 else 1}f}"
        yield Text(f"{rate} trials an hour{left}")
    yield from _running(state)
    if state.reasons:
        table = Table("method", "trials", "for example", "why there is no result", box=None)
        for label, reason, count, example in state.reasons[:SHOWN]:
            table.add_row(Text(label), str(count), example[:ID_SHOWN], Text(reason))
        yield from _section(table, len(state.reasons))
    if len(state.hours):
        table = Table("method", "trials", "CPU-hours", "GPU-hours", box=None)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in state.hours.to_dict("records"):
            table.add_row(Text(row["label"]), str(row["trials"]), _hours(row["cpu"]), _hours(row["gpu"]))
        yield from _section(table, len(state.hours))


def _hours(value: float) -> str:
    """Return hours in words.

    >>> _hours(12.345), _hours(0.0004), _hours(0.0)
    ('12.35', '< 0.01', '0')
    """
    return "0" if not value else "< 0.01" if value < 0.01 else f"{value:,.2f}"


def _running(state: Progress) -> Iterator[RenderableType]:
    if not state.running:
        return
    yield Text("")
    yield Text("running:" if state.driven else LOST)
    table = Table("id", "trial", "where", "running for", "attempt", box=None)
    for each in state.running[:SHOWN]:
        since = datetime.now(UTC) - datetime.fromisoformat(each.started)
        name = state.labels.get(each.trial_id, each.trial_id)
        seconds = f"{max(0, round(since.total_seconds())):,} s"
        table.add_row(
            each.trial_id[:ID_SHOWN],
            Text(name),
            f"{each.host}, process {each.process}",
            seconds,
            str(each.attempt),
        )
    yield from _listed(table, len(state.running))


def _section(table: Table, count: int) -> Iterator[RenderableType]:
    yield Text("")
    yield from _listed(table, count)


def _listed(table: Table, count: int) -> Iterator[RenderableType]:
    """Yield a table, and how many of its rows are left out."""
    yield table
    if len(table.rows) < count:
        yield Text(f"and {count - len(table.rows)} more")
