"""What large comparisons cost: seconds and memory of a plan and of a report.

``make benchmark`` runs it. It prints, and never judges. Each line is a process of its own: processor seconds
in user mode and peak memory, start-up and imports included.

- *plan*: ``switchbench run SPEC --dry-run`` of 10 methods at 5 densities, with as many seeds as needed.
- *tables*: all tables and statistics of a report, without figures and page.
- *report*: ``switchbench report FOLDER``, figures and page included.

Made-up results have 9 tasks. With 100,000 trials there are 40 methods, 12 densities and 23 seeds; with fewer,
methods and densities are fewer, with more, seeds are more.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from switchbench.row import Row, Status, columns
from switchbench.spec.file import dump, parse
from switchbench.store import parquet

METHODS = ["random", "magnitude", "snip", "grasp", "synflow", "set", "rigl", "movement", "taylor", "switcher"]
DENSITIES = [0.2, 0.1, 0.05, 0.02, 0.01]
SHAPES = {1_000: (10, 5), 10_000: (20, 8), 100_000: (40, 12), 1_000_000: (40, 12)}
"""Methods and densities of made-up results, by the number of trials."""
TASKS = 9
TABLES = """
import sys
from pathlib import Path
from switchbench import reports
from switchbench.store.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
reports.write_tables(reports.compose(ledger.results(), ledger.name()), Path(sys.argv[1], "report"))
"""
SMALL = {"name": "scale", "networks": ["lenet-300-100"], "datasets": ["digits"], "training": {"epochs": 60}}
NUMBERS = ("test_loss", "val_accuracy", "test_top5", "train_seconds", "train_flops")


def spec(seeds: int) -> str:
    """Return a spec as YAML: 50 trials per seed."""
    return dump(parse({**SMALL, "methods": METHODS, "densities": DENSITIES, "seeds": seeds}))


def results(number: int) -> pd.DataFrame:
    """Return made-up results, all measured, of about a number of trials."""
    methods, densities = SHAPES[min(SHAPES, key=lambda size: abs(size - number))]
    seeds = max(number // (TASKS * methods * densities), 1)
    shape = (TASKS, methods, densities, seeds)
    task, method, place, seed = (axis.ravel() for axis in np.indices(shape))
    names = np.array(["dense", "random", "magnitude", *(f"method {i}" for i in range(3, methods))])
    density = np.where(method == 0, 1.0, np.geomspace(0.5, 0.001, densities)[place])
    draw = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "trial_id": [f"{index:016x}" for index in range(len(task))],
            "label": names[method],
            "method": names[method],
            "network": np.array([f"network {i}" for i in range(TASKS)])[task],
            "dataset": "made-up",
            "scope": "fc",
            "seed": seed,
            "target_density": np.where(method == 0, np.nan, density),
            "status": Status.OK,
            "test_accuracy": 0.9 + 0.01 * np.log2(density) + 1e-3 * method + draw.normal(0, 0.003, len(task)),
            **dict.fromkeys(("density", "density_prunable", "density_network"), density),
            **{name: draw.uniform(1, 2, len(task)) for name in NUMBERS},
            **{name: draw.uniform(0, 0.5, len(task)) for name in ("method_seconds", "method_flops")},
            "parameters": 266_610,
            "macs": (266_200 * density).astype(int),
            "macs_dense": 266_200,
            "density_layers": '{"1": 0.1, "3": 0.2, "5": 0.3}',
            "config": "x" * 600,
        }
    )
    kept = table[(method > 0) | (place == 0)]  # dense takes no target
    ordered: pd.DataFrame = kept.reindex(columns=columns())
    return ordered


def measure(name: str, *arguments: str) -> float:
    """Run Python with arguments, print what it took, and return its processor seconds."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    failed = f" (exit code {os.waitstatus_to_exitcode(status)})" if status else ""
    print(
        f"{name:24} {usage.ru_utime:6.1f} s user, {wall:6.1f} s, {usage.ru_maxrss / 1024:6,.0f} MB{failed}",
        flush=True,
    )
    return usage.ru_utime


def main() -> None:
    """Measure and print, line by line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument(
        "--most-planned", type=int, default=100_000, help="larger numbers are not planned or drawn"
    )
    arguments = parser.parse_args()
    seconds = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number in arguments.trials:
            folder = Path(scratch, str(number))
            folder.mkdir()
            if number <= arguments.most_planned:
                file = folder / "spec.yaml"
                file.write_text(spec(max(number // (len(METHODS) * len(DENSITIES)), 1)), encoding="utf-8")
                command = ("-m", "switchbench", "run", str(file), "--out", str(folder / "none"), "--dry-run")
                measure(f"plan {number:,}", *command)
                file.unlink()
            parquet.write_table(folder / "results.parquet", results(number), Row)
            seconds[number] = measure(f"tables {number:,}", "-c", TABLES, str(folder))
            if number <= arguments.most_planned:
                measure(f"report {number:,}", "-m", "switchbench", "report", str(folder))
    if len(seconds) > 1:
        first, *_, last = sorted(seconds)
        growth = math.log(seconds[last] / seconds[first]) / math.log(last / first)
        print(f"tables: seconds grow as trials to the power of {growth:.2f}, from {first:,} to {last:,}")


if __name__ == "__main__":
    main()
