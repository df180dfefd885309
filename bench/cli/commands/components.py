"""Commands for what comparisons are made of: list and check."""

from pathlib import Path
from typing import Annotated

import typer

from switchbench.cli import show
from switchbench.cli.options import Plugins
from switchbench.errors import ExitCode
from switchbench.store.comparisons import comparisons_below, no_comparison


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

    if what is not None and what not in listing.SECTIONS and comparisons_below(Path(what)):
        raise no_comparison(Path(what))
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


def _is_comparison(what: str) -> bool:
    """Tell whether an argument of ``list`` is a folder: no name has a slash."""
    return "/" in what or Path(what, "spec.yaml").exists()
