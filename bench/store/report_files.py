"""The files of a comparison's report, which an object store receives when they are complete."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from switchbench.store.objects import StorePath, discard

SENDERS = 16
"""Files that are sent to an object store at once."""


class ReportFiles:
    """The report in a folder."""

    def __init__(self, folder: StorePath) -> None:
        """Name the folder of the report; nothing is read or written."""
        self.report = folder / "report"

    @contextmanager
    def report_folder(self) -> Iterator[Path]:
        """Yield a local folder for the report. At the end, an object store receives its files.

        A folder in it, such as that of figures, replaces the stored one: nothing of an earlier report stays.
        """
        if isinstance(self.report, Path):
            self.report.mkdir(parents=True, exist_ok=True)
            yield self.report
            return
        with tempfile.TemporaryDirectory(prefix="switchbench-") as name:
            local = Path(name)
            yield local
            files = [each for each in local.rglob("*") if each.is_file()]
            with ThreadPoolExecutor(SENDERS) as senders:  # a store answers slowly, to many at once
                [*senders.map(partial(self._send_report_file, local), files)]
                stored = [Path(each) for each in self.report.names_below()]
                replaced = [each for each in stored if (local / each.parts[0]).is_dir()]
                stale = [self.report / each.as_posix() for each in replaced if not (local / each).exists()]
                [*senders.map(discard, stale)]

    def _send_report_file(self, folder: Path, file: Path) -> None:
        (self.report / file.relative_to(folder).as_posix()).write_bytes(file.read_bytes())

    @contextmanager
    def report_files(self) -> Iterator[Path]:
        """Yield a local folder with the files of the report, to be read; it may be empty."""
        if isinstance(self.report, Path):
            yield self.report
            return
        with tempfile.TemporaryDirectory(prefix="switchbench-") as name:
            for below in self.report.names_below():
                file = Path(name) / below
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes((self.report / below).read_bytes())
            yield Path(name)
