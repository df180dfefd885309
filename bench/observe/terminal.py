"""Progress on the terminal: of a comparison, of a search, and of downloads."""

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

SHOWN_RESULTS = 6
"""Number of last results in the live table."""
PIPE_WIDTH = 200
"""Characters in a line if the output is not a terminal."""


def plain_console(stderr: bool = False) -> Console:
    """Return a console that prints text literally: labels, paths and errors may contain brackets.

    Args:
        stderr: Print to standard error instead of standard output.
    """
    console = Console(stderr=stderr, markup=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH  # wide enough that names are not cut
    return console


class ProgressDisplay:
    """Live progress bar with a table of the last results.

    If the output is not a terminal (a pipe, a log), each result is printed as one line instead. This base
    class is a context manager that shows the bar inside its block.
    """

    columns: tuple[str, ...]
    """Headings of the table."""

    def __init__(self, console: Console, total: int | None, done: int) -> None:
        """Prepare the bar.

        Args:
            console: Where it is printed.
            total: Number of planned results; None if it is unknown.
            done: Number of results that exist already.
        """
        self._console = console
        self._running = 0
        self._last: deque[tuple[str, ...]] = deque(maxlen=SHOWN_RESULTS)
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

    def trials_running(self, count: int) -> None:
        """Show the number of running trials."""
        self._running = count
        self._describe()

    def _details(self) -> str:
        """Return the text that follows the number of running trials."""
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
        self._progress.update(self._task, description=f"{self._running} running{self._details()}")

    def _render(self) -> Group:
        table = Table(*self.columns, box=None, padding=(0, 2, 0, 0))
        for cells in list(self._last):  # a copy: the live display renders in another thread
            table.add_row(*map(Text, cells))
        return Group(self._progress, table)


class TrialDisplay(ProgressDisplay):
    """Progress of a comparison: each result is a trial."""

    columns = ("method", "density", "seed", "task", "result")
    _failed = 0

    def trial_finished(self, row: Row) -> None:
        """Show the trial's result."""
        self._failed += row.status == Status.FAILED
        self._add(_cells(row))

    def _details(self) -> str:
        return f", {self._failed} failed" if self._failed else ""


class PointDisplay(ProgressDisplay):
    """Progress of a search: each result is a point."""

    columns = ("method", "point", "result", "best so far")

    def __init__(self, console: Console, total: int | None, done: int) -> None:
        super().__init__(console, total, done)
        self._best: dict[str, str] = {}

    def trial_finished(self, row: Row) -> None:
        """Do nothing: results are shown per point."""

    def point_finished(self, label: str, number: int, result: str, best: str) -> None:
        """Show the result of a point.

        Args:
            label: Label of the method.
            number: Number of the point in the method's study.
            result: The point's objectives or its error.
            best: The objectives of the method's best point so far; empty if there is none.
        """
        self._best[label] = best
        self._add((label, f"#{number}", result, best))

    def _details(self) -> str:
        return "".join(f"; {label}: {best}" for label, best in self._best.items() if best)


class Downloads:
    """One progress bar per downloaded file; without a terminal, nothing is shown.

    It is a context manager that shows the bars inside its block.
    """

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
        """Show the progress of a file.

        Args:
            name: Name of the file.
            done: Bytes received so far.
            total: Size in bytes; None if it is unknown.
        """
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[name], completed=done, total=total)


def _cells(row: Row) -> tuple[str, ...]:
    result = f"{row.status}: {row.error}"
    accuracy = row.test_accuracy if row.status == Status.OK else row.val_accuracy
    if accuracy is not None and row.density is not None and row.status in (Status.OK, Status.VALIDATED):
        images = " on validation images" if row.status == Status.VALIDATED else ""
        result = f"{100 * accuracy:.2f} %{images} at density {row.density:.2%}"
    density = "-" if row.target_density is None else f"{row.target_density:g}"
    return row.label, density, f"seed {row.seed}", f"{row.network} on {row.dataset}, {row.scope}", result
