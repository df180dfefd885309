"""A comparison from spec to report: plan − ledger → trials → ledger → mirror → report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pandas as pd
from rich.console import Console

from switchbench import datasets, reports
from switchbench.cluster.worker import Job, record_lost
from switchbench.datasets import MissingData
from switchbench.errors import InputError, Interrupted, unknown
from switchbench.networks.layers import prunable
from switchbench.observe.terminal import Display, plain_console
from switchbench.plugins import load as plugins
from switchbench.spec import file as specfile
from switchbench.spec.comparison import Spec
from switchbench.spec.scope import matches
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.trial.estimate import Estimate, estimate, total

if TYPE_CHECKING:
    from switchbench.observe.observer import Observer

RESULTS = Path("results")
NO_MLFLOW = "none"

SpecLike = Spec | Mapping[str, Any] | str | Path
"""A spec, its plain values, a file, or the name of a shipped one."""


@dataclass(frozen=True)
class Plan:
    """What a comparison asks for and what its ledger has of it."""

    spec: Spec
    ledger: Ledger
    trials: list[TrialConfig]
    todo: list[TrialConfig]
    """Trials that the ledger lacks."""

    @cached_property
    def starts(self) -> list[TrialConfig]:
        """Dense networks that these start from and that are not kept yet."""
        starts = {start.trial_id: start for trial in self.todo if (start := trial.start_trial)}
        return [start for trial_id, start in starts.items() if not self.ledger.networks.has(trial_id)]

    def costs(self) -> dict[str, Estimate]:
        """What is left to run, by network, data set and method, and in all. Raises InputError where that
        cannot run, or the size of a data set is not known."""
        grouped: dict[str, list[Estimate]] = {}
        try:
            _check_layers(self.spec)
            labelled = [(trial.method.label, trial) for trial in self.todo]
            for what, trial in [*(("dense start", start) for start in self.starts), *labelled]:
                name = f"{what} on {trial.network.label}, {trial.dataset.label}, {trial.scope}"
                grouped.setdefault(name, []).append(estimate(trial))
        except MissingData as error:
            raise InputError(str(error)) from error
        summed = {name: total(parts) for name, parts in grouped.items()}
        return summed | ({"all": total(summed.values())} if summed else {})

    @property
    def summary(self) -> str:
        """The plan in one line."""
        planned, left = len(self.trials), len(self.todo)
        counts = f"{planned} trials, {planned - left} done, {left} to run"
        starts = f", after {len(self.starts)} dense starts" if self.starts else ""
        return f"{self.spec.name}: {counts}{starts} → {self.ledger.folder}"


def resolve(spec: SpecLike, changes: Iterable[str] = ()) -> Spec:
    """The spec that somebody means. Raises InputError."""
    if isinstance(spec, str | Path):
        return specfile.load(spec, changes)
    plain = spec.model_dump(mode="json") if isinstance(spec, Spec) else dict(spec)
    return specfile.parse(specfile.changed(plain, changes))


def plan(spec: SpecLike, out: str | Path | None = None, changes: Iterable[str] = ()) -> Plan:
    """Resolve a spec and look into its ledger; writes nothing. Raises InputError."""
    resolved = resolve(spec, changes)
    if resolved.search:
        raise InputError("search: this spec is of a search: switchbench search runs it")
    ledger = Ledger(out or RESULTS / resolved.name)
    try:
        trials = resolved.trials()
        todo = [trial for trial in trials if not ledger.done(trial.trial_id)]
    except MissingData as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"output folder {ledger.folder}: {error.strerror or error}") from error
    return Plan(resolved, ledger, trials, todo)


def run(
    spec: SpecLike,
    out: str | Path | None = None,
    changes: Iterable[str] = (),
    *,
    address: str | None = None,
    mlflow_uri: str | None = None,
    plugin_files: Iterable[str | Path] = (),
    console: Console | None = None,
) -> pd.DataFrame:
    """Run what a comparison lacks and write its report; return the ledger's table.

    ``out`` defaults to ``results/<name>``; ``address`` is a running Ray cluster's;
    ``mlflow_uri`` defaults to a sqlite file in the folder, and ``none`` turns MLflow off.
    Raises InputError before anything is written, and Interrupted on Ctrl-C, after
    which the same call goes on where it stopped.
    """
    console = console or plain_console(stderr=True)
    modules = plugins.load(plugin_files)
    planned = plan(spec, out, changes)
    if not planned.todo:
        planned.ledger.create(planned.spec, planned.trials)
        console.print(planned.summary, soft_wrap=True)
        return _finish(planned, mirror_to(planned.ledger, mlflow_uri), console)
    planned.ledger.check_writable()
    check(planned.spec)
    from switchbench.cluster.tune import cluster, distribute

    resources, keep, starts = planned.spec.resources, planned.spec.keep_networks, planned.starts
    job = Job(planned.ledger.folder, datasets.data_folder(), resources, uuid4().hex, keep)
    done = len(planned.trials) - len(planned.todo)
    try:
        with cluster(address, job.resources):
            planned.ledger.create(planned.spec, planned.trials)
            console.print(planned.summary, soft_wrap=True)
            mirror = mirror_to(planned.ledger, mlflow_uri)
            with Display(console, len(planned.trials) + len(starts), done) as display:
                if starts:
                    distribute(starts, replace(job, keep_networks=True), [display], modules)
                todo = _startable(planned, job, [display, *([mirror] if mirror else [])])
                distribute(todo, job, [display, *([mirror] if mirror else [])], modules)
        return _finish(planned, mirror, console)
    except KeyboardInterrupt as interrupt:
        raise Interrupted(_how_to_go_on(planned)) from interrupt


def report(
    folder: str | Path, console: Console | None = None, pairs: Iterable[tuple[str, str]] = ()
) -> pd.DataFrame:
    """Write the report of a comparison's folder, print its table, return the ledger's table.

    ``pairs`` are labels of two methods whose difference, paired by seed, is to be shown.
    """
    console = console or plain_console(stderr=True)
    ledger = Ledger(folder)
    results = ledger.results()
    pairs = [*tuned_pairs(ledger, results), *_checked(pairs, results)]
    try:
        written = reports.write(results, ledger.report, ledger.name(), pairs)
        ledger.write_compact(results)
    except OSError as error:
        raise InputError(f"report folder {ledger.report}: {error.strerror or error}") from error
    reports.terminal(written, console)
    files = ", ".join(sorted(path.name for path in ledger.report.iterdir()))
    console.print(f"{ledger.report}: {files}", soft_wrap=True)
    return results


def report_search(folder: str | Path, console: Console | None = None) -> bool:
    """Write the tables and pictures of the search that chose a comparison's methods, and print what it
    found; False where there was none."""
    ledger = Ledger(folder)
    points = ledger.points()
    if points is None:
        return False
    title = ledger.search.name()
    for grid in reports.write_search(points, ledger.report, title):
        reports.print_grid(grid, f"{title}: search", console or plain_console(stderr=True))
    return True


def sync(folder: str | Path, mlflow_uri: str | None = None) -> int:
    """Send MLflow what it lacks of a comparison; return the number of rows sent.

    Raises InputError if MLflow does not answer.
    """
    from switchbench.observe import mlflow as tracking

    if mlflow_uri == NO_MLFLOW:
        raise InputError(f"--mlflow-uri {NO_MLFLOW}: there is nothing to send to")
    ledger = Ledger(folder)
    ledgers = [ledger.search] if ledger.points() is not None else []
    ledgers += [ledger] if ledger.planned or not ledgers else []
    uri = mlflow_uri or (ledger.mlflow_uri if len(ledgers) > 1 else None)
    try:
        return sum(tracking.sync(each, [*each.rows()], uri) for each in ledgers)
    except Exception as error:  # MLflow and its stores raise many kinds
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise InputError(f"MLflow at {mlflow_uri or ledger.mlflow_uri}: {reason}") from error


def _startable(planned: Plan, job: Job, observers: "list[Observer]") -> list[TrialConfig]:
    """What is left to run but for trials whose dense start has failed; these get rows that say so."""
    todo = []
    for trial in planned.todo:
        start = trial.start_trial
        row = planned.ledger.row(start.trial_id) if start else None
        if not start or not row or row["status"] == "ok":
            todo.append(trial)
            continue
        stored = record_lost(trial, job, f"dense start {start.trial_id}: {row['status']}: {row['error']}")
        for observer in observers:
            observer.finished(stored)
    return todo


def _finish(planned: Plan, mirror: Any, console: Console) -> pd.DataFrame:
    results = report(planned.ledger.folder, console)
    if mirror:
        mirror.close()
    if mirror and mirror.problem:
        lost = f"MLflow lacks results ({mirror.problem}); nothing is lost"
        console.print(f"{lost}: switchbench sync {planned.ledger.folder} sends them", soft_wrap=True)
    return results


def _checked(pairs: Iterable[tuple[str, str]], results: pd.DataFrame) -> list[tuple[str, str]]:
    pairs, labels = [*pairs], set(results["label"])
    aimed = set(results.dropna(subset=["target_density"])["label"])
    for pair in pairs:
        if pair[0] == pair[1]:
            raise InputError(f"--pair {':'.join(pair)}: should be two methods")
        for label in pair:
            if label not in labels:
                raise InputError(f"--pair: {unknown('method', label, labels)}")
        if not aimed.intersection(pair):
            raise InputError(f"--pair {':'.join(pair)}: both end at densities of their own")
    return pairs


def tuned_pairs(ledger: Ledger, results: pd.DataFrame) -> list[tuple[str, str]]:
    """What a search found against what its methods were before, where both aim at a density."""
    points = ledger.points()
    aimed = {*results.dropna(subset=["target_density"])["label"]}
    searched = () if points is None else points["label"].unique()
    return [(f"{label} tuned", label) for label in searched if aimed.issuperset((label, f"{label} tuned"))]


def _how_to_go_on(planned: Plan) -> str:
    ledger, trials = planned.ledger, planned.trials
    done = sum(ledger.done(trial.trial_id) for trial in trials)
    return (
        f"stopped: {done} of {len(trials)} trials are done and stored in {ledger.folder}; "
        "run the same command again to go on"
    )


def check(spec: Spec) -> None:
    """Raise InputError for what would fail in every trial: data that are not there, and whatever
    :func:`_check_layers` finds."""
    for dataset in spec.datasets:
        try:
            data = dataset.load()
            datasets.held_out(len(data.train), spec.validation)
        except (MissingData, ValueError) as error:
            raise InputError(str(error)) from error
    _check_layers(spec)


def _check_layers(spec: Spec) -> None:
    """Raise InputError where a network cannot take the images, or a pattern of a scope fits a layer of no
    network. Raises MissingData where a data set of unknown size is not here."""
    names: set[str] = set()
    for dataset in spec.datasets:
        facts = dataset.facts()
        for network in spec.networks:
            names |= prunable(network.sketch(facts.shape, facts.classes)[0]).keys()
    for pattern in (pattern for scope in spec.scope for pattern in scope.patterns):
        if not any(matches(name, [pattern]) for name in names):
            raise InputError(f"scope: no network has a layer like it: {unknown('layer', pattern, names)}")


def mirror_to(ledger: Ledger, uri: str | None) -> Any:
    """What sends a ledger's rows to MLflow while they come; None where that is turned off."""
    if uri == NO_MLFLOW:
        return None
    from switchbench.observe.mlflow import Mirror

    mirror = Mirror(ledger, uri)
    mirror.start()
    return mirror
