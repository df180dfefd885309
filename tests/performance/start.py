"""Starting, planning, and continuing a comparison.

Whole commands are processes of their own: processor seconds, imports included, and peak memory. Commands that
train nothing should not wait for torch, whose import alone takes most of the seconds of a dry run. Plans are of
ten methods at five densities on one network, with as many seeds as needed. A comparison that continues finds all
its trials finished: up to 10,000 in a file each, 100,000 gathered in one file by `switchbench compact`. Its
driver reads their status before anything else. The last rows are one trial's row in the ledger, without the
wait for the disk.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from unittest import mock

from performance import processes
from performance.measurement import Measurement
from switchbench.compare.plan import plan
from switchbench.row import Row, Status
from switchbench.spec.comparison import Spec
from switchbench.spec.file import dump, parse
from switchbench.spec.trial import TrialConfig
from switchbench.store import parquet
from switchbench.store.ledger import Ledger

TITLE = "Starting, planning and continuing"
METHODS = ["random", "magnitude", "snip", "grasp", "synflow", "set", "rigl", "movement", "taylor", "switcher"]
DENSITIES = [0.2, 0.1, 0.05, 0.02, 0.01]
SMALL = {"name": "scale", "networks": ["lenet-300-100"], "datasets": ["digits"], "training": {"epochs": 60}}
NUMBERS = (1_000, 10_000, 100_000)
MOST_FILES = 10_000
"""More trials than these are stored in one gathered file."""
WHOLE = 10_000
"""Trials of the plans that are processes of their own."""
LIGHT = ("--help", "report --help", "list", "list methods", "list networks", "list magnitude")
"""Commands that need no library which takes long to import."""
PLAN = "import sys; from switchbench.compare.plan import plan; plan(sys.argv[1], sys.argv[2])"


def measure(pairs: int) -> Iterator[Measurement]:
    """Measure commands, then plans, then the ledger."""
    for command in LIGHT:
        yield from _process(f"`switchbench {command}`", pairs, _command(command), "≤ 0.5", "≤ 120")
    with tempfile.TemporaryDirectory() as scratch:
        for number in NUMBERS:
            folder, file = Path(scratch, str(number)), Path(scratch, f"{number}.yaml")
            spec = _spec(number)
            file.write_text(dump(spec), encoding="utf-8")
            _store(Ledger(folder), spec)
            whole = number == WHOLE
            if whole:
                dry_run = _command(f"run {file} --out {folder / 'none'} --dry-run")
                yield from _process(f"dry run of {number:,} trials, with their cost", pairs, dry_run, "≤ 3")
                new = ["-c", PLAN, str(file), str(folder / "none")]
                yield from _process(f"planning {number:,} trials", pairs, new, "≤ 3")
                stored = ["-c", PLAN, str(file), str(folder)]
                yield from _process(f"continuing with {number:,} finished trials", pairs, stored, "≤ 5")
            seconds = _repeated(pairs, lambda: plan(spec, folder / "none"))  # noqa: B023
            yield Measurement(f"planning {number:,} trials, without imports", seconds, "s")
            seconds = _repeated(pairs, lambda: plan(spec, folder))  # noqa: B023
            where = "files" if number <= MOST_FILES else "one file"
            yield Measurement(f"continuing with {number:,} in {where}, without imports", seconds, "s")
        yield from _rows(Ledger(Path(scratch, str(NUMBERS[0]))), pairs)


def _rows(ledger: Ledger, pairs: int) -> Iterator[Measurement]:
    """Measure writing and reading a comparison whose trials have a file each. Yield milliseconds of a row."""
    rows = [*ledger.rows()]
    for name, action in (
        ("writing a row", lambda: _write(ledger, rows)),
        ("reading a status", lambda: ledger.statuses([row.trial_id for row in rows])),
        ("reading a row into the table of results", ledger.results),
    ):
        seconds = _repeated(pairs, action)
        yield Measurement(
            f"{name}, one of {len(rows):,}", [1_000 * each / len(rows) for each in seconds], "ms"
        )


def _process(
    name: str, pairs: int, arguments: list[str], most_seconds: str = "", most_memory: str = ""
) -> Iterator[Measurement]:
    """Run Python several times. Yield processor seconds and megabytes."""
    used = [processes.run(*arguments) for _ in range(pairs)]
    yield Measurement(name, [each.processor_seconds for each in used], "s", most_seconds)
    yield Measurement(f"{name}: peak memory", [each.memory for each in used], "MB", most_memory)


def _command(arguments: str) -> list[str]:
    return ["-m", "switchbench", *arguments.split()]


def _repeated(pairs: int, action: Callable[[], object]) -> list[float]:
    """Return the processor seconds of each call of an action."""
    seconds = []
    for _ in range(pairs):
        started = time.process_time()
        action()
        seconds.append(time.process_time() - started)
    return seconds


def _spec(number: int) -> Spec:
    """Return a comparison of a number of trials: 50 for each seed."""
    seeds = [*range(number // (len(METHODS) * len(DENSITIES)))]
    return parse({**SMALL, "methods": METHODS, "densities": DENSITIES, "seeds": seeds})


def _store(ledger: Ledger, spec: Spec) -> None:
    """Store a made-up result for each trial."""
    trials = spec.trials()
    ledger.create(spec, trials)
    rows = [_row(trial) for trial in trials]
    if len(rows) > MOST_FILES:
        parquet.gather(ledger.folder / "results.parquet", rows, "trial_id", Row)
    else:
        _write(ledger, rows)


def _row(trial: TrialConfig) -> Row:
    """Return a made-up result, about as large as real ones."""
    measured = {"test_accuracy": 0.97, "val_accuracy": 0.97, "density": trial.density, "seconds": 30.0}
    texts = {"density_layers": '{"1": 0.1, "3": 0.2, "5": 0.3}', "config": "x" * 600, "versions": "x" * 100}
    return Row(**asdict(trial.planned), status=Status.OK, **measured, **texts)  # type: ignore[arg-type]


def _write(ledger: Ledger, rows: list[Row]) -> None:
    """Write a file for each row. The disk is not waited for: it would be all that is measured."""
    with mock.patch("os.fsync"):
        for row in rows:
            ledger.write(row, [])
