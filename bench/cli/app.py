"""The command line: all commands, and how they end. Bad input ends with one line and exit code 2."""

import importlib.metadata
import sys
import threading
from typing import Annotated, Any

import typer

from switchbench.cli.commands import clusters, components, data, experiments, networks, stored
from switchbench.cli.supervise import Supervisor, leave
from switchbench.errors import ExitCode, InputError, RunStopped

ClickException: Any = typer.BadParameter.__mro__[2]  # of click, or of the copy of it that newer typers hold

app = typer.Typer(
    name="switchbench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    experiments.run,
    experiments.search,
    clusters.slurm,
    clusters.wait,
    stored.report,
    stored.leaderboard,
    stored.sync,
    stored.pull,
    stored.status,
    stored.trial,
    stored.compact,
    components.check,
    components.list_,
    networks.inspect,
    networks.export,
    networks.latency,
):
    app.command(command.__name__.rstrip("_"))(command)
app.add_typer(data.app)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Which connections does a network need, and which method finds them best?"""
    if show:
        typer.echo(importlib.metadata.version("switchbench"))
        raise typer.Exit


def main(supervisor: Supervisor | None = None) -> None:
    """Run the command line.

    Args:
        supervisor: Outlives the commands that connect to a cluster; None: nothing does.
    """
    try:
        sys.exit(app(obj=supervisor, prog_name=app.info.name, standalone_mode=False))
    except ClickException as error:
        context = getattr(error, "ctx", None)
        see = f" (see '{context.command_path} --help')" if context else ""
        if message := error.format_message():  # it has none where the help was printed instead
            plain = " ".join(message.replace("Value error, ", "").split()).rstrip(".")
            print(f"switchbench: {plain}{see}", file=sys.stderr)
        sys.exit(ExitCode.INPUT)
    except InputError as error:
        print(f"switchbench: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(ExitCode.INPUT)
    except RunStopped as stop:
        print(f"switchbench: {stop}", file=sys.stderr)
        sys.exit(stop.exit_code)
    except OSError as error:  # of an object store that does not answer, or of a disk
        print(f"switchbench: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(ExitCode.NOT_WRITABLE)


def entry() -> None:
    """Entry point of the command ``switchbench``."""
    supervisor = Supervisor()
    try:
        main(supervisor)
    except SystemExit as end:
        if end.code and threading.active_count() > 1:
            supervisor.report_end()
            leave(end.code if isinstance(end.code, int) else 1)
        raise
    finally:
        supervisor.report_end()
