"""Commands for clusters: slurm and wait."""

from pathlib import Path
from typing import Annotated

import typer

from switchbench.cli.options import Changes, MlflowUri, Plugins, RetryFailed, not_empty
from switchbench.errors import InputError


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
        str | None, typer.Option(parser=not_empty, metavar="DIR", help="As for run and search.")
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
