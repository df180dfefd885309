"""Batch scripts for Slurm: a Ray cluster of the job's own, and a run on it that goes on in the next job."""

import re
import shlex
import string
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from switchbench.cluster.address import OBJECT_STORE_BYTES
from switchbench.errors import InputError, without_passwords
from switchbench.spec.comparison import Spec
from switchbench.store.ledger import RESULTS
from switchbench.store.objects import resolved
from switchbench.tuning.storage import check_storage

JOIN_SECONDS = 600
"""How long a job waits until all its nodes have joined the Ray cluster."""
TIME = re.compile(r"[0-9]{1,6}(:[0-9]{2}){0,2}|[0-9]{1,3}-[0-9]{1,2}(:[0-9]{2}){0,2}")
SHORTEST_MINUTES = 5
GPUS = re.compile(r"(?:[A-Za-z0-9_.-]{1,64}:)?([0-9]{1,4})")
NAME = re.compile(r"[A-Za-z0-9_.,@-]{1,255}")

START_NODES = """\
for name in $(scontrol show hostnames "$SLURM_JOB_NODELIST" | grep -vxF "$SLURMD_NODENAME"); do
    srun --nodes=1 --ntasks=1 --nodelist="$name" --cpu-bind=none --export=ALL \\
        bash -c "node --address=$address" &
done
run switchbench wait "$address" %{nodes} --seconds %{seconds} || exit
"""
"""Lines for jobs of several nodes."""
CLEAN_NODES = """\
    timeout 20 srun --overlap --ntasks-per-node=1 --export=ALL rm -rf "$tmp"
"""


class _Script(string.Template):
    """Text in which ``%{name}`` is replaced; ``$`` belongs to the shell."""

    delimiter = "%"


@dataclass(frozen=True)
class SlurmJob:
    """What a batch job asks Slurm for."""

    nodes: int = 1
    gpus: str = "0"
    """GPUs of each node: a number, or Slurm's ``type:number``."""
    cpus: int | None = None
    """Cores of each node; None: whole nodes."""
    time: str = "24:00:00"
    """Time limit in a notation of Slurm."""
    partition: str | None = None
    account: str | None = None

    def __post_init__(self) -> None:
        if not TIME.fullmatch(self.time):
            allowed = (
                "minutes, minutes:seconds, hours:minutes:seconds, days-hours or days-hours:minutes:seconds"
            )
            raise InputError(f"--time {self.time}: should be {allowed}")
        if _minutes(self.time) <= SHORTEST_MINUTES:
            reason = "two of them are for checkpoints, and starting takes time"
            raise InputError(f"--time {self.time}: should be more than {SHORTEST_MINUTES} minutes; {reason}")
        if not GPUS.fullmatch(self.gpus):
            raise InputError(f"--gpus-per-node {self.gpus}: should be a number, or type:number as in a100:4")
        for option, value in (("--partition", self.partition), ("--account", self.account)):
            if value is not None and not NAME.fullmatch(value):
                raise InputError(f"{option} {value!r}: should be letters, digits and any of . , @ _ -")

    @property
    def gpu_count(self) -> int:
        """Number of GPUs of each node."""
        return int(self.gpus.rpartition(":")[2])

    def requests(self) -> list[str]:
        """Return the options of ``sbatch``, a line each."""
        cores = f"--cpus-per-task={self.cpus}" if self.cpus else "--exclusive --mem=0"
        return [
            f"--nodes={self.nodes} --ntasks-per-node=1 {cores}",
            *([f"--gpus-per-node={self.gpus}"] if self.gpu_count else []),
            f"--time={self.time}",
            *([f"--partition={self.partition}"] if self.partition else []),
            *([f"--account={self.account}"] if self.account else []),
        ]


def _minutes(time: str) -> float:
    """Return a time limit of Slurm's notation in minutes.

    >>> _minutes("90"), _minutes("1:30:00"), _minutes("1-2"), _minutes("1-0:30"), _minutes("30:30")
    (90.0, 90.0, 1560.0, 1470.0, 30.5)
    """
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    units = (60, 1, 1 / 60) if dash or len(parts) == 3 else (1, 1 / 60)
    return int(days or 0) * 1_440.0 + sum(part * unit for part, unit in zip(parts, units, strict=False))


def script(spec: Spec, job: SlurmJob, command: Sequence[str], folder: Path) -> str:
    """Write the batch script of a run.

    Args:
        spec: The spec, resolved.
        job: What the job asks Slurm for.
        command: The command that runs the spec, without the address of the cluster.
        folder: The current folder of the run, which relative paths refer to.

    Returns:
        A bash script for ``sbatch``.

    Raises:
        InputError: No node is large enough for a trial, or trials use none of the GPUs.
    """
    _check_size(spec, job)
    several = job.nodes > 1
    joined = _Script(START_NODES).substitute(nodes=job.nodes, seconds=JOIN_SECONDS)
    template = resources.files("switchbench.cli").joinpath("slurm.sh").read_text(encoding="utf-8")
    return _Script(template).substitute(
        name=spec.name,
        requests="\n".join(f"#SBATCH {request}" for request in job.requests()),
        folder=shlex.quote(str(folder)),
        programs=shlex.quote(str(Path(sys.executable).parent)),
        gpus=job.gpu_count,
        object_store=OBJECT_STORE_BYTES,
        client_port=_client_port(),
        start_nodes=joined if several else "",
        clean_nodes=CLEAN_NODES if several else "",
        command=shlex.join(command),
    )


def check_search(spec: Spec, out: str | None, storage: str | None, warm_start: Path | None) -> None:
    """Check the options that a search needs or that only a search has.

    Args:
        spec: The spec, resolved.
        out: The folder of the results; None: the default.
        storage: Database of the search's studies, if any.
        warm_start: Folder of another search, if any.

    Raises:
        InputError: An option is missing, or has no effect.
    """
    if spec.search:
        check_storage(resolved(out or RESULTS / spec.name), storage)
        return
    for option, value in (("--storage", storage), ("--warm-start", warm_start)):
        if value:
            message = f"{option} {value}: is for a search, and the spec has no part search"
            raise InputError(without_passwords(message))


def _check_size(spec: Spec, job: SlurmJob) -> None:
    """Raise InputError if a node of the job cannot hold a trial, or has GPUs that no trial uses."""
    trial = spec.resources
    if job.gpu_count and not trial.gpus:
        asked = f"--gpus-per-node {job.gpus} asks for GPUs"
        raise InputError(f"resources.gpus: 0, but {asked}; set resources.gpus")
    if trial.gpus > job.gpu_count:
        raise InputError(f"--gpus-per-node {job.gpus}: a trial needs {trial.gpus:g} GPUs (resources.gpus)")
    if job.cpus and trial.cpus > job.cpus:
        raise InputError(f"--cpus-per-node {job.cpus}: a trial needs {trial.cpus} cores (resources.cpus)")


def _client_port() -> str:
    """Return the option that keeps Ray's client server, which nobody uses here, off its default port.

    Ray starts that server where grpc is installed, and refuses the option elsewhere.
    """
    installed = find_spec("grpc") is not None
    return " --ray-client-server-port=$((20000 + SLURM_JOB_ID % 10000))" if installed else ""
