"""What each command imports of the libraries that take long: those that it uses, and no other.

Importing torch takes two seconds and half a gigabyte, and its compiler (torch._dynamo), matplotlib, scipy, pandas,
MLflow and Ray a second each. Here it is asked what is imported, never how long it took.
"""

import subprocess
import sys
from pathlib import Path

import pytest

LIBRARIES = (
    "torch",
    "torch._dynamo",
    "torchvision",
    "ray",
    "mlflow",
    "optuna",
    "scipy",
    "matplotlib",
    "pandas",
    "plotly",
    "sklearn",
)
PROGRAM = f"""
import atexit, sys
atexit.register(lambda: print("imported:", *sorted({{*{LIBRARIES}}} & {{*sys.modules}}), file=sys.stderr))
from switchbench.cli.app import main
main()
"""
RESULTS = Path(__file__).parent.parent / "docs" / "results" / "fashion-mnist"
PLUGIN = """
from switchbench.methods import Method, register

@register("lazy")
class Lazy(Method):
    \"\"\"Do nothing.\"\"\"
"""
REPORT = "pandas plotly scipy"
"""Figures are drawn by a process of its own, which imports matplotlib."""


@pytest.mark.parametrize(
    ("command", "libraries"),
    [
        ("--help", ""),
        ("--version", ""),
        ("run --help", ""),
        ("report --help", ""),
        ("list", ""),
        ("list methods", ""),
        ("list networks", ""),
        ("list datasets", ""),
        ("list recipes", ""),
        ("list specs", ""),
        ("list magnitude", ""),
        ("list torchvision", ""),
        ("list fashion-mnist", ""),
        ("list methods --plugin plugin.py", "torch"),
        pytest.param("run nowhere.yaml --dry-run", "torch", marks=pytest.mark.slow),  # as that of quickstart
        ("run quickstart --dry-run", "torch"),
        pytest.param("search search-switcher --dry-run", "torch", marks=pytest.mark.slow),  # as that of a run
        pytest.param("slurm quickstart", "torch", marks=pytest.mark.slow),  # as a dry run
        pytest.param("inspect lenet-300-100", "torch", marks=pytest.mark.slow),  # as data check
        pytest.param("data list", "torch", marks=pytest.mark.slow),  # as data check
        ("data check fake", "torch"),
        ("pull", ""),
        ("sync nowhere", ""),
        ("status nowhere", "pandas"),
        (f"status {RESULTS}", "pandas"),
        (f"trial {RESULTS} 3ec7076b", "pandas torch"),
        (f"report {RESULTS} --out report", REPORT),
        (f"leaderboard {RESULTS} --out leaderboard.html", REPORT),
        ("wait 127.0.0.1:1 1 --seconds 0", "ray"),
    ],
)
def test_a_command_imports_what_it_uses(command: str, libraries: str, tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command.split()],
        cwd=tmp_path,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].split()[1:] == libraries.split()


def test_the_driver_imports_no_report_before_its_trials_are_done() -> None:
    program = f"import sys, switchbench.compare.run; print(*sorted({{*{LIBRARIES}}} & {{*sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["torch"]


def test_no_method_imports_the_compiler_while_it_trains() -> None:
    """It would count as the first trial's time. Networks of torchvision import it when they are built."""
    program = """
import sys
from switchbench.methods import METHODS
from switchbench.spec.trial import TrialConfig
from switchbench.trial.run import run_trial

for name, method in METHODS.items():
    density = 0.3 if method.takes_target(method.Config()) else None
    for training in ({"optimizer": "adam"}, {"optimizer": "sgd", "momentum": 0.9, "kernels": "sparse"}):
        training |= {"steps": 4, "batch_size": 16}
        network = {"network": "mlp", "hidden": [12, 8], "batch_norm": name == "network-slimming"}
        run_trial(TrialConfig.of(
            method=name, network=network, dataset="fake", density=density, training=training
        ))
        if "torch._dynamo" in sys.modules:
            sys.exit(f"{name} imports torch's compiler")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300
    )
    assert not done.stderr
    assert done.returncode == 0
