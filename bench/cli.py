"""The command line: parse, call, print. Bad input ends with one line and exit code 2."""

import importlib.metadata
import sys
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from switchbench.errors import InputError, Interrupted
from switchbench.progress import plain_console

if TYPE_CHECKING:
    from switchbench.compare import Plan
    from switchbench.listing import Description

app = typer.Typer(
    name="switchbench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

data = typer.Typer(name="data", no_args_is_help=True, help="What data sets are here; fetch and check them.")
app.add_typer(data)

Plugins = Annotated[
    list[Path], typer.Option("--plugin", help="Python file that registers methods, networks or data sets.")
]
MlflowUri = Annotated[
    str | None,
    typer.Option(help="MLflow server or database; default: sqlite beside the results; none: off."),
]


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Which connections does a network need, and which method finds them best?"""
    if show:
        typer.echo(importlib.metadata.version("switchbench"))
        raise typer.Exit


@app.command()
def run(
    spec: Annotated[str, typer.Argument(help="YAML file, or the name of a shipped spec.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the results; default: results/NAME.")] = None,
    set_: Annotated[list[str], typer.Option("--set", help="Change of the spec: key.key=value.")] = [],  # noqa: B006
    address: Annotated[str | None, typer.Option(help="Running Ray cluster; default: this machine.")] = None,
    mlflow_uri: MlflowUri = None,
    plugin: Plugins = [],  # noqa: B006
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and what it will cost, and run nothing.")
    ] = False,
    tflops: Annotated[
        float, typer.Option(help="For --dry-run: 10^12 FLOPs a second of one trial.", min=1e-9)
    ] = 1.0,
) -> None:
    """Run what a comparison lacks, and write its report. Exit code 1 if trials failed."""
    from switchbench import compare, plugins

    if dry_run:
        plugins.load(plugin)
        plan = compare.plan(spec, out, set_)
        _print_plan(plan)
        _print_cost(plan, tflops)
        return
    results = compare.run(
        spec,
        out,
        set_,
        address=address,
        mlflow_uri=mlflow_uri,
        plugin_files=plugin,
        console=plain_console(),
    )
    if (results["status"].isin(["failed", "missing"])).any():
        raise typer.Exit(1)


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="Folder of a comparison.")],
    pair: Annotated[
        list[str],
        typer.Option(metavar="A:B", help="Two methods whose difference, paired by seed, is to be shown."),
    ] = [],  # noqa: B006
) -> None:
    """Write the tables and figures of a comparison from its stored results."""
    from switchbench import compare

    compare.report(results, plain_console(), map(_pair, pair))


@app.command()
def sync(
    results: Annotated[Path, typer.Argument(help="Folder of a comparison.")],
    mlflow_uri: MlflowUri = None,
) -> None:
    """Send MLflow what it lacks of a comparison."""
    from switchbench import compare

    typer.echo(f"{compare.sync(results, mlflow_uri)} trials sent")


@app.command()
def check(
    what: Annotated[
        str,
        typer.Argument(
            help="A method's name, a module that registers methods (my_package.my_method), or a file."
        ),
    ],
    set_: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="An option other than its default.")
    ] = [],  # noqa: B006
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Check that methods keep the contract, on a tiny problem. Exit code 1 if one does not."""
    from switchbench import conformance, plugins, specfile

    plugins.load(plugin)
    broken = False
    for name in plugins.methods_of(what):
        outcomes = conformance.check(name, specfile.changed({}, set_))
        broken = broken or any(outcome.problem for outcome in outcomes)
        table = Table(title=name, title_justify="left", box=None, show_header=False)
        for outcome in outcomes:
            word = "fails" if outcome.problem else "skipped" if outcome.skipped else "passes"
            table.add_row(word, outcome.check, outcome.problem or outcome.skipped or "")
        plain_console().print(table)
    if broken:
        raise typer.Exit(1)


@app.command("list")
def list_(
    what: Annotated[
        str | None, typer.Argument(help="methods, networks, datasets, recipes, specs, or one name of them.")
    ] = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """List what there is, or describe what goes by one name, with its options."""
    from switchbench import listing, plugins

    plugins.load(plugin)
    console, sections = plain_console(), listing.sections()
    if what is not None and what not in sections:
        for number, description in enumerate(listing.describe(what)):
            if number:
                console.print()
            _print_description(description)
        return
    for section, names in sections.items():
        if what in (None, section):
            table = Table(title=section, title_justify="left", box=None, show_header=False)
            table.add_column(style="bold")
            for name, line in names.items():
                table.add_row(name, line)
            console.print(table)


@data.command("list")
def data_list(plugin: Plugins = []) -> None:  # noqa: B006
    """List the data sets: whether their files are here, where, and how large."""
    from switchbench import plugins, stock

    plugins.load(plugin)
    table = Table("data set", "files", "size", "", box=None)
    table.columns[2].justify = "right"
    for line in stock.stock():
        absent = "not here" if line.fetchable else "none needed"
        size = f"{line.size / 1e6:,.1f} MB" if line.place else ""
        table.add_row(line.name, str(line.place or absent), size, line.description)
    plain_console().print(table)


@data.command("fetch")
def data_fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Data sets.")],
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Bring data sets here from the web; goes on where an earlier attempt stopped."""
    from switchbench import plugins, stock
    from switchbench.progress import Downloads

    plugins.load(plugin)
    with Downloads(plain_console(stderr=True)) as downloads:
        fetched = [stock.fetch(name, downloads.progress) for name in names]
    for line in fetched:
        typer.echo(f"{line.name}: {line.place}")


@data.command("check")
def data_check(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Data sets.")],
    set_: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="An option of the data set.")
    ] = [],  # noqa: B006
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Read data sets and compare their files with the published checksums."""
    from switchbench import plugins, stock

    plugins.load(plugin)
    for name in names:
        typer.echo(stock.check(name, set_))


def _pair(text: str) -> tuple[str, str]:
    first, _, second = text.partition(":")
    if not second:
        raise InputError(f"--pair {text!r}: should be the labels of two methods, A:B")
    return first, second


def _print_plan(plan: "Plan") -> None:
    left = {trial.trial_id for trial in plan.todo}
    table = Table("trial", "method", "density", "seed", "network", "dataset", "state", box=None)
    for trial in plan.trials:
        table.add_row(
            trial.trial_id,
            trial.method.label,
            "-" if trial.density is None else f"{trial.density:g}",
            str(trial.seed),
            trial.network.label,
            trial.dataset.label,
            "to run" if trial.trial_id in left else "done",
        )
    plain_console().print(table)
    typer.echo(plan.summary)


def _print_cost(plan: "Plan", tflops: float) -> None:
    """What is left to run, by network, data set and method."""
    costs = plan.costs()
    if not costs:
        return
    table = Table("to run", "trials", "steps", "FLOPs", "hours", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, cost in costs.items():
        flops = f"{'' if cost.whole else '≥ '}{cost.flops:.2g}"
        table.add_row(name, f"{cost.trials:,}", f"{cost.steps:,}", flops, f"{cost.hours(tflops):,.2f}")
    typer.echo()
    plain_console().print(table)
    typer.echo(
        f"hours: one trial after another at {tflops:g} TFLOP/s (--tflops); ≥: without what the method adds"
    )


def _print_description(description: "Description") -> None:
    console = plain_console()
    if description.documentation:
        console.print(description.documentation)
    table = Table("option", "type", "default", "valid", "search", "meaning", box=None)
    for option in description.options:
        table.add_row(*astuple(option))
    if description.options:
        console.print()
        console.print(table)
    typer.echo(description.text, nl=False)


def main() -> None:
    """Entry point of the command ``switchbench``."""
    try:
        app()
    except InputError as error:
        print(f"switchbench: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as interrupt:
        print(f"switchbench: {interrupt}", file=sys.stderr)
        sys.exit(130)
