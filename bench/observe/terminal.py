"""Progress on the terminal: of a comparison, of a search, and of downloads."""

import math
import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

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

from switchbench.observe.notebook import NotebookBar, in_notebook
from switchbench.observe.observer import Observer
from switchbench.row import Row, Status

if TYPE_CHECKING:
    from switchbench.spec.trial import TrialConfig

SHOWN_RESULTS = 6
"""Number of last results in the live table."""
SHOWN_RUNNING = 8
"""Number of running trials that are shown."""
PIPE_WIDTH = 200
"""Characters in a line if the output is not a terminal."""


class PatientConsole(Console):
    """A console whose reader may leave, as ``head`` does: what a command writes to files goes on."""

    def on_broken_pipe(self) -> None:
        """Print nothing more."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


def plain_console(stderr: bool = False) -> Console:
    """Return a console that prints text literally: labels, paths and errors may contain brackets.

    Args:
        stderr: Print to standard error instead of standard output.
    """
    # the stream of now: a trial in this process redirects the names, and what is shown is not part of its log
    stream = sys.stderr if stderr else sys.stdout
    console = PatientConsole(file=stream, markup=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH  # wide enough that names are not cut
    return console


class ProgressDisplay(Observer):
    """Live progress bar with a table of the last results.

    If the output is not a terminal (a pipe, a log), each result is printed as one line instead. In a notebook
    there is a bar below the cell. This base class is a context manager that shows the bar inside its block.
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
        self._notebook = NotebookBar() if in_notebook() else None
        self._running = 0
        self._last: deque[tuple[str, ...]] = deque(maxlen=SHOWN_RESULTS)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}", markup=False),
        )
        self._task = self._progress.add_task("starting workers", total=total, completed=done, speed="")
        self._done_before, self._total, self._since = done, total, time.monotonic()
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

    def waiting(self, reason: str) -> None:
        """Show why no trial runs."""
        self._progress.update(self._task, description=reason)
        if not self._console.is_terminal:
            self._console.print(reason, markup=False, highlight=False, soft_wrap=True)

    def _details(self) -> str:
        """Return the text that follows the number of running trials."""
        return ""

    def _under_way(self) -> float:
        """Return how much of the running trials is done, in trials."""
        return 0.0

    def _lines(self) -> list[str]:
        """Return what is known of the running trials."""
        return []

    def _speed(self) -> str:
        """Return how many results come in a minute, and the time that is left."""
        completed = self._progress.tasks[self._task].completed
        done, seconds = completed - self._done_before + self._under_way(), time.monotonic() - self._since
        if done <= 0 or seconds <= 0:
            return ""
        rate = f"{60 * done / seconds:.3g} per minute"
        if self._total is None:
            return rate
        left = max(0.0, self._total - completed - self._under_way()) * seconds / done
        return f"{rate}, {duration(left)} left"

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
        said = f"{self._running} running{self._details()}"
        self._progress.update(self._task, description=said)
        if self._notebook:
            task = self._progress.tasks[self._task]
            parts = [said, *filter(None, [self._speed()]), *self._lines()[:1]]
            self._notebook.show(task.completed, task.total, "; ".join(parts))

    def _render(self) -> Group:
        table = Table(*self.columns, box=None, padding=(0, 2, 0, 0))
        for cells in list(self._last):  # a copy: the live display renders in another thread
            table.add_row(*map(Text, cells))
        self._progress.update(self._task, speed=self._speed())
        return Group(self._progress, *map(Text, self._lines()), table)


class TrialDisplay(ProgressDisplay):
    """Progress of a comparison: each result is a trial."""

    columns = ("method", "density", "seed", "task", "result")

    def __init__(self, console: Console, total: int | None, done: int) -> None:
        self._failed: list[str] = []
        """Labels of trials that failed."""
        self._current: dict[str, tuple[float, str]] = {}
        """How much of a running trial is done, and in words, by its id."""
        super().__init__(console, total, done)  # which draws for the first time

    def epoch_finished(self, trial: "TrialConfig", point: Mapping[str, float]) -> None:
        """Show how far a running trial is."""
        epochs = trial.training.epochs
        epoch = int(point["epoch"]) + 1
        done = epoch / epochs if epochs else point["step"] / (trial.training.steps or math.inf)
        density = "" if trial.density is None else f" at {trial.density:g}"
        at = f"epoch {epoch}{f' of {epochs}' if epochs else ''}"
        accuracy = f"{100 * point['val_accuracy']:.2f} % on validation images"
        said = f"{trial.method.label}{density}, seed {trial.seed}: {at}, {accuracy}"
        self._current[trial.trial_id] = min(done, 1.0), said
        self._describe()

    def trial_finished(self, row: Row) -> None:
        """Show the trial's result."""
        self._current.pop(row.trial_id, None)
        if row.status == Status.FAILED:
            self._failed.append(row.label)
        self._add(_cells(row))

    def _details(self) -> str:
        names = ", ".join(dict.fromkeys(self._failed))
        return f", {len(self._failed)} failed ({names})" if self._failed else ""

    def _under_way(self) -> float:
        return sum(done for done, _ in list(self._current.values()))

    def _lines(self) -> list[str]:
        return [said for _, said in list(self._current.values())[:SHOWN_RUNNING]]


class PointDisplay(ProgressDisplay):
    """Progress of a search: each result is a point, not a trial."""

    columns = ("method", "point", "result", "")

    def __init__(self, console: Console, total: int | None, done: int) -> None:
        self._best: dict[str, str] = {}
        super().__init__(console, total, done)  # which draws for the first time

    def point_finished(self, label: str, number: int, result: str, best: str) -> None:
        """Show the result of a point.

        Args:
            label: Label of the method.
            number: Number of the point in the method's study.
            result: The point's objectives or its error.
            best: The objectives of the method's best point so far; empty if there is none.
        """
        self._best[label] = best
        self._add((label, f"#{number}", result, f"best so far: {best}" if best else ""))

    def _lines(self) -> list[str]:
        return [f"{label}: best {best}" for label, best in self._best.items() if best]


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


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> duration(42), duration(600), duration(7_560)
    ('42 s', '10 min', '2.1 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3600:.1f} h"


def _cells(row: Row) -> tuple[str, ...]:
    result = f"{row.status}: {row.error}"
    accuracy = row.test_accuracy if row.status == Status.OK else row.val_accuracy
    if accuracy is not None and row.density is not None and row.status in (Status.OK, Status.VALIDATED):
        images = " on validation images" if row.status == Status.VALIDATED else ""
        chance = ", which is guessing" if row.guesses else ""
        result = f"{100 * accuracy:.2f} %{images} at density {row.density:.2%}{chance}"
    density = "-" if row.target_density is None else f"{row.target_density:g}"
    return row.label, density, f"seed {row.seed}", f"{row.network} on {row.dataset}, {row.scope}", result
