"""Print the results of commands as tables and lines."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import astuple
from typing import TYPE_CHECKING

import typer
from rich.cells import cell_len
from rich.table import Table

from switchbench.cli.pace import Pace
from switchbench.observe.terminal import plain_console
from switchbench.row import Status
from switchbench.words import plural

if TYPE_CHECKING:
    import pandas as pd

    from switchbench.cli.catalogue import Description
    from switchbench.cli.inventory import InventoryEntry
    from switchbench.compare.plan import Plan
    from switchbench.measure.latency import Latency
    from switchbench.plugins.outcome import Outcome
    from switchbench.reports.results import Results
    from switchbench.trained.inspection import Inspection
    from switchbench.trial.estimate import Estimate
    from switchbench.tuning.plan import SearchPlan

BOUNDS = {(True, False): "", (False, False): "≥ ", (True, True): "≤ ", (False, True): "~ "}
"""What precedes estimated FLOPs, by :attr:`Estimate.complete` and :attr:`Estimate.sparse`."""


def names(title: str, lines: dict[str, str]) -> None:
    """Print names, with one line for each."""
    table = Table(title=title, title_justify="left", box=None, show_header=False)
    table.add_column(style="bold")
    for name, line in lines.items():
        table.add_row(name, line)
    plain_console().print(table)


def trials(results: "Results") -> None:
    """Print the trials of a comparison: the beginning of the id, what it is, its status and accuracy."""
    shown = [name for name in ("network", "dataset", "scope") if results[name].nunique() > 1]
    length = _unique_length(list(results["trial_id"]))
    table = Table("id", "method", *shown, "target", "seed", "status", "test accuracy", "density", box=None)
    for row in results.to_dict("records"):
        names = (row["trial_id"][:length], row["label"], *(row[name] for name in shown))
        shares = [_share(row[name]) for name in ("target_density", "test_accuracy", "density")]
        table.add_row(*names, shares[0], str(row["seed"]), row["status"], *shares[1:])
    plain_console().print(table)


def _unique_length(ids: list[str], least: int = 4) -> int:
    """Return the number of characters by which all ids differ."""
    return next(n for n in range(least, 65) if len({each[:n] for each in ids}) == len(ids) or n == 64)


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.2f} %"


def outcomes(name: str, checked: "Iterable[Outcome]") -> None:
    """Print the outcome of each check of a method, network or data set."""
    table = Table(title=name, title_justify="left", box=None, show_header=False)
    said: set[str] = set()
    for outcome in checked:
        word = "fails" if outcome.problem else "skipped" if outcome.skipped else "passes"
        problem = outcome.problem and ("the same" if outcome.problem in said else outcome.problem)
        table.add_row(word, outcome.check, problem or outcome.skipped or "")
        said |= {outcome.problem or ""}
    plain_console().print(table)


def inventory(entries: "Iterable[InventoryEntry]") -> None:
    """Print data sets, and where their files are on this machine."""
    table = Table("data set", "files", "size", "", box=None)
    table.columns[2].justify = "right"
    for entry in entries:
        absent = "not here" if entry.fetchable else "none needed"
        size = f"{entry.size / 1e6:,.1f} MB" if entry.folder else ""
        table.add_row(entry.name, str(entry.folder or absent), size, entry.description)
    plain_console().print(table)


def experiments(trials: dict[str, int]) -> None:
    """Print the experiments of MLflow that hold trials, one line each."""
    for name, count in trials.items():
        typer.echo(f"{name}: {plural(count, 'trial')}")
    if not trials:
        typer.echo("no experiment holds runs of switchbench")


def pulled(experiment: str, folder: object, statuses: "Iterable[str]") -> None:
    """Print how many trials came from MLflow into a results folder."""
    counted = Counter(statuses)
    missing = counted[Status.MISSING]
    typer.echo(f"{experiment}: {plural(counted.total(), 'trial')}, {missing:,} missing → {folder}")


def plan(planned: "Plan", tflops: float | None, jobs: int | None) -> None:
    """Print what a comparison will cost, then every trial, and whether it is done or to run."""
    typer.echo(planned.summary)
    trials = [*planned.calibration.most, *planned.starts, *planned.todo]
    _costs(planned.costs(), Pace.of(trials, planned.spec.resources, tflops, jobs))
    states = {trial.trial_id: "to run" for trial in planned.todo}
    states |= dict.fromkeys(planned.skips, "skipped") | dict.fromkeys(planned.failed, "failed")
    for reason, number in Counter(planned.skips.values()).items():
        of = {trial.method.label for trial in planned.todo if planned.skips.get(trial.trial_id) == reason}
        typer.echo(f"{plural(number, 'trial')} of {', '.join(sorted(of))} will be skipped: {reason}")
    length = _unique_length([trial.trial_id for trial in planned.trials])
    header = ("trial", "method", "density", "seed", "network", "dataset", "scope", "state")
    rows = [
        (
            trial.trial_id[:length],
            trial.method.label,
            "-" if trial.density is None else f"{trial.density:g}",
            str(trial.seed),
            trial.network.label,
            trial.dataset.label,
            str(trial.scope),
            states.get(trial.trial_id, "done"),
        )
        for trial in planned.trials
    ]
    typer.echo()
    typer.echo("\n".join(_aligned([header, *rows])))


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows as lines with aligned columns. For ten thousand rows a rich table takes many seconds."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = [cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        yield f" {'  '.join(padded)}".rstrip()


def layers(inspected: "Inspection", trial: bool = False) -> None:
    """Print one line per layer, then sums. For a trial, also print what remains."""
    after = ("kept", "density", "alive", "MACs left", "smaller MACs", "CSR bytes") if trial else ()
    table = Table("layer", "kind", "weight", "in scope", "weights", "MACs", *after, box=None)
    for column in table.columns[4:]:
        column.justify = "right"
    for name, layer in inspected.layers.items():
        cells = [name, layer.kind, "×".join(map(str, layer.shape)), "yes" if name in inspected.scoped else ""]
        counted = layer.positions > 0
        cells += [f"{layer.weights:,}", _macs(layer.macs_dense, counted)]
        if trial:
            cells += [
                f"{layer.kept:,}",
                f"{layer.density:.2%}",
                f"{inspected.alive[name]:,}",
                _macs(layer.macs, counted),
                _macs(inspected.smaller[name].macs_dense, counted),
                f"{layer.storage['csr']:,}",
            ]
        table.add_row(*cells)
    for title, scoped in (("in scope", True), ("all", False)):
        cells = [title, "", "", "", f"{inspected.total('weights', scoped):,}"]
        counted = inspected.counted(scoped)
        cells += [_macs(inspected.total("macs_dense", scoped), counted)]
        if trial:
            kept, weights = inspected.total("kept", scoped), inspected.total("weights", scoped)
            cells += [
                f"{kept:,}",
                f"{kept / weights if weights else 1:.2%}",
                "",
                _macs(inspected.total("macs", scoped), counted),
            ]
        table.add_row(*cells, style="bold")
    plain_console().print(table)
    typer.echo(f"{inspected.parameters:,} parameters, biases and norms included")
    if trial:
        smaller = sum(layer.macs_dense for layer in inspected.smaller.values())
        macs = _macs(smaller, inspected.counted())
        typer.echo(f"{macs} MACs dense without dead units (alive: outputs that are not dead)")
        for name in ("dense", "csr", "bitmask"):
            size = sum(layer.storage[name] for layer in inspected.layers.values())
            typer.echo(f"{size:,} bytes of weights, {name}")


def _macs(number: int, counted: bool) -> str:
    """Return a number of MACs, or a dash where a layer was used otherwise than by a call of it."""
    return f"{number:,}" if counted else "–"


def latencies(measured: "Iterable[Latency]") -> None:
    """Print the milliseconds of each form of a network at each batch size."""
    table = Table("batch", "form", "ms", "times as fast as dense", box=None)
    for index in (0, 2, 3):
        table.columns[index].justify = "right"
    for line in measured:
        table.add_row(str(line.batch), line.form, f"{1e3 * line.seconds:.4f}", f"{line.speedup:.2f}")
    plain_console().print(table)
    typer.echo(
        "measured: median forward pass, forms measured in turns (csr: only fully connected layers are sparse)"
    )


def _costs(costs: "dict[str, Estimate]", pace: Pace) -> None:
    if not costs:
        return
    if "all" in costs and (time := pace.time(costs["all"], pace.at_once)):
        rest = "starting, evaluation, pruning and the report come on top"
        typer.echo(f"about {time} of gradient steps, {pace.at_once} at a time; {rest}")
    table = Table("cost of", "trials", "steps", "FLOPs", "time", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, estimate in costs.items():
        flops = f"{BOUNDS[estimate.complete, estimate.sparse]}{estimate.flops:.2g}"
        table.add_row(name, f"{estimate.trials:,}", f"{estimate.steps:,}", flops, pace.time(estimate))
    typer.echo()
    plain_console().print(table)
    bounded = any(not estimate.complete for estimate in costs.values())
    typer.echo(f"{pace}{'; ≥: what the method adds is not known' if bounded else ''}")
    if any(estimate.sparse for estimate in costs.values()):
        typer.echo("≤: with dense kernels; sparse ones take fewer; ~: both ≥ and ≤ hold")


def search(planned: "SearchPlan", tflops: float | None) -> None:
    """Print what a search varies, and what it will cost."""
    trials = planned.spec.trials()
    searched = plural(len(planned.spaces), "method")
    typer.echo(f"{planned.spec.name}: {searched} to search → {planned.comparison.folder}")
    _costs(planned.costs(), Pace.of(trials, planned.spec.resources, tflops))
    table = Table("method", "searched", "from", "default", box=None)
    for label, space in planned.spaces.items():
        defaults = {variable: str(value) for variable, value in space.defaults()}
        defaults |= {variable: f"{value}: outside, not tried" for variable, value in space.outside().items()}
        for variable, dimension in space.dimensions.items():
            table.add_row(label, str(variable), str(dimension), defaults.get(variable, "–"))
    typer.echo()
    plain_console().print(table)
    typer.echo(f"each method: {planned.budget_steps:,} gradient steps, seeds {planned.config.seeds}")


def as_json(results: "Results", best: "pd.DataFrame | None" = None) -> None:
    """Print a comparison as one JSON object: counts by status, the trials with their accuracy, and the best
    points of a search."""
    columns = ["trial_id", "label", "network", "dataset", "scope", "target_density", "seed", "status"]
    columns += ["test_accuracy", "density", "error"]
    trials = json.loads(results[columns].to_json(orient="records"))
    counts = {str(status): int(number) for status, number in results["status"].value_counts().items()}
    printed = {"statuses": counts, "trials": trials}
    if best is not None:
        read = {name: best[name].map(json.loads) for name in ("objectives", "values", "params")}
        columns = ["label", "number", *read, "val_accuracy", "density"]
        printed["best_points"] = json.loads(best.assign(**read)[columns].to_json(orient="records"))
    typer.echo(json.dumps(printed, ensure_ascii=False))


def next_steps(results: "Results", unreached: int = 0) -> None:
    """Say how many trials are measured and targets not reached, and what can be done next."""
    done, folder = int((results["status"] == Status.OK).sum()), results.attrs["folder"]
    missed = f"; {plural(unreached, 'target density', 'target densities')} not reached" if unreached else ""
    measured = f"{done} of {plural(len(results), 'trial')} measured{missed}"
    typer.echo(f"{measured}. Report: {folder}/report/index.html")
    if failed := int((results["status"] == Status.FAILED).sum()):
        typer.echo(f"{plural(failed, 'trial')} failed: the same command with --retry-failed runs them again")
    typer.echo(f"All trials: switchbench list {folder}")


def description(described: "Description") -> None:
    """Print the description and the options of one name."""
    console = plain_console()
    if described.documentation:
        console.print(described.documentation.replace("``", "`"))
    table = Table("option", "type", "default", "valid", "search", "meaning", box=None)
    for option in described.options:
        table.add_row(*astuple(option))
    if described.options:
        console.print()
        console.print(table)
    typer.echo(described.text, nl=False)
