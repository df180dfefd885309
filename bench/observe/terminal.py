"""What a person sees while it goes on: of a comparison a live bar, counts and the last results; of downloads
a bar each."""

import os
from collections import deque
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from switchbench.row import Row, Status

LAST = 6
PIPE_WIDTH = 200


def plain_console(stderr: bool = False) -> Console:
    """A console that prints text as it is: labels, paths and errors may hold brackets."""
    console = Console(stderr=stderr, markup=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH  # whoever reads a pipe wants names uncut
    return console


class Board:
    """Live progress on a terminal, with the last results in a table; where there is none (a pipe, a log), one
    line per result."""

    columns: tuple[str, ...]

    def __init__(self, console: Console, total: int | None, done: int) -> None:
        """``done`` of ``total`` planned results were there before; None: nobody knows how many there will
        be."""
        self._console = console
        self._running = 0
        self._last: deque[tuple[str, ...]] = deque(maxlen=LAST)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._task = self._progress.add_task("starting workers", total=total, completed=done)
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def running(self, trials: int) -> None:
        self._running = trials
        self._describe()

    def note(self) -> str:
        """What there is to say beside how many are running."""
        return ""

    def _add(self, cells: tuple[str, ...]) -> None:
        self._last.append(cells)
        self._progress.advance(self._task)
        self._describe()
        if not self._console.is_terminal:
            task = self._progress.tasks[self._task]
            of = "" if task.total is None else f"/{task.total:.0f}"
            line = f"[{task.completed:.0f}{of}]  {'  '.join(cells)}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _describe(self) -> None:
        self._progress.update(self._task, description=f"{self._running} running{self.note()}")

    def _render(self) -> Group:
        table = Table(*self.columns, box=None, padding=(0, 2, 0, 0))
        for cells in list(self._last):  # the live display renders in a thread of its own
            table.add_row(*map(Text, cells))
        return Group(self._progress, table)


class Display(Board):
    """Progress of a comparison: a result is a trial."""

    columns = ("method", "density", "seed", "on", "result")
    _failed = 0

    def finished(self, row: Row) -> None:
        self._failed += row.status == Status.FAILED
        self._add(_cells(row))

    def note(self) -> str:
        return f", {self._failed} failed" if self._failed else ""


class PointDisplay(Board):
    """Progress of a search: a result is a point."""

    columns = ("method", "point", "result", "best so far")

    def __init__(self, console: Console, total: int | None, done: int) -> None:
        super().__init__(console, total, done)
        self._best: dict[str, str] = {}

    def finished(self, row: Row) -> None:
        """A trial of a point is over: what the point came to is told."""

    def told(self, label: str, number: int, result: str, best: str) -> None:
        """What came of a point, and the best of its method now."""
        self._best[label] = best
        self._add((label, f"#{number}", result, best))

    def note(self) -> str:
        return "".join(f"; {label}: {best}" for label, best in self._best.items() if best)


class Downloads:
    """A live bar per file; on what is no terminal, nothing."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def progress(self, name: str, done: int, total: int | None) -> None:
        """So many bytes of a file are here."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[name], completed=done, total=total)


def _cells(row: Row) -> tuple[str, ...]:
    result = f"{row.status}: {row.error}"
    if row.test_accuracy is not None:
        result = f"{100 * row.test_accuracy:.2f} % at density {row.density:.2%}"
    density = "-" if row.target_density is None else f"{row.target_density:g}"
    return row.label, density, f"seed {row.seed}", f"{row.network} on {row.dataset}, {row.scope}", result
