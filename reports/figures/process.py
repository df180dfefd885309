"""Draw figures in a process of their own, while this one imports, computes and writes tables.

The process imports matplotlib as soon as it is started, and shares its work among forked ones. It is no fork
of this process, which may have threads (those of Ray, Arrow or MLflow), nor one of ``multiprocessing``, which
would run the caller's script once more. This module imports nothing of the kind, so that drawing can start
before pandas is imported.
"""

import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Self

from switchbench.errors import ExitCode, RunStopped

if TYPE_CHECKING:
    from switchbench.reports.cells import Report
    from switchbench.reports.figures.material import Material

MODULE = "switchbench.reports.figures.drawer"
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A process that forks should have one thread."""

PATIENCE = 5
"""Seconds in which the process removes what is temporary, when its figures are not wanted any more."""


class DrawingProcess:
    """A process that draws the figures of one report. A context, at whose end the process has ended."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": paths},
            process_group=0,  # a signal of the terminal stops this process, which stops that one
        )
        self._sending: Thread | None = None

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    def draw(self, report: "Report", folder: Path, material: "Material") -> None:
        """Order the figures of a report, and return at once.

        Args:
            report: The report.
            folder: Where the figures are written; it is created.
            material: What they show beyond the report's cells.
        """
        order = pickle.dumps((report, folder, material), protocol=pickle.HIGHEST_PROTOCOL)
        self._sending = Thread(target=self._send, args=(order,), daemon=True)
        self._sending.start()

    def wait(self) -> None:
        """Wait until the figures are written.

        Raises:
            OSError: A file cannot be written.
            RunStopped: The process has died. What it says itself is on standard error.
        """
        assert self._process.stdout
        answer = self._process.stdout.read()
        code = self._process.wait()
        if not answer:
            how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"failed (exit code {code})"
            lost = f"figures are missing: the process that draws them {how}"
            again = "all tables are written, and `switchbench report DIR` draws again"
            raise RunStopped(f"{lost}; {again}", ExitCode.NOT_WRITABLE)
        if error := pickle.loads(answer):
            raise error

    def _send(self, order: bytes) -> None:
        assert self._process.stdin
        with suppress(BrokenPipeError), self._process.stdin as pipe:  # if it has died, wait() says so
            pipe.write(order)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
        if self._sending:
            self._sending.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
