"""switchbench: which connections does a network need, and which method finds them best?

The Python API runs comparisons, searches and reports as the command line does::

    import switchbench

    results = switchbench.run("quickstart", out="results/quickstart")  # a pandas table
    config = switchbench.TrialConfig.of(network="lenet-300-100", dataset="digits",
                                        method="magnitude", density=0.05, training={"epochs": 20})
    switchbench.run_trial(config).row.test_accuracy

The engine is in packages, each of which says what it holds and may import (``docs/architecture.md`` draws
them). The modules beside them (errors, atomic_files, registration, row, torch_state, words) import nothing of
switchbench, and every package may import them. Names are imported when they are first used, so that
``switchbench --help`` does not wait for torch.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from switchbench.cli.listing import list_methods
    from switchbench.compare.plan import Plan, plan
    from switchbench.compare.pull import pull
    from switchbench.compare.report import report
    from switchbench.compare.report_options import ReportOptions
    from switchbench.compare.run import run
    from switchbench.compare.stored import best_points, curves, results
    from switchbench.compare.sync import sync
    from switchbench.errors import InputError, RunStopped
    from switchbench.methods import Method, Options, option, register
    from switchbench.reports.results import Results
    from switchbench.row import Row, Status
    from switchbench.spec.comparison import Spec
    from switchbench.spec.file import load
    from switchbench.spec.trial import TrialConfig
    from switchbench.trained.files import LoadedNetwork, load_network
    from switchbench.trial.run import TrialResult, run_trial
    from switchbench.tuning.run import search

__version__ = version("switchbench")

__all__ = [
    "InputError",
    "LoadedNetwork",
    "Method",
    "Options",
    "Plan",
    "ReportOptions",
    "Results",
    "Row",
    "RunStopped",
    "Spec",
    "Status",
    "TrialConfig",
    "TrialResult",
    "best_points",
    "curves",
    "list_methods",
    "load",
    "load_network",
    "option",
    "plan",
    "pull",
    "register",
    "report",
    "results",
    "run",
    "run_trial",
    "search",
    "sync",
]

_HOMES = {
    "cli.listing": ["list_methods"],
    "compare.plan": ["Plan", "plan"],
    "compare.pull": ["pull"],
    "compare.report": ["report"],
    "compare.report_options": ["ReportOptions"],
    "compare.run": ["run"],
    "compare.stored": ["best_points", "curves", "results"],
    "compare.sync": ["sync"],
    "errors": ["InputError", "RunStopped"],
    "methods": ["Method", "Options", "option", "register"],
    "reports.results": ["Results"],
    "row": ["Row", "Status"],
    "spec.comparison": ["Spec"],
    "spec.file": ["load"],
    "spec.trial": ["TrialConfig"],
    "trained.files": ["LoadedNetwork", "load_network"],
    "trial.run": ["TrialResult", "run_trial"],
    "tuning.run": ["search"],
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"switchbench.{module}"), name)
    raise AttributeError(f"module 'switchbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
