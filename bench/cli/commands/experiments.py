"""Commands that train: run and search."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from switchbench.cli import show
from switchbench.cli.options import (
    Address,
    Changes,
    DryRun,
    Json,
    MlflowUri,
    Out,
    PluginFiles,
    Quiet,
    RetryFailed,
    Tflops,
    load_plugins,
)
from switchbench.cluster.workers import start_early
from switchbench.errors import ExitCode, InputError, RunStopped
from switchbench.observe.terminal import plain_console
from switchbench.row import Status

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from switchbench.reports.results import Results
    from switchbench.spec.comparison import Spec


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
            help="Trials at the same time in processes of this machine (not with --address or GPUs); 0: in "
            "this process, one after the other; default: as many as fit.",
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

        load_plugins(plugin)
        planned = plan(spec, out, set_, retry_failed)
        planned.ledger.check_writable()
        show.plan(planned, tflops, jobs)
        _say_what_is_missing(planned.spec, address)
        return
    if ctx.obj:
        ctx.obj.fork(lambda: _progress(spec, out, set_, plugin))

    def compare() -> "Results":
        if jobs != 0:
            start_early(address)
        from switchbench.compare.run import run as run_comparison

        return run_comparison(
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

    _end(_stoppable(compare), as_json, quiet)


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

        load_plugins(plugin)
        searched = plan(spec, out, set_, storage)
        searched.comparison.check_writable()
        if warm_start:
            from switchbench.tuning.warm import warm_points

            warm_points(searched, warm_start)
        show.search(searched, tflops)
        _say_what_is_missing(searched.spec, address)
        return
    if ctx.obj:
        ctx.obj.fork(lambda: "all results are stored; run the same command again to continue")

    def find() -> "Results":
        from switchbench.tuning.run import search as run_search

        return run_search(
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

    results = _stoppable(find)
    from switchbench.compare.stored import best_points

    _end(results, as_json, quiet, best_points(results.attrs["folder"]) if as_json else None)


def _console(quiet: bool, as_json: bool) -> "Console":
    """Return where progress and tables are printed."""
    console = plain_console(stderr=as_json)
    console.quiet = quiet or as_json
    return console


def _end(results: "Results", as_json: bool, quiet: bool, best: "pd.DataFrame | None" = None) -> None:
    """Say what is done, and what to do next. Exit with a code of its own if trials failed or are missing."""
    from switchbench.store.ledger import Ledger

    unreached = Ledger(results.attrs["folder"]).unreached()
    if as_json:
        show.as_json(results, best)
    elif not quiet:
        show.next_steps(results, len(unreached))
    failed = int(results["status"].isin([Status.FAILED, Status.MISSING]).sum())
    if failed and quiet and not as_json:
        problem = f"{failed} of {len(results)} trials failed or are missing"
        typer.echo(f"switchbench: {problem}; --retry-failed runs those that failed again", err=True)
    if failed or any(target.error for target in unreached):
        raise typer.Exit(ExitCode.FAILED)


def _say_what_is_missing(spec: "Spec", address: str | None) -> None:
    """Name what a run would lack: data sets, and on this machine resources for a trial."""
    from switchbench.cli.inventory import absent
    from switchbench.cluster.address import LOCAL, address_of

    for name in absent(choice.name for choice in spec.datasets):
        typer.echo(
            f"{name} is not on this machine; a run downloads it, as does: switchbench data fetch {name}"
        )
    if address_of(address) in (None, LOCAL):
        from switchbench.cluster.in_process import check

        try:
            check(spec.resources)
        except InputError as error:
            typer.echo(f"this machine is too small; --address names a cluster: {error}")


def _one_output(as_json: bool, dry_run: bool) -> None:
    """Refuse two options that would both print. Raises InputError."""
    if as_json and dry_run:
        raise InputError("--json: has no effect with --dry-run, which prints a plan; give one of them")


def _stoppable(work: Callable[[], "Results"]) -> "Results":
    """Do it, and make a signal a RunStopped, also while no trial is running: at the start, in the report."""
    from switchbench.cluster.signals import handled, stop_at_once

    # No context manager of our own: a signal in its last lines would be nobody's.
    try:
        with handled(stop_at_once):
            return work()
    except KeyboardInterrupt as interrupt:
        code = ExitCode.of(interrupt)
        raise RunStopped("stopped; run the same command again to continue", code) from interrupt


def _progress(spec: str, out: Path | None, changes: list[str], plugins: list[Path]) -> str:
    """Return what is done of a comparison, and how to continue."""
    from switchbench.compare.plan import plan

    load_plugins(plugins)
    return plan(spec, out, changes).how_to_continue()
