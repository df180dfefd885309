"""Commands that read or tidy stored results: status, trial, report, leaderboard, compact, sync and pull."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from switchbench.cli import show
from switchbench.cli.options import MlflowUri, Out, Plugins, ResultsFolder, to_folder
from switchbench.compare.report_options import ReportOptions
from switchbench.errors import InputError
from switchbench.words import plural


def report(
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            parser=to_folder, metavar="DIR...", help="Folders of comparisons; several are joined."
        ),
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
            metavar="POINTS", help="Margin of the test of equality, in percentage points of accuracy."
        ),
    ] = ReportOptions.margin,
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
    digits: Annotated[int, typer.Option(help="Decimals of accuracies.")] = ReportOptions.digits,
    style: Annotated[
        str, typer.Option(help="Wide LaTeX tables: paper splits them, wide turns them by 90 degrees.")
    ] = ReportOptions.style,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what changed from the first folder to the second.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the report; default: DIR/report, of several folders ./report."
        ),
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

        options = ReportOptions(
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


def sync(results: ResultsFolder, mlflow_uri: MlflowUri = None) -> None:
    """Send the rows of a comparison that MLflow lacks."""
    from switchbench.compare.sync import sync as send

    typer.echo(f"{plural(send(results, mlflow_uri), 'trial')} sent")


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


def status(
    results: ResultsFolder,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until the run ends.")] = False,
) -> None:
    """Show how far a comparison is, from any machine: done, running, failed and why, hours used."""
    from switchbench.cli.status import show as show_status

    show_status(results, watch)


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


def compact(results: ResultsFolder) -> None:
    """Merge the small files of finished trials into a few. Every result stays readable."""
    from switchbench.store.ledger import Ledger
    from switchbench.store.search import SearchLedger

    ledger = Ledger(results)
    if not ledger.folder.exists():
        raise InputError(f"{ledger.folder}: no such folder")
    gathered = ledger.compact() + SearchLedger(ledger).compact()
    typer.echo(f"{plural(gathered, 'trial')} gathered in {ledger.folder}")
