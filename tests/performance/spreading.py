"""What running a comparison costs beside its trials. The trials only sleep, so their time is known, and the ideal is
that time divided by the cores. Each whole command (start, planning, trials, ledger, MLflow mirror, report) is
compared with the ideal: once with worker processes of this machine, as by default, and once with a Ray cluster that
it starts (`--address local`). From the first row to the last, the trials are compared with a bare
`multiprocessing.Pool` that sleeps as often. A real trial, one epoch of a small network on digits, is timed from
the command to its table and to the command's end.
"""

import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import joblib

from performance.measurement import Measurement
from switchbench.store.ledger import Ledger

TITLE = "Spreading trials over cores"
CORES: int = joblib.cpu_count()
PLUGIN = """
import time
from switchbench.methods import Method, option, register

@register("sleeper")
class Sleeper(Method):
    '''Sleep while it attaches.'''

    class Config(Method.Config):
        seconds: float = option(1.0, "how long it sleeps")

    def setup(self, batch):
        time.sleep(self.config.seconds)
"""
SPEC = """
name: spreading
networks: [{{network: mlp, hidden: [10]}}]
datasets: [digits]
methods: [{method}]
densities: [0.1]
seeds: {trials}
training: {{{length}: 1}}
"""
WAYS = {"processes": (), "Ray": ("--address", "local")}


@dataclass(frozen=True)
class Case:
    """Trials that sleep."""

    trials: int
    seconds: float
    limit: str = ""
    short: bool = True
    """Whether it is measured several times, and beside a bare pool."""

    @property
    def ideal(self) -> float:
        """Seconds on all cores if nothing but the trials took time."""
        return -(-self.trials // CORES) * self.seconds

    def __str__(self) -> str:
        return f"{self.trials} trials of {self.seconds:g} s"


CASES = (Case(300, 0.3, "≤ 1.5"), Case(40, 10, "≤ 1.08", short=False))


def measure(pairs: int) -> Iterator[Measurement]:
    """Yield seconds of one short trial, and ratios for trials that sleep."""
    one = [_one_epoch() for _ in range(pairs)]
    yield Measurement("one epoch of digits, command to table", [table for table, _ in one], "s", "≤ 6")
    yield Measurement("one epoch of digits, command to its end", [end for _, end in one], "s")
    for case in CASES:
        times = pairs if case.short else 1
        runs = {way: [_sleeping(case, way) for _ in range(times)] for way in WAYS}
        for way, measured in runs.items():
            whole = [seconds / case.ideal for seconds, _ in measured]
            yield Measurement(f"{case} by {way}, whole command against ideal", whole, limit=case.limit)
        for way, measured in runs.items() if case.short else ():
            training = [seconds / _bare_pool(case) for _, seconds in measured]
            yield Measurement(f"{case} by {way}, first row to last against a bare pool", training)


def _one_epoch() -> tuple[float, float]:
    """Return seconds until the table is printed, and until the command has ended."""
    with tempfile.TemporaryDirectory() as name:
        spec = Path(name, "one.yaml")
        spec.write_text(SPEC.format(method="dense", trials=1, length="epochs"))
        started = time.monotonic()
        process = subprocess.Popen(
            _command(spec), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout
        printed = next(time.monotonic() for line in process.stdout if "method" in line and "┃" in line)
        process.communicate()
        assert process.returncode == 0
        return printed - started, time.monotonic() - started


def _sleeping(case: Case, way: str) -> tuple[float, float]:
    """Return seconds of the whole command, and of its trials: from the first row to the last, and one trial."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plugin.py").write_text(PLUGIN)
        method = f"{{method: sleeper, seconds: {case.seconds}}}"
        spec = folder / "spreading.yaml"
        spec.write_text(SPEC.format(method=method, trials=case.trials, length="steps"))
        command = [*_command(spec), "--plugin", str(folder / "plugin.py"), *WAYS[way]]
        started = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        whole = time.monotonic() - started
        assert (Ledger(folder / "out").results()["status"] == "ok").all()
        finished = sorted(file.stat().st_mtime for file in (folder / "out" / "trials").iterdir())
    return whole, finished[-1] - finished[0] + case.seconds


def _command(spec: Path) -> list[str]:
    return [sys.executable, "-m", "switchbench", "run", str(spec), "--out", str(spec.parent / "out")]


def _bare_pool(case: Case) -> float:
    """Return the seconds of a bare pool of processes for the same sleeping."""
    with multiprocessing.Pool(CORES) as pool:
        pool.map(time.sleep, CORES * [0.01])  # its processes have started
        started = time.monotonic()
        pool.map(time.sleep, case.trials * [case.seconds], chunksize=1)
        return time.monotonic() - started
