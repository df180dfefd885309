"""How long reports take. Results are made up: their number is that of trials, the dense control counts once.

*Report* is ``switchbench report FOLDER`` as a whole process: start-up, all tables in all formats, all figures as
SVG, PDF and PNG, and the page. Figures are drawn in processes of their own while tables are written.

*Tables and statistics* is a whole process as well, which writes no figures and no page. Beside its seconds stands
its highest use of memory.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import made_up

from performance import processes
from performance.measurement import Measurement
from switchbench.row import Row
from switchbench.store import parquet

TITLE = "Reports"
REPORTS = {
    "12 trials": ((1, 3, 2, 3), ""),
    "1,000 trials of 1 task": ((1, 10, 10, 11), "≤ 4"),
    "1,000 trials of 9 tasks": ((9, 10, 6, 2), "≤ 12"),
}
"""Shapes of results (tasks, methods, densities, seeds), and the aims in seconds."""
TABLES = {
    "1,000 trials": (9, 10, 5, 2),
    "10,000 trials": (9, 20, 8, 7),
    "100,000 trials": (9, 40, 12, 23),
    "1,000,000 trials": (9, 40, 12, 231),
}
TABLES_ALONE = """
import sys
from pathlib import Path
from switchbench import reports
from switchbench.store.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
reports.write_tables(reports.compose(ledger.results(), ledger.name()), Path(sys.argv[1], "report"))
"""


def measure(pairs: int) -> Iterator[Measurement]:
    """Measure whole processes, one after the other."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, (shape, limit) in REPORTS.items():
            folder = _folder(Path(scratch, name), shape)
            runs = [processes.run("-m", "switchbench", "report", str(folder)) for _ in range(pairs)]
            yield Measurement(f"report, {name}", [run.seconds for run in runs], "s", limit)
        for name, shape in TABLES.items():
            folder = _folder(Path(scratch, f"tables {name}"), shape)
            runs = [processes.run("-c", TABLES_ALONE, str(folder)) for _ in range(pairs)]
            yield Measurement(f"tables and statistics, {name}", [run.seconds for run in runs], "s")
            yield Measurement(f"tables and statistics, {name}: memory", [run.memory for run in runs], "MB")


def _folder(folder: Path, shape: tuple[int, int, int, int]) -> Path:
    """Make a folder with results."""
    folder.mkdir()
    parquet.write_table(folder / "results.parquet", made_up.many(*shape), Row)
    return folder
