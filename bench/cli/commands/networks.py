"""Commands for single networks: inspect, export and latency."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from switchbench.cli import show
from switchbench.cli.options import Plugins
from switchbench.errors import InputError
from switchbench.words import plural

if TYPE_CHECKING:
    from switchbench.trained.load import FinishedNetwork

FinishedTrial = Annotated[str, typer.Argument(metavar="TRIAL", help="FOLDER/TRIAL_ID of a finished trial.")]


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
    from switchbench.datasets import MissingData
    from switchbench.networks import NETWORKS
    from switchbench.spec.file import component
    from switchbench.spec.scope import Scope
    from switchbench.trained import inspection

    if "/" not in what or what in NETWORKS:
        if picture:
            raise InputError(f"--picture {picture}: works only for a trial, whose masks it draws")
        network = component("network", what, set_)
        try:
            inspected = inspection.inspect_network(
                network, component("dataset", dataset), Scope(layers=scope)
            )
        except MissingData as error:
            raise InputError(str(error)) from error
        show.layers(inspected)
        return
    given = {"--dataset": dataset != "mnist", "--scope": scope != "fc", "--set": bool(set_)}
    if option := next((name for name, is_given in given.items() if is_given), None):
        raise InputError(f"{option}: works only for a network's name; a trial has its own")
    finished = _load_finished(what)
    image = finished.test.batch(slice(0, 1))[0]
    show.layers(inspection.inspect_finished(finished.network, finished.config.scope, image), trial=True)
    if picture:
        try:
            inspection.picture(finished.network, picture)
        except (OSError, ValueError) as error:
            raise InputError(f"--picture {picture}: {error}") from error
        typer.echo(f"masks: {picture}")


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
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: ./TRIAL_ID with the format as its ending.")
    ] = None,
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
    from switchbench.store.unwritable import unwritable
    from switchbench.trained.export import export as write

    finished = _load_finished(trial)
    suffix = "csr.safetensors" if format_ == "csr" else format_
    path = out or Path(f"{finished.config.trial_id}.{suffix}")
    try:
        written = write(finished, path, format_, shrink, with_normalisation)
    except OSError as error:
        raise unwritable(path, error, "--out") from error
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


def latency(
    trial: Annotated[
        str,
        typer.Argument(metavar="TRIAL", help="FOLDER/TRIAL_ID of a finished trial, or FOLDER."),
    ],
    batch: Annotated[list[int], typer.Option(help="Images in a batch.")] = [1, 64],
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
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


def _load_finished(trial: str) -> "FinishedNetwork":
    """Load a trial's network. Say on standard error if it must be trained again."""
    from switchbench.trained.load import load_finished

    return load_finished(trial, lambda line: typer.echo(line, err=True))
