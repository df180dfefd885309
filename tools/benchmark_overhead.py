"""What the suite adds to trials of one second: the time of a comparison against the time of its trials alone.

    python tools/benchmark_overhead.py

Runs 200 trials that sleep for a second each, on all cores of this machine, and prints ratios to the ideal.
Nothing else should run beside it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from switchbench.store.ledger import Ledger

SECONDS = 1.0
PLUGIN = f"""
import time
from switchbench.methods import Method, register

@register("sleeper")
class Sleeper(Method):
    \"\"\"Sleep while it attaches.\"\"\"

    def setup(self, batch):
        time.sleep({SECONDS})
"""
SPEC = """
name: overhead
networks: [{{network: mlp, hidden: [10]}}]
datasets: [digits]
methods: [sleeper]
densities: [0.1]
seeds: {trials}
training: {{steps: 1}}
"""


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=200)
    trials = parser.parse_args().trials
    cores = os.cpu_count() or 1
    ideal = trials * SECONDS / cores
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plugin.py").write_text(PLUGIN)
        (folder / "overhead.yaml").write_text(SPEC.format(trials=trials))
        command = [sys.executable, "-m", "switchbench", "run", str(folder / "overhead.yaml")]
        command += ["--out", str(folder / "out"), "--plugin", str(folder / "plugin.py")]
        started = time.time()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        whole = time.time() - started
        results = Ledger(folder / "out").results()
        assert (results["status"] == "ok").all()
        finished = sorted(file.stat().st_mtime for file in (folder / "out" / "trials").iterdir())
    training = finished[-1] - finished[0] + SECONDS
    print(f"{trials} trials of {SECONDS:g} s on {cores} cores: ideal {ideal:.1f} s")
    print(f"from the first trial to the last: {training:.1f} s, {training / ideal:.3f} x ideal")
    print(f"the whole command: {whole:.1f} s, {whole / ideal:.3f} x ideal")


if __name__ == "__main__":
    main()
