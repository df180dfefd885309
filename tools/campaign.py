"""Campaigns of kills: what survives when workers, nodes, drivers and the MLflow server die at random.

Each campaign runs a comparison of 60 short trials on a Ray cluster of three local nodes, kills at seeded
random times, starts the same command again where the driver has ended, and compares what is stored at the end
with an undisturbed run: every trial once, with the same bits, in MLflow too, and no process left.

    python tools/campaign.py --campaigns 20
"""

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

os.environ["RAY_AUTH_MODE"] = "disabled"  # the clusters listen on this machine, and write no token
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # seven processes that nothing here uses

import psutil

import switchbench
from switchbench.observe.mlflow_rows import COMPARISON_ID, ID_TAG
from switchbench.row import Row
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger

SPEC = """
name: campaign
networks: [{network: mlp, hidden: [100, 50]}]
datasets: [digits]
methods: [dense, magnitude, set, switcher]
densities: [0.2, 0.1, 0.05]
seeds: 6
training: {epochs: 60}
"""
KINDS = ("worker", "node", "driver", "driver, politely", "MLflow server")
NODES = 3
LIMIT_SECONDS = 1_200
"""A campaign that takes longer hangs."""
WORKER = "ray::ResourceTrainable"
"""How Ray calls the processes that run trials."""
BITS = ("test_loss", "val_loss", "test_accuracy", "density_layers", "steps", "status")


class Campaign:
    """One comparison, and what is done to it."""

    def __init__(self, seed: int, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.random, self.folder = random.Random(seed), folder
        self.started: set[psutil.Process] = set()
        """Every process that was seen below this one. Orphans are found again only so."""
        (folder / "campaign.yaml").write_text(SPEC)
        self.ledger = Ledger(folder / "out")
        self.faults: Counter[str] = Counter()
        self.first_seen: dict[str, int] = {}
        """When the row of a trial was written first, by file name."""
        self.doubled: set[str] = set()
        self.cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        self.nodes = [self.cluster.add_node(num_cpus=1) for _ in range(NODES)]
        self.mlflow_port = _free_port()
        self.mlflow = self._start_mlflow()
        self.driver = self._start_driver()

    def run(self) -> bool:
        """Kill until the comparison is done. Return whether it ended in time."""
        deadline = time.monotonic() + LIMIT_SECONDS
        next_fault = time.monotonic() + self.random.uniform(10, 40)
        while time.monotonic() < deadline:
            self._look()
            if self.driver.poll() is not None:
                if self.driver.returncode == 0 and len(self.first_seen) == len(self.trials()):
                    return True
                self.driver = self._start_driver()
            if self.mlflow.poll() is not None and self.random.random() < 0.02:
                self.mlflow = self._start_mlflow()
            if time.monotonic() > next_fault:
                self._fault()
                next_fault = time.monotonic() + self.random.uniform(5, 25)
            time.sleep(0.2)
        return False

    def trials(self) -> list[TrialConfig]:
        """All planned trials."""
        return switchbench.load(self.folder / "campaign.yaml").trials()

    def close(self) -> int:
        """End everything. Return the number of processes that are left."""
        for own in (self.driver, self.mlflow):
            _end(own)
        self.cluster.shutdown()
        deadline = time.monotonic() + 20
        while self._processes() and time.monotonic() < deadline:
            time.sleep(0.2)
        left = self._processes()
        for process, name in left.items():
            print("left:", process.pid, name[:150], file=sys.stderr)
            process.kill()
        return len(left)

    def mlflow_runs(self) -> Counter[str]:
        """Send what MLflow lacks, and count its runs by trial id."""
        from mlflow import MlflowClient

        if self.mlflow.poll() is not None:
            self.mlflow = self._start_mlflow()
        uri = f"http://127.0.0.1:{self.mlflow_port}"
        deadline = time.monotonic() + 120
        while socket.socket().connect_ex(("127.0.0.1", self.mlflow_port)):
            assert time.monotonic() < deadline, "the MLflow server does not start"
            time.sleep(0.2)
        switchbench.sync(self.ledger.folder, uri)  # type: ignore[arg-type]
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("campaign")
        assert experiment, "MLflow has no experiment"
        runs = client.search_runs([experiment.experiment_id], max_results=1_000)
        return Counter(run.data.tags[ID_TAG] for run in runs if run.data.tags.get(ID_TAG) != COMPARISON_ID)

    def _processes(self) -> dict[psutil.Process, str]:
        """Return the processes of the campaign that are alive, with their command lines.

        The environment does not mark them: workers of Ray overwrite it with their titles.
        """
        self.started.update(psutil.Process().children(recursive=True))
        alive = {}
        for process in self.started:
            with suppress(psutil.Error):  # it ends at this moment
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    alive[process] = " ".join(process.cmdline())
        return alive

    def _look(self) -> None:
        """Note which processes there are, when rows appear, and which are written a second time."""
        self._processes()
        folder = self.folder / "out" / "trials"
        for file in folder.glob("*.parquet") if folder.exists() else ():
            stamp = file.stat().st_mtime_ns
            if self.first_seen.setdefault(file.stem, stamp) != stamp:
                self.doubled.add(file.stem)

    def _fault(self) -> None:
        kind = self.random.choice(KINDS)
        if kind == "worker":
            workers = [each for each, name in self._processes().items() if WORKER in name]
            if not workers:
                return
            self.random.choice(workers).kill()
        elif kind == "node":
            self.cluster.remove_node(self.nodes.pop(self.random.randrange(NODES)), allow_graceful=False)
            self.nodes.append(self.cluster.add_node(num_cpus=1))
        elif kind == "MLflow server":
            if self.mlflow.poll() is not None:
                return
            _end(self.mlflow)
        else:
            drivers = [each for each, name in self._processes().items() if "switchbench run" in name]
            if not drivers:  # the last one has ended
                return
            if kind == "driver":  # or the parent that watches it
                self.random.choice(drivers).kill()
            else:
                self.driver.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):  # then the campaign hangs, which is counted
                self.driver.wait(90)
        self.faults[kind] += 1

    def _start_driver(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "switchbench", "run", str(self.folder / "campaign.yaml")]
        command += ["--out", str(self.ledger.folder), "--address", self.cluster.address]
        command += ["--mlflow-uri", f"http://127.0.0.1:{self.mlflow_port}"]
        with (self.folder / "driver.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def _start_mlflow(self) -> "subprocess.Popen[bytes]":
        store = f"sqlite:///{self.folder / 'server.db'}"
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--workers", "1"]
        command += [
            "--artifacts-destination",
            str(self.folder / "artifacts"),
            "--port",
            str(self.mlflow_port),
        ]
        with (self.folder / "mlflow.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def undisturbed(folder: Path) -> dict[str, Row]:
    """Run all trials in this process. Return their rows by id."""
    (folder / "campaign.yaml").write_text(SPEC)
    trials = switchbench.load(folder / "campaign.yaml").trials()
    return {trial.trial_id: switchbench.run_trial(trial).row for trial in trials}


def main() -> None:
    """Run the campaigns and print a table of faults and of what they have cost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--campaigns", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first campaign")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="campaign-") as name:
        expected = undisturbed(Path(name))
        print(f"{len(expected)} trials a campaign, on {NODES} nodes", flush=True)
        columns = [
            *KINDS,
            "lost",
            "doubled",
            "differing",
            "MLflow lost",
            "MLflow doubled",
            "hung",
            "left",
            "seconds",
        ]
        print("| campaign | " + " | ".join(columns) + " |\n|---" + "|---:" * len(columns) + "|", flush=True)
        totals: Counter[str] = Counter()
        for seed in range(options.seed, options.seed + options.campaigns):
            folder = Path(name) / str(seed)
            folder.mkdir()
            found = _campaign(seed, folder, expected)
            totals.update(found)
            print(f"| {seed} | " + " | ".join(str(found[column]) for column in columns) + " |", flush=True)
        print("| all | " + " | ".join(str(totals[column]) for column in columns) + " |", flush=True)
        sys.exit(any(totals[column] for column in columns[len(KINDS) : -1]))


def _campaign(seed: int, folder: Path, expected: dict[str, Row]) -> Counter[str]:
    started, campaign = time.monotonic(), Campaign(seed, folder)
    found: Counter[str] = Counter()
    try:
        found["hung"] = int(not campaign.run())
        rows = {row.trial_id: row for row in campaign.ledger.rows()}
        found["lost"] = len(expected.keys() - rows.keys())
        found["doubled"] = len(campaign.doubled)
        found["differing"] = sum(
            any(rows[key][bit] != row[bit] for bit in BITS) for key, row in expected.items() if key in rows
        )
        runs = campaign.mlflow_runs()
        found["MLflow lost"] = len(expected.keys() - runs.keys())
        found["MLflow doubled"] = sum(count - 1 for count in runs.values())
    finally:
        found["left"] = campaign.close()
        if found.total():
            shutil.copy(folder / "driver.log", Path(tempfile.gettempdir()) / f"campaign-{seed}.log")
    return found + campaign.faults + Counter({"seconds": round(time.monotonic() - started)})


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process with its group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
