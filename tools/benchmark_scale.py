"""What large comparisons cost: seconds and memory of a plan and of a report.

``make benchmark`` runs it. It prints, and never judges. Each line is a process of its own: processor seconds
in user mode and peak memory, start-up and imports included.

- *plan*: ``switchbench run SPEC --dry-run`` of 10 methods at 5 densities, with as many seeds as needed.
- *report*: ``switchbench report FOLDER`` of a table with 10 methods, 5 densities and 20 seeds per task.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from switchbench.row import Row, Status
from switchbench.spec.file import dump, parse
from switchbench.store import parquet

METHODS = ["random", "magnitude", "snip", "grasp", "synflow", "set", "rigl", "movement", "taylor", "switcher"]
DENSITIES = [0.2, 0.1, 0.05, 0.02, 0.01]
SEEDS_OF_REPORT = 20
SMALL = {"name": "scale", "networks": ["lenet-300-100"], "datasets": ["digits"], "training": {"epochs": 60}}
NUMBERS = ("test_loss", "val_accuracy", "train_seconds", "train_flops", "method_seconds", "method_flops")


def spec(seeds: int) -> str:
    """Return a spec as YAML: 50 trials per seed."""
    return dump(parse({**SMALL, "methods": METHODS, "densities": DENSITIES, "seeds": seeds}))


def rows(number: int) -> list[Row]:
    """Return rows of made-up results, all measured."""
    draw = np.random.default_rng(0)
    plan = parse({**SMALL, "methods": METHODS, "densities": DENSITIES, "seeds": SEEDS_OF_REPORT}).trials()
    made = []
    for index in range(number):
        planned = asdict(plan[index % len(plan)].planned)
        task = index // len(plan)
        density = planned["target_density"]
        measured: dict[str, Any] = {name: float(draw.uniform(1, 2)) for name in NUMBERS}
        made.append(
            Row(
                **planned | {"trial_id": f"{index:016x}", "network": f"network {task}"},
                status=Status.OK,
                density=density,
                density_layers=f'{{"1": {density}, "3": {density}, "5": {density}}}',
                test_accuracy=float(draw.normal(0.9, 0.01)),
                config="x" * 600,
                **measured,
            )
        )
    return made


def measure(name: str, *arguments: str) -> None:
    """Run a command of switchbench and print its processor seconds and its peak memory."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "switchbench", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    failed = f" (exit code {os.waitstatus_to_exitcode(status)})" if status else ""
    print(
        f"{name:24} {usage.ru_utime:6.1f} s user, {wall:6.1f} s, {usage.ru_maxrss / 1024:6,.0f} MB{failed}",
        flush=True,
    )


def main() -> None:
    """Measure and print, line by line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[10_000, 100_000])
    with tempfile.TemporaryDirectory() as scratch:
        for number in parser.parse_args().trials:
            folder = Path(scratch, str(number))
            folder.mkdir()
            file = folder / "spec.yaml"
            file.write_text(spec(number // (len(METHODS) * len(DENSITIES))), encoding="utf-8")
            measure(f"plan {number:,}", "run", str(file), "--out", str(folder / "none"), "--dry-run")
            file.unlink()
            parquet.write(folder / "results.parquet", rows(number), Row)
            measure(f"report {number:,}", "report", str(folder))


if __name__ == "__main__":
    main()
