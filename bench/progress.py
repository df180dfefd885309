"""What a person sees while it goes on: of a comparison a live bar, counts and the last results; of downloads
a bar each."""

import os
from collections import deque
from typing import Any, Self

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

LAST = 6
PIPE_WIDTH = 200


def plain_console(stderr: bool = False) -> Console:
    """A console that prints text as it is: labels, paths and errors may hold brackets."""
    console = Console(stderr=stderr, markup=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH  # whoever reads a pipe wants names uncut
    return console


class Display:
    """Live progress on a terminal; where there is none (a pipe, a log), one line per trial."""

    def __init__(self, console: Console, total: int, done: int) -> None:
        """``done`` of ``total`` planned trials were finished before."""
        self._console = console
        self._running, self._failed = 0, 0
        self._last: deque[dict[str, Any]] = deque(maxlen=LAST)
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

    def finished(self, row: dict[str, Any]) -> None:
        self._failed += row["status"] == "failed"
        self._last.append(row)
        self._progress.advance(self._task)
        self._describe()
        if not self._console.is_terminal:
            task = self._progress.tasks[self._task]
            line = f"[{task.completed:.0f}/{task.total:.0f}]  {'  '.join(_cells(row))}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _describe(self) -> None:
        failed = f", {self._failed} failed" if self._failed else ""
        self._progress.update(self._task, description=f"{self._running} running{failed}")

    def _render(self) -> Group:
        table = Table("method", "density", "seed", "on", "result", box=None, padding=(0, 2, 0, 0))
        for row in list(self._last):  # the live display renders in a thread of its own
            table.add_row(*map(Text, _cells(row)))
        return Group(self._progress, table)


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


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    target = row["target_density"]
    if row["status"] == "ok":
        result = f"{100 * row['test_accuracy']:.2f} % at density {row['density']:.2%}"
    else:
        result = f"{row['status']}: {row['error']}"
    density = "-" if target is None else f"{target:g}"
    task = f"{row['network']} on {row['dataset']}, {row['scope']}"
    return row["label"], density, f"seed {row['seed']}", task, result
