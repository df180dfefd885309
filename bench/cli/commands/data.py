"""Commands for data sets: data list, data fetch and data check."""

from typing import Annotated

import typer

from switchbench.cli import show
from switchbench.cli.options import Plugins
from switchbench.errors import ExitCode
from switchbench.observe.terminal import plain_console

app = typer.Typer(name="data", no_args_is_help=True, help="List, fetch and check data sets.")

Datasets = Annotated[list[str], typer.Argument(metavar="NAME...", help="Data sets.")]


@app.command("list")
def list_(plugin: Plugins = []) -> None:
    """List the data sets: whether their files are on this machine, where, and how large."""
    from switchbench.cli import inventory

    show.inventory(inventory.take_inventory())


@app.command()
def fetch(names: Datasets, plugin: Plugins = []) -> None:
    """Download data sets. An interrupted download is resumed."""
    from switchbench.cli import inventory
    from switchbench.observe.terminal import Downloads

    with Downloads(plain_console(stderr=True)) as downloads:
        fetched = [inventory.fetch(name, downloads.progress) for name in names]
    for entry in fetched:
        typer.echo(f"{entry.name}: {entry.folder}")


@app.command()
def check(
    names: Datasets,
    set_: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="An option of the data set.")
    ] = [],
    plugin: Plugins = [],
) -> None:
    """Read data sets, and compare their files with the published checksums. Exit code 3 if something is
    missing or odd."""
    from switchbench.cli import inventory

    sound = True
    for name in names:
        said, ok = inventory.check(name, set_)
        typer.echo(said)
        sound = sound and ok
    if not sound:
        raise typer.Exit(ExitCode.FAILED)
