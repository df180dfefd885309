"""The command line: parse, call, print. Bad input ends with one line and exit code 2."""

import importlib.metadata
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from switchbench.cli import show
from switchbench.cli.supervise import Supervisor
from switchbench.cluster.workers import start_early
from switchbench.errors import ExitCode, InputError, RunStopped
from switchbench.observe.terminal import plain_console
from switchbench.row import Status
from switchbench.words import plural

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from switchbench.reports.results import Results
    from switchbench.spec.comparison import Spec
    from switchbench.trained.load import FinishedNetwork

app = typer.Typer(
    name="switchbench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

data = typer.Typer(name="data", no_args_is_help=True, help="List, fetch and check data sets.")
app.add_typer(data)


def _load_plugins(files: list[Path]) -> list[Path]:
    """Load installed plug-ins and plug-in files before the command runs."""
    from switchbench.plugins import load as plugins

    plugins.load(files)
    return files


PLUGIN_HELP = "Python file that registers methods, networks or data sets."


def _named(text: str) -> str:
    """Return a place for results. Raises InputError if it is empty, as an unset variable of the shell is."""
    if not text:
        raise InputError("output folder '': should not be empty")
    return text


def _folder(text: str) -> Path:
    """Return a place for results as a path. Raises InputError if it is empty."""
    return Path(_named(text))


Out = Annotated[
    Path | None,
    typer.Option(parser=_folder, metavar="DIR", help="Folder for the results; default: results/NAME."),
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
Plugins = Annotated[list[Path], typer.Option("--plugin", help=PLUGIN_HELP, callback=_load_plugins)]
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
ResultsFolder = Annotated[Path, typer.Argument(parser=_folder, metavar="DIR", help="Folder of a comparison.")]
FinishedTrial = Annotated[str, typer.Argument(metavar="TRIAL", help="FOLDER/TRIAL_ID of a finished trial.")]
Datasets = Annotated[list[str], typer.Argument(metavar="NAME...", help="Data sets.")]


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
    ctx: typer.Context,
    spec: Annotated[str, typer.Argument(help="YAML file, or the name of a shipped spec.")],
    out: Out = None,
    set_: Changes = [],
    address: Address = None,
    mlflow_uri: MlflowUri = None,
    plugin: PluginFiles = [],
    retry_failed: RetryFailed = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Trials at the same time on this machine; 0: in this process, one after the other; default: "
            "as many as fit.",
            min=0,
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    dry_run: DryRun = False,
    tflops: Tflops = None,
) -> None:
    """Run the missing trials of a comparison, and write its report. Exit code 3 if trials failed."""
    _one_output(as_json, dry_run)
    if dry_run:
        from switchbench.compare.plan import plan

        _load_plugins(plugin)
        planned = plan(spec, out, set_, retry_failed)
        show.plan(planned, tflops)
        _say_absent(planned.spec)
        return
    if ctx.obj:
        ctx.obj.fork(lambda: _progress(spec, out, set_, plugin))
    with _stoppable():
        if jobs != 0:
            start_early(address)
        from switchbench.compare.run import run as run_comparison

        results = run_comparison(
            spec,
            out,
            set_,
            address=address,
            mlflow_uri=mlflow_uri,
            plugin_files=plugin,
            retry_failed=retry_failed,
            console=_console(quiet, as_json),
            jobs=jobs,
        )
    _end(results, as_json, quiet)


@app.command()
def search(
    ctx: typer.Context,
    spec: Annotated[str, typer.Argument(help="YAML file with a section search, or a shipped spec.")],
    out: Out = None,
    set_: Changes = [],
    address: Address = None,
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
    plugin: PluginFiles = [],
    retry_failed: RetryFailed = False,
    quiet: Quiet = False,
    as_json: Json = False,
    dry_run: DryRun = False,
    tflops: Tflops = None,
) -> None:
    """Search methods' options on validation images with the same budget for each, then compare the best
    points on fresh seeds. Exit code 3 if trials of the comparison failed."""
    _one_output(as_json, dry_run)
    if dry_run:
        from switchbench.tuning.plan import plan

        _load_plugins(plugin)
        searched = plan(spec, out, set_)
        show.search(searched, tflops)
        _say_absent(searched.spec)
        return
    if ctx.obj:
        ctx.obj.fork(lambda: "all results are stored; run the same command again to continue")
    with _stoppable():
        from switchbench.tuning.run import search as run_search

        results = run_search(
            spec,
            out,
            set_,
            address=address,
            mlflow_uri=mlflow_uri,
            storage=storage,
            warm_start=warm_start,
            plugin_files=plugin,
            retry_failed=retry_failed,
            console=_console(quiet, as_json),
        )
    from switchbench.compare.stored import best_points

    _end(results, as_json, quiet, best_points(results.attrs["folder"]) if as_json else None)


@app.command()
def slurm(
    spec: Annotated[str, typer.Argument(help="YAML file, or the name of a shipped spec.")],
    nodes: Annotated[int, typer.Option(help="Number of nodes.", min=1)] = 1,
    gpus_per_node: Annotated[str, typer.Option(help="A number, or type:number as in a100:4.")] = "0",
    cpus_per_node: Annotated[int | None, typer.Option(help="Cores; default: whole nodes.", min=1)] = None,
    time: Annotated[
        str, typer.Option(help="Time limit of a job; what is left continues in the next.")
    ] = "24:00:00",
    partition: Annotated[str | None, typer.Option(help="Partition of the cluster.")] = None,
    account: Annotated[str | None, typer.Option(help="Account that is charged.")] = None,
    out: Annotated[
        str | None, typer.Option(parser=_named, metavar="DIR", help="As for run and search.")
    ] = None,
    set_: Changes = [],
    mlflow_uri: MlflowUri = None,
    storage: Annotated[str | None, typer.Option(help="As for search.")] = None,
    warm_start: Annotated[Path | None, typer.Option(help="As for search.")] = None,
    plugin: Plugins = [],
    retry_failed: RetryFailed = False,
) -> None:
    """Print a batch script for Slurm's sbatch that runs a comparison or a search on the nodes of a job."""
    from switchbench.cli.slurm import SlurmJob, check_search, script
    from switchbench.compare.plan import resolve

    resolved = resolve(spec, set_)
    check_search(resolved, out, storage, warm_start)
    command = ["switchbench", "search" if resolved.search else "run", spec]
    for option, values in (
        ("--out", [out] if out else []),
        ("--set", set_),
        ("--mlflow-uri", [mlflow_uri] if mlflow_uri else []),
        ("--storage", [storage] if storage else []),
        ("--warm-start", [str(warm_start)] if warm_start else []),
        ("--plugin", map(str, plugin)),
    ):
        command += [word for value in values for word in (option, value)]
    command += ["--retry-failed"] if retry_failed else []
    job = SlurmJob(nodes, gpus_per_node, cpus_per_node, time, partition, account)
    typer.echo(script(resolved, job, command, Path.cwd()), nl=False)


@app.command()
def wait(
    ctx: typer.Context,
    address: Annotated[str, typer.Argument(help="Address of a running Ray cluster, or auto.")],
    nodes: Annotated[int, typer.Argument(help="Number of nodes, the head included.", min=1)],
    seconds: Annotated[float, typer.Option(help="How long to wait.")] = 600,
) -> None:
    """Wait until nodes have joined a Ray cluster. Exit code 69 if they have not."""
    if not seconds >= 0:  # NaN included
        raise InputError(f"--seconds {seconds:g}: should be 0 or more")
    if ctx.obj:
        ctx.obj.fork(lambda: f"the nodes at {address} have not joined")
    from switchbench.cluster.nodes import wait_for_nodes

    wait_for_nodes(address, nodes, seconds)


@app.command()
def report(
    results: Annotated[
        list[Path] | None,
        typer.Argument(parser=_folder, metavar="DIR...", help="Folders of comparisons; several are joined."),
    ] = None,
    pair: Annotated[
        list[str],
        typer.Option(metavar="A:B", help="Two methods whose difference is shown, paired by seed."),
    ] = [],
    baseline: Annotated[
        str | None, typer.Option(metavar="LABEL", help="A method that all others are compared with.")
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            metavar="POINTS", help="Smaller differences of accuracy, in percentage points, are equal."
        ),
    ] = 0.3,
    methods: Annotated[list[str], typer.Option(metavar="A,B", help="Labels of the methods to show.")] = [],
    densities: Annotated[list[str], typer.Option(metavar="D,D", help="Target densities to show.")] = [],
    columns: Annotated[
        list[str], typer.Option(metavar="A,B", help="Columns to show; tables without them stay as they are.")
    ] = [],
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Sort tables by a column, largest first; COLUMN:ascending: smallest."
        ),
    ] = None,
    digits: Annotated[int, typer.Option(help="Decimals of accuracies.")] = 2,
    style: Annotated[
        str, typer.Option(help="Wide LaTeX tables: paper splits them, wide turns them by 90 degrees.")
    ] = "paper",
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what changed from the first folder to the second.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the report; default: DIR/report, or report.")
    ] = None,
    mlflow_uri: Annotated[
        str | None, typer.Option(help="MLflow server or database that the results are pulled from.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(metavar="NAME", help="Experiment in MLflow; its results go to results/NAME.")
    ] = None,
) -> None:
    """Write tables, statistics, figures and a page from stored results of comparisons and searches."""
    from switchbench.reports.figures.process import DrawingProcess

    with nullcontext() if diff else DrawingProcess() as drawing:  # starts before pandas is imported here
        from switchbench.cli import report as reporting
        from switchbench.compare.choices import Options

        options = Options(
            tuple(pair),
            baseline,
            margin,
            tuple(methods),
            tuple(densities),
            tuple(columns),
            sort,
            digits,
            style,
        )
        folders = reporting.folders(results or [], mlflow_uri, experiment)
        if drawing is None:
            reporting.changed(folders, out, options)
        elif len(folders) > 1:
            reporting.joined(folders, out, options, drawing)
        else:
            reporting.single(folders[0], out, options, drawing)


@app.command()
def leaderboard(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with comparisons, at any depth.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The page; default: DIR/leaderboard.html.")
    ] = None,
) -> None:
    """Write a page over all comparisons below a folder: the best methods by task and density."""
    from switchbench.compare.leaderboard import leaderboard as write

    page, number = write(folder, out)
    typer.echo(f"{page}: {plural(number, 'comparison')}")


@app.command()
def sync(results: ResultsFolder, mlflow_uri: MlflowUri = None) -> None:
    """Send the rows of a comparison that MLflow lacks."""
    from switchbench.compare.sync import sync as send

    typer.echo(f"{plural(send(results, mlflow_uri), 'trial')} sent")


@app.command()
def pull(
    mlflow_uri: Annotated[
        str | None, typer.Option(help="MLflow server or database; default: $MLFLOW_TRACKING_URI.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of a comparison; default: list those there are.")
    ] = None,
    out: Out = None,
    curves: Annotated[bool, typer.Option(help="Read the curves too.")] = True,
) -> None:
    """Make a results folder from what machines have sent to MLflow, for report and run."""
    from switchbench.compare import pull as pulling
    from switchbench.store.ledger import Ledger

    if experiment is None:
        show.experiments(pulling.experiments(mlflow_uri))
        return
    folder = pulling.pull(mlflow_uri, experiment, out, curves)
    show.pulled(experiment, folder, Ledger(folder).results()["status"])


@app.command()
def status(
    results: ResultsFolder,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until the run ends.")] = False,
) -> None:
    """Show how far a comparison is, from any machine: done, running, failed and why, hours used."""
    from switchbench.cli.status import show as show_status

    show_status(results, watch)


@app.command()
def trial(
    results: ResultsFolder,
    trial_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the trial, or its beginning.")],
    rerun: Annotated[bool, typer.Option("--rerun", help="Run it again here; nothing is stored.")] = False,
    debug: Annotated[bool, typer.Option("--pdb", help="Open the debugger where it fails.")] = False,
    plugin: Plugins = [],
) -> None:
    """Show what is stored of a trial: config, measurements, curves, error and log."""
    from switchbench.cli import trial as single

    if rerun or debug:
        single.run_again(results, trial_id, debug)
    else:
        single.show(results, trial_id)


@app.command()
def compact(results: ResultsFolder) -> None:
    """Merge the small files of finished trials into a few. Every result stays readable."""
    from switchbench.store.ledger import Ledger
    from switchbench.store.search import SearchLedger

    ledger = Ledger(results)
    if not ledger.folder.exists():
        raise InputError(f"{ledger.folder}: no such folder")
    gathered = ledger.compact() + SearchLedger(ledger).compact()
    typer.echo(f"{plural(gathered, 'trial')} gathered in {ledger.folder}")


@app.command()
def check(
    what: Annotated[
        str,
        typer.Argument(
            help="Name of a method, network or data set, a module that registers some (my_package.mine), "
            "or a file."
        ),
    ],
    set_: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="An option's value.")] = [],
    plugin: Plugins = [],
) -> None:
    """Check that methods, networks and data sets keep the rules of plug-ins. Exit code 3 if one does not."""
    from switchbench.plugins import check_dataset, check_network, conformance
    from switchbench.plugins import load as plugins
    from switchbench.spec import file as specfile

    broken = False
    for kind, names in plugins.registered_by(what).items():
        for name in names:
            if kind == "method":
                outcomes = conformance.check(name, specfile.with_changes({}, set_))
            elif kind == "network":
                outcomes = check_network.check(specfile.component("network", name, set_))
            else:
                outcomes = check_dataset.check(specfile.component("dataset", name, set_))
            broken = broken or any(outcome.problem for outcome in outcomes)
            show.outcomes(name, outcomes)
    if broken:
        raise typer.Exit(ExitCode.FAILED)


@app.command("list")
def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            help="methods, networks, datasets, recipes, optimizers, specs, keys (spec, training, search and "
            "other parts of a spec), or one of their names; or the folder of a comparison."
        ),
    ] = None,
    plugin: Plugins = [],
) -> None:
    """List all names, describe one of them with its options, or list the trials of a folder."""
    from switchbench.cli import listing

    if what is not None and (folders := _comparisons_below(what)):
        raise InputError(f"{what}: is a folder of comparisons: {', '.join(map(str, folders))}")
    if what is not None and _is_comparison(what):
        from switchbench.compare.stored import results

        show.trials(results(what))
        return
    if what is not None and what not in listing.SECTIONS:
        for number, description in enumerate(listing.describe(what)):
            if number:
                typer.echo()
            show.description(description)
        return
    for section in listing.SECTIONS:
        if what in (None, section):
            show.names(section, listing.names(section))


def _comparisons_below(what: str) -> list[Path]:
    """Return the comparisons in a folder that is none itself: a search has a spec below its own."""
    specs = [] if Path(what, "spec.yaml").exists() else Path(what).glob("*/spec.yaml")
    return sorted(spec.parent for spec in specs)


def _is_comparison(what: str) -> bool:
    """Tell whether an argument of ``list`` is a folder: no name has a slash."""
    return "/" in what or Path(what, "spec.yaml").exists()


@app.command()
def inspect(
    what: Annotated[
        str,
        typer.Argument(
            help="A network's name, or FOLDER/TRIAL_ID of a finished trial (with its own data set and scope)."
        ),
    ],
    dataset: Annotated[str, typer.Option(help="Data set whose images the network is built for.")] = "mnist",
    scope: Annotated[Literal["fc", "all"], typer.Option(help="Layers to sum up.")] = "fc",
    set_: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="An option of the network.")
    ] = [],
    picture: Annotated[Path | None, typer.Option(help="PNG file for a picture of a trial's masks.")] = None,
    plugin: Plugins = [],
) -> None:
    """Print a network layer by layer: weights, MACs, and for a trial what remains of them."""
    from switchbench.networks import NETWORKS
    from switchbench.spec.file import component
    from switchbench.spec.scope import Scope
    from switchbench.trained import inspection

    if "/" not in what or what in NETWORKS:
        if picture:
            raise InputError(f"--picture {picture}: works only for a trial, whose masks it draws")
        network = component("network", what, set_)
        inspected = inspection.inspect_network(network, component("dataset", dataset), Scope(layers=scope))
        show.layers(inspected)
        return
    finished = _load_finished(what)
    image = finished.test.batch(slice(0, 1))[0]
    show.layers(inspection.inspect_finished(finished.network, finished.config.scope, image), trial=True)
    if picture:
        try:
            inspection.picture(finished.network, picture)
        except (OSError, ValueError) as error:
            raise InputError(f"--picture {picture}: {error}") from error
        typer.echo(f"masks: {picture}")


@app.command()
def export(
    trial: FinishedTrial,
    format_: Annotated[
        Literal["safetensors", "csr", "onnx", "pt2"],
        typer.Option(
            "--format",
            help="safetensors: weights. csr: weights, fully connected layers as compressed sparse rows. "
            "onnx, pt2: a graph that runs without switchbench, by onnxruntime or by torch.export.load.",
        ),
    ] = "safetensors",
    out: Annotated[Path | None, typer.Option(help="File to write; default: ./TRIAL_ID.FORMAT.")] = None,
    shrink: Annotated[bool, typer.Option("--shrink", help="Remove dead neurons and channels first.")] = False,
    with_normalisation: Annotated[
        bool,
        typer.Option(
            "--with-normalisation", help="Write a network that takes bytes and normalises them itself."
        ),
    ] = False,
    plugin: Plugins = [],
) -> None:
    """Write a finished network to a file, compare its outputs with the measured network's, and print code
    that uses it. The file also holds normalisation, names of the classes and measured accuracy."""
    from switchbench.trained.export import export as write

    finished = _load_finished(trial)
    suffix = "csr.safetensors" if format_ == "csr" else format_
    path = out or Path(f"{finished.config.trial_id}.{suffix}")
    try:
        written = write(finished, path, format_, shrink, with_normalisation)
    except OSError as error:
        raise InputError(f"--out {path}: {error.strerror or error}") from error
    except InputError:
        raise
    except Exception as error:  # exporters may raise anything for a network that they do not support
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"--format {format_}: cannot write this network ({reason})") from error
    typer.echo(f"{written.path}: {written.size:,} bytes")
    agreement = f"same class on {written.same:,} of {written.images:,} test images"
    typer.echo(f"{agreement}; outputs differ by at most {written.difference:.2g}")
    for name, speedup in written.speedups.items():
        typer.echo(f"{name}: {speedup:.2f} times as fast as dense (measured: one thread, batch 64)")
    shape = ", ".join(map(str, written.image))
    typer.echo(f"\nTo use it, with images in `pixels`: bytes of shape (n, {shape}); resize others first:\n")
    typer.echo(written.snippet)


@app.command()
def latency(
    trial: Annotated[
        str,
        typer.Argument(metavar="TRIAL", help="FOLDER/TRIAL_ID of a finished trial, or FOLDER."),
    ],
    batch: Annotated[list[int], typer.Option(help="Images in a batch.")] = [1, 64],
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    threads: Annotated[int, typer.Option(min=1)] = 1,
    plugin: Plugins = [],
) -> None:
    """Time finished networks: dense, in sparse format, without dead neurons and channels. Those of a whole
    comparison are stored for its report."""
    from switchbench.measure.latency import available_device, latencies
    from switchbench.store.ledger import Ledger

    if min(batch) < 1:
        raise InputError(f"--batch {min(batch)}: batch sizes should be 1 or more")
    torch_device = available_device(device)
    ledger = Ledger(trial)
    if ledger.has_comparison:
        from switchbench.trained.timing import time_comparison

        number = time_comparison(ledger, batch, torch_device, threads, typer.echo)
        typer.echo(f"{plural(number, 'network')} timed; `switchbench report {trial}` shows them")
        return
    finished = _load_finished(trial)
    images = finished.test.batch(slice(0, max(batch)))[0]
    show.latencies(latencies(finished.network, images, batch, torch_device, threads))


@data.command("list")
def data_list(plugin: Plugins = []) -> None:
    """List the data sets: whether their files are on this machine, where, and how large."""
    from switchbench.cli import inventory

    show.inventory(inventory.take_inventory())


@data.command("fetch")
def data_fetch(names: Datasets, plugin: Plugins = []) -> None:
    """Download data sets. An interrupted download is resumed."""
    from switchbench.cli import inventory
    from switchbench.observe.terminal import Downloads

    with Downloads(plain_console(stderr=True)) as downloads:
        fetched = [inventory.fetch(name, downloads.progress) for name in names]
    for entry in fetched:
        typer.echo(f"{entry.name}: {entry.folder}")


@data.command("check")
def data_check(
    names: Datasets,
    set_: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="An option of the data set.")
    ] = [],
    plugin: Plugins = [],
) -> None:
    """Read data sets, and compare their files with the published checksums."""
    from switchbench.cli import inventory

    for name in names:
        typer.echo(inventory.check(name, set_))


def _load_finished(trial: str) -> "FinishedNetwork":
    """Load a trial's network. Say on standard error if it must be trained again."""
    from switchbench.trained.load import load_finished

    return load_finished(trial, lambda line: typer.echo(line, err=True))


def _console(quiet: bool, as_json: bool) -> "Console":
    """Return where progress and tables are printed."""
    console = plain_console(stderr=as_json)
    console.quiet = quiet or as_json
    return console


def _end(results: "Results", as_json: bool, quiet: bool, best: "pd.DataFrame | None" = None) -> None:
    """Say what is done, and what to do next. Exit with the code of failed trials if trials failed or lack."""
    if as_json:
        show.as_json(results, best)
    elif not quiet:
        show.next_steps(results)
    if results["status"].isin([Status.FAILED, Status.MISSING]).any():
        raise typer.Exit(ExitCode.FAILED)


def _say_absent(spec: "Spec") -> None:
    """Name the data sets that a run would lack."""
    from switchbench.cli.inventory import absent

    for name in absent(choice.name for choice in spec.datasets):
        typer.echo(f"{name} is not on this machine; fetch it first: switchbench data fetch {name}")


def _one_output(as_json: bool, dry_run: bool) -> None:
    """Refuse two options that would both print. Raises InputError."""
    if as_json and dry_run:
        raise InputError("--json: has no effect with --dry-run, which prints a plan; give one of them")


@contextmanager
def _stoppable() -> Iterator[None]:
    """Make a signal a RunStopped, also while no trial is running: at the start, and in the report."""
    from switchbench.cluster.signals import handled, stop_at_once

    try:
        with handled(stop_at_once):
            yield
    except KeyboardInterrupt as interrupt:
        code = ExitCode.of(interrupt)
        raise RunStopped("stopped; run the same command again to continue", code) from interrupt


def _progress(spec: str, out: Path | None, changes: list[str], plugins: list[Path]) -> str:
    """Return what is done of a comparison, and how to continue."""
    from switchbench.compare.plan import plan

    _load_plugins(plugins)
    return plan(spec, out, changes).how_to_continue()


def main(supervisor: Supervisor | None = None) -> None:
    """Run the command line.

    Args:
        supervisor: Outlives the commands that connect to a cluster; None: nothing does.
    """
    try:
        app(obj=supervisor)
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
    finally:
        supervisor.report_end()
