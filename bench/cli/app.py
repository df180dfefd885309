"""The command line: parse, call, print. Bad input ends with one line and exit code 2."""

import importlib.metadata
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from switchbench.cli import show
from switchbench.errors import InputError, Interrupted
from switchbench.observe.terminal import plain_console
from switchbench.row import Status

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
    from switchbench.compare.plan import plan
    from switchbench.compare.run import run as run_comparison
    from switchbench.plugins import load as plugins

    if dry_run:
        plugins.load(plugin)
        planned = plan(spec, out, set_)
        show.plan(planned)
        show.cost(planned, tflops)
        return
    results = run_comparison(
        spec,
        out,
        set_,
        address=address,
        mlflow_uri=mlflow_uri,
        plugin_files=plugin,
        console=plain_console(),
    )
    if results["status"].isin([Status.FAILED, Status.MISSING]).any():
        raise typer.Exit(1)


@app.command()
def search(
    spec: Annotated[str, typer.Argument(help="YAML file with a part called search, or a shipped spec.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the results; default: results/NAME.")] = None,
    set_: Annotated[list[str], typer.Option("--set", help="Change of the spec: key.key=value.")] = [],  # noqa: B006
    address: Annotated[str | None, typer.Option(help="Running Ray cluster; default: this machine.")] = None,
    mlflow_uri: MlflowUri = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Database of the studies (postgresql://…), which several drivers may share; default: a file."
        ),
    ] = None,
    warm_start: Annotated[
        Path | None, typer.Option(help="Folder of another search, whose best points are tried first.")
    ] = None,
    plugin: Plugins = [],  # noqa: B006
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what is searched and what it will cost, and run nothing.")
    ] = False,
    tflops: Annotated[
        float, typer.Option(help="For --dry-run: 10^12 FLOPs a second of one trial.", min=1e-9)
    ] = 1.0,
) -> None:
    """Search methods' options on validation images, each with the same budget; then compare the best on fresh
    seeds. Exit code 1 if trials of the comparison failed."""
    from switchbench.plugins import load as plugins
    from switchbench.tuning.plan import plan
    from switchbench.tuning.run import search as run_search

    if dry_run:
        plugins.load(plugin)
        show.search(plan(spec, out, set_), tflops)
        return
    results = run_search(
        spec,
        out,
        set_,
        address=address,
        mlflow_uri=mlflow_uri,
        storage=storage,
        warm_start=warm_start,
        plugin_files=plugin,
        console=plain_console(),
    )
    if results["status"].isin([Status.FAILED, Status.MISSING]).any():
        raise typer.Exit(1)


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="Folder of a comparison.")],
    pair: Annotated[
        list[str],
        typer.Option(metavar="A:B", help="Two methods whose difference, paired by seed, is to be shown."),
    ] = [],  # noqa: B006
) -> None:
    """Write the tables and figures of a comparison, and of a search, from stored results."""
    from switchbench.compare import report as reporting
    from switchbench.store.ledger import Ledger

    searched = reporting.report_search(results, plain_console())
    if Ledger(results).planned or not searched:
        reporting.report(results, plain_console(), map(_pair, pair))


@app.command()
def sync(
    results: Annotated[Path, typer.Argument(help="Folder of a comparison.")],
    mlflow_uri: MlflowUri = None,
) -> None:
    """Send MLflow what it lacks of a comparison."""
    from switchbench.compare.sync import sync as send

    typer.echo(f"{send(results, mlflow_uri)} trials sent")


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
    from switchbench.plugins import conformance
    from switchbench.plugins import load as plugins
    from switchbench.spec import file as specfile

    plugins.load(plugin)
    broken = False
    for name in plugins.methods_of(what):
        outcomes = conformance.check(name, specfile.changed({}, set_))
        broken = broken or any(outcome.problem for outcome in outcomes)
        show.outcomes(name, outcomes)
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
    from switchbench.cli import listing
    from switchbench.plugins import load as plugins

    plugins.load(plugin)
    sections = listing.sections()
    if what is not None and what not in sections:
        for number, description in enumerate(listing.describe(what)):
            if number:
                typer.echo()
            show.description(description)
        return
    for section, names in sections.items():
        if what in (None, section):
            show.names(section, names)


@app.command()
def inspect(
    what: Annotated[
        str,
        typer.Argument(
            help="A network's name, or FOLDER/TRIAL_ID of a finished trial (its data set and scope hold)."
        ),
    ],
    dataset: Annotated[str, typer.Option(help="Data set whose images the network is built for.")] = "mnist",
    scope: Annotated[Literal["fc", "all"], typer.Option(help="Layers to sum up.")] = "fc",
    set_: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="An option of the network.")
    ] = [],  # noqa: B006
    picture: Annotated[Path | None, typer.Option(help="Draw a trial's masks into this PNG file.")] = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Print a network layer by layer: weights, multiply-accumulates, and of a trial what is left."""
    from switchbench.networks import NETWORKS
    from switchbench.plugins import load as plugins
    from switchbench.spec.file import component
    from switchbench.spec.scope import Scope
    from switchbench.trained import layers as inspection
    from switchbench.trained.load import finished

    plugins.load(plugin)
    if "/" not in what or what in NETWORKS:
        if picture:
            raise InputError(f"--picture {picture}: is for a trial's masks")
        network = component("network", what, set_)
        found = inspection.inspect_network(network, component("dataset", dataset), Scope(layers=scope))
        show.layers(found)
        return
    trial = finished(what, lambda line: typer.echo(line, err=True))
    image = trial.test.batch(slice(0, 1))[0]
    show.layers(inspection.inspect_finished(trial.network, trial.config.scope, image), trial=True)
    if picture:
        try:
            inspection.picture(trial.network, picture)
        except (OSError, ValueError) as error:
            raise InputError(f"--picture {picture}: {error}") from error
        typer.echo(f"masks: {picture}")


@app.command()
def export(
    trial: Annotated[str, typer.Argument(help="FOLDER/TRIAL_ID of a finished trial.")],
    format_: Annotated[
        Literal["safetensors", "onnx", "csr"],
        typer.Option("--format", help="csr: fully connected layers in compressed sparse rows."),
    ] = "safetensors",
    out: Annotated[Path | None, typer.Option(help="File to write; default: TRIAL_ID.FORMAT here.")] = None,
    shrink: Annotated[bool, typer.Option("--shrink", help="Leave out the units that do nothing.")] = False,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Write a finished network to a file, and compare it with the one that was measured."""
    from switchbench.plugins import load as plugins
    from switchbench.trained.export import export as write
    from switchbench.trained.load import finished

    plugins.load(plugin)
    found = finished(trial, lambda line: typer.echo(line, err=True))
    suffix = "csr.safetensors" if format_ == "csr" else format_
    path = out or Path(f"{found.config.trial_id}.{suffix}")
    try:
        written = write(found, path, format_, shrink)
    except OSError as error:
        raise InputError(f"--out {path}: {error.strerror or error}") from error
    except InputError:
        raise
    except Exception as error:  # exporters raise anything on a network that they do not know
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"--format {format_}: this network cannot be written so ({reason})") from error
    typer.echo(f"{written.path}: {written.size:,} bytes")
    agreement = f"same class on {written.same:,} of {written.images:,} test images"
    typer.echo(f"{agreement}; outputs differ by {written.difference:.2g} at most")
    for name, speedup in written.speedups.items():
        typer.echo(f"{name}: {speedup:.2f} times as fast as dense (measured: one thread, batch 64)")


@app.command()
def latency(
    trial: Annotated[str, typer.Argument(help="FOLDER/TRIAL_ID of a finished trial.")],
    batch: Annotated[list[int], typer.Option(help="Images in a batch.")] = [1, 64],  # noqa: B006
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    threads: Annotated[int, typer.Option(min=1)] = 1,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Time a finished network dense, in sparse form, and without the units that do nothing."""
    from switchbench.measure.latency import latencies, place
    from switchbench.plugins import load as plugins
    from switchbench.trained.load import finished

    plugins.load(plugin)
    if min(batch) < 1:
        raise InputError(f"--batch {min(batch)}: batch sizes should be 1 or more")
    where = place(device)
    found = finished(trial, lambda line: typer.echo(line, err=True))
    images = found.test.batch(slice(0, max(batch)))[0]
    show.latencies(latencies(found.network, images, batch, where, threads))


@data.command("list")
def data_list(plugin: Plugins = []) -> None:  # noqa: B006
    """List the data sets: whether their files are here, where, and how large."""
    from switchbench.cli import inventory
    from switchbench.plugins import load as plugins

    plugins.load(plugin)
    show.inventory(inventory.take_inventory())


@data.command("fetch")
def data_fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Data sets.")],
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Download data sets; resumes an interrupted download."""
    from switchbench.cli import inventory
    from switchbench.observe.terminal import Downloads
    from switchbench.plugins import load as plugins

    plugins.load(plugin)
    with Downloads(plain_console(stderr=True)) as downloads:
        fetched = [inventory.fetch(name, downloads.progress) for name in names]
    for entry in fetched:
        typer.echo(f"{entry.name}: {entry.folder}")


@data.command("check")
def data_check(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Data sets.")],
    set_: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="An option of the data set.")
    ] = [],  # noqa: B006
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Read data sets and compare their files with the published checksums."""
    from switchbench.cli import inventory
    from switchbench.plugins import load as plugins

    plugins.load(plugin)
    for name in names:
        typer.echo(inventory.check(name, set_))


def _pair(text: str) -> tuple[str, str]:
    first, _, second = text.partition(":")
    if not second:
        raise InputError(f"--pair {text!r}: should be the labels of two methods, A:B")
    return first, second


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
