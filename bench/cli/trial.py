"""Print what is stored of one trial, or run it again in this process."""

import json
import sys
import traceback
from pathlib import Path

import typer
from rich.table import Table

from switchbench.datasets import MissingData
from switchbench.errors import ExitCode, InputError
from switchbench.observe.terminal import plain_console
from switchbench.row import Row, used_as
from switchbench.store.ledger import Ledger
from switchbench.trained.rerun import CHANGED, StoredTrial, has_changed, rerun, stored_trial
from switchbench.trial.outcomes import Unmeasured

EPOCHS_SHOWN = 50


def show(folder: Path, trial: str) -> None:
    """Print config, measurements, curves and log of a trial. Raises InputError."""
    stored = stored_trial(Ledger(folder), trial)
    typer.echo(f"trial {stored.trial_id}: {_state(stored)}")
    if stored.row:
        _measurements(stored.row)
    if stored.config:
        typer.echo("\nconfig:")
        typer.echo(json.dumps(json.loads(stored.config.model_dump_json()), indent=2))
    elif stored.row and stored.row.config:
        typer.echo(f"\nconfig, as stored ({stored.problem}):")
        typer.echo(json.dumps(json.loads(stored.row.config), indent=2))
    _curves(stored.curves)
    if stored.log:
        typer.echo("\nlog:")
        typer.echo(_printable(stored.log.rstrip()))


def run_again(folder: Path, trial: str, debug: bool) -> None:
    """Run a trial in this process, print its epochs and its result; store nothing.

    Args:
        folder: Folder of the comparison.
        trial: Id of the trial, or the beginning of one.
        debug: Whether an exception opens the debugger where it was raised.

    Raises:
        InputError: There is no such trial.
        Exit: The trial raised an exception, which is printed, or has other results than before.
    """
    stored = stored_trial(Ledger(folder), trial)
    try:
        result = rerun(stored, lambda point: typer.echo("  ".join(f"{k} {v:.6g}" for k, v in point.items())))
    except InputError:
        raise
    except (MissingData, Unmeasured) as reason:
        raise InputError(f"trial {stored.trial_id}: {type(reason).__name__}: {reason}") from reason
    except Exception:
        traceback.print_exc()
        if debug:
            import pdb

            pdb.post_mortem(sys.exc_info()[2])
        raise typer.Exit(ExitCode.FAILED) from None
    _measurements(result.row)
    _compare(stored, result.row)


def _state(stored: StoredTrial) -> str:
    """Return the status, or where the trial runs."""
    if stored.row:
        return str(stored.row.status)
    if started := stored.started:
        return f"running or lost: started at {started.started} on {started.host}, process {started.process}"
    return "not run yet"


def _measurements(row: Row) -> None:
    table = Table(box=None, show_header=False)
    names = ["label", "network", "dataset", "scope", "seed", "target_density", "error"]
    names += [*used_as("metric"), "device", "threads", "attempts", "finished"]
    for name in names:
        if (value := row[name]) is not None:
            table.add_row(name, f"{value:.6g}" if isinstance(value, float) else str(value))
    plain_console().print(table)


def _curves(curves: list[dict[str, float]]) -> None:
    if not curves:
        return
    table = Table(*curves[0], box=None)
    stride = -(-len(curves) // EPOCHS_SHOWN)
    shown = [*curves[:-1:stride], curves[-1]]
    for point in shown:
        table.add_row(*("" if value is None else f"{value:.6g}" for value in point.values()))
    typer.echo(f"\n{len(curves)} epochs, {len(shown)} of them shown:" if stride > 1 else "")
    plain_console().print(table)


def _compare(stored: StoredTrial, row: Row) -> None:
    """Say whether the result is the stored one. Raises Exit if it is not."""
    if stored.row and stored.row.val_loss is not None:
        if has_changed(stored.row, row):
            typer.echo(CHANGED)
            raise typer.Exit(ExitCode.FAILED)
        typer.echo("the stored result has the same bits")


def _printable(text: str) -> str:
    """Return a text without control characters, which could command the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in text)
