"""Which report is written: of one comparison, of several, or of what changed between two."""

from collections.abc import Sequence
from pathlib import Path

from switchbench.compare import report as reporting
from switchbench.compare.report_options import ReportOptions
from switchbench.errors import InputError
from switchbench.observe.terminal import plain_console
from switchbench.reports.figures.process import DrawingProcess
from switchbench.store.ledger import Ledger
from switchbench.store.objects import StorePath, resolved

JOINED = Path("report")
"""Default folder of a report of several comparisons."""


def folders(given: Sequence[Path], mlflow_uri: str | None, experiment: str | None) -> list[StorePath]:
    """Return the folders to report on; results in MLflow are pulled into a folder of their own.

    Raises:
        InputError: No results are named, or they cannot be pulled.
    """
    found = [*map(resolved, given)]
    for name, folder in zip(given, found, strict=True):
        if not folder.exists():
            raise InputError(f"{name}: no such folder")
    if experiment is not None:
        from switchbench.compare.pull import pull

        found.append(pull(mlflow_uri, experiment))
    elif mlflow_uri is not None:
        raise InputError("--mlflow-uri: needs --experiment NAME as well; `switchbench pull` lists them")
    if not found:
        raise InputError("DIR: name the folder of a comparison, or --experiment of results in MLflow")
    return found


def single(folder: StorePath, out: Path | None, options: ReportOptions, drawing: DrawingProcess) -> None:
    """Write the report of a comparison and of its search. Raises InputError."""
    compared = Ledger(folder).has_comparison
    if compared:
        reporting.report(folder, plain_console(), options=options, out=out, drawing=drawing)
    if not reporting.report_search(folder, plain_console(), out) and not compared:
        reporting.report(folder)  # says what the folder lacks


def joined(
    given: Sequence[StorePath], out: Path | None, options: ReportOptions, drawing: DrawingProcess
) -> None:
    """Write one report of several comparisons. Raises InputError."""
    reporting.report_joined(given, out or JOINED, plain_console(), options, drawing)


def changed(given: Sequence[StorePath], out: Path | None, options: ReportOptions) -> None:
    """Write what changed between two comparisons. Raises InputError."""
    if options != ReportOptions(margin=options.margin):
        raise InputError(
            "--diff: shows every cell that changed; of the other options only --margin goes with it"
        )
    if len(given) != 2:
        raise InputError(f"--diff: needs two folders, before and after; got {len(given)}")
    reporting.report_changes(given[0], given[1], out or JOINED, plain_console(), options.margin)
