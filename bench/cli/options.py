"""Options and arguments that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from switchbench.errors import InputError


def load_plugins(files: list[Path]) -> list[Path]:
    """Load installed plug-ins and plug-in files before the command runs."""
    from switchbench.plugins import load as plugins

    plugins.load(files)
    return files


PLUGIN_HELP = "Python file that registers methods, networks or data sets."


def not_empty(text: str) -> str:
    """Return a place for results. Raises InputError if it is empty, as an unset variable of the shell is."""
    if not text:
        raise InputError("output folder '': should not be empty")
    return text


def to_folder(text: str) -> Path:
    """Return a place for results as a path. Raises InputError if it is empty."""
    return Path(not_empty(text))


Out = Annotated[
    Path | None,
    typer.Option(parser=to_folder, metavar="DIR", help="Folder for the results; default: results/NAME."),
]
Changes = Annotated[list[str], typer.Option("--set", help="Change of the spec: key.key=value.")]
Address = Annotated[
    str | None,
    typer.Option(
        help="Address of a running Ray cluster, or local: Ray on this machine; default: processes of this "
        "machine, and Ray for GPUs and searches."
    ),
]
MlflowUri = Annotated[
    str | None,
    typer.Option(
        help="MLflow server or database; default: $MLFLOW_TRACKING_URI, or sqlite in the results folder; "
        "none: off."
    ),
]
PluginFiles = Annotated[list[Path], typer.Option("--plugin", help=PLUGIN_HELP)]
"""For commands that load plug-ins themselves, to send them to workers."""
Plugins = Annotated[list[Path], typer.Option("--plugin", help=PLUGIN_HELP, callback=load_plugins)]
"""For all other commands: plug-ins are loaded when the command starts."""
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost, and run nothing.")]
Tflops = Annotated[
    float | None,
    typer.Option(
        help="For --dry-run: speed of one trial in TFLOP/s (10^12 FLOPs per second); default: measured.",
        min=1e-9,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only warnings and errors.")]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object at the end, and nothing else on standard output."),
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Run failed trials again.")]
ResultsFolder = Annotated[
    Path, typer.Argument(parser=to_folder, metavar="DIR", help="Folder of a comparison.")
]
