"""Run a search: points, their trials, results to the studies; then the comparison of the best points."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import uuid4

from optuna.exceptions import StorageInternalError
from rich.console import Console

from switchbench import datasets
from switchbench.cluster.context import RunContext
from switchbench.cluster.signals import handled, stop_at_once
from switchbench.cluster.worker import Job
from switchbench.compare.plan import SpecLike, check
from switchbench.compare.plan import plan as plan_comparison
from switchbench.compare.report import report_search
from switchbench.compare.run import run_planned
from switchbench.errors import ExitCode, InputError, RunStopped
from switchbench.observe.observer import Observer
from switchbench.observe.terminal import PointDisplay
from switchbench.reports.results import Results
from switchbench.row import PointRow, PointState
from switchbench.spec.comparison import Spec
from switchbench.spec.components import MethodChoice
from switchbench.store.lock import locked
from switchbench.tuning.plan import SearchPlan, plan
from switchbench.tuning.source import StudySource
from switchbench.tuning.storage import StudyStorage
from switchbench.tuning.study import Study
from switchbench.tuning.values import Values
from switchbench.tuning.warm import warm_points
from switchbench.words import plural

WARM_START = "warm start"
"""Origin of points that come from another search."""
STORE_SECONDS = 10
"""Least time after which a running search stores its points again, for ``switchbench status``."""
POLL_SECONDS = 5
"""Time between two checks while other drivers run the last points."""
NOT_STORED = (OSError, InputError, RunStopped, StorageInternalError)
"""Raised where the points cannot be stored, as on a full disk, or read, as from a database that is away."""


def search(
    spec: SpecLike,
    out: str | Path | None = None,
    changes: Iterable[str] = (),
    *,
    address: str | None = None,
    mlflow_uri: str | None = None,
    storage: str | None = None,
    warm_start: str | Path | None = None,
    plugin_files: Iterable[str | Path] = (),
    retry_failed: bool = False,
    console: Console | None = None,
) -> Results:
    """Search the options of every method with equal budgets, then compare the best points on fresh seeds.

    Args:
        spec: A spec with a part ``search``, as in :func:`switchbench.run`.
        out: As in :func:`switchbench.run`.
        changes: As in :func:`switchbench.run`.
        address: As in :func:`switchbench.run`.
        mlflow_uri: As in :func:`switchbench.run`.
        storage: URL of a database for the studies, which several drivers may share. By default a journal in
            the folder of the results.
        warm_start: Folder of another search. Its best points run first.
        plugin_files: As in :func:`switchbench.run`.
        retry_failed: Whether failed trials of the comparison are run again; points of the search are not.
        console: As in :func:`switchbench.run`.

    Returns:
        The table of the comparison, one row per trial.

    Raises:
        InputError: The spec or an argument cannot be used.
        RunStopped: As in :func:`switchbench.run`.
    """
    context = RunContext.create(address, mlflow_uri, plugin_files, console)
    with handled(stop_at_once):
        planned = plan(spec, out, changes, storage)
        check(planned.spec)
        warm = warm_points(planned, warm_start)
    comparison = planned.comparison
    comparison.check_writable()
    planned.ledger.folder.mkdir(parents=True, exist_ok=True)
    study_storage = StudyStorage(str(planned.ledger.journal), storage)
    driving = planned.ledger.one_of_drivers() if storage else planned.ledger.only_driver()
    with _resumable(planned), driving, study_storage.needed():
        study_storage.repair()
        best = _search(planned, study_storage, warm, context)
    with locked(planned.ledger.lock_file, wait=True):  # several drivers may arrive here at the same time
        with _resumable(planned):
            report_search(comparison.folder, context.console)
            chosen = plan_comparison(best, comparison.folder, retry_failed=retry_failed)
        return run_planned(chosen, context)


@contextmanager
def _resumable(planned: SearchPlan) -> Iterator[None]:
    """Make a signal during the block a RunStopped, and say in one how the search continues."""
    again = "run the same command again to continue"
    try:
        with handled(stop_at_once):
            yield
    except KeyboardInterrupt as interrupt:
        stored = f"{_points_done(planned)}; all results are stored in {planned.comparison.folder}"
        message = f"stopped: {stored}; {again}"
        raise RunStopped(message, ExitCode.of(interrupt)) from interrupt
    except RunStopped as stop:
        raise RunStopped(f"{stop}; {again}", stop.exit_code) from stop


def _points_done(planned: SearchPlan) -> str:
    """Return how many points of a search are stored as done, in words."""
    done, budget = sum(planned.ledger.points_done().values()), planned.config.points
    of = f"{done:,} of {plural(budget * len(planned.spaces), 'point')}" if budget else plural(done, "point")
    return f"{of} done"


def _search(
    planned: SearchPlan, storage: StudyStorage, warm: dict[str, list[Values]], context: RunContext
) -> Spec:
    """Spend the remaining budget of every method. Return the spec of the comparison of the best points."""
    config = planned.config
    with locked(
        planned.ledger.opening_file, wait=True
    ):  # drivers that share a database open it one after another
        studies = {
            label: Study(storage, f"{planned.spec.name}/{label}", config, space, planned.identity(label))
            for label, space in planned.spaces.items()
        }
        for label, study in studies.items():
            study.enqueue(planned.spaces[label].defaults(), planned.origin(label))
            for values in warm.get(label, []):
                study.enqueue(values, WARM_START)
        _store(planned, studies)
    done = sum(study.finished_points for study in studies.values())
    budget = plural(config.points, "point") if config.points else plural(config.steps or 0, "step")
    for label, space in planned.spaces.items():
        if outside := ", ".join(f"{variable} {value}" for variable, value in space.outside().items()):
            context.warn(
                f"search.space: {label}: its default {outside} is outside, so the defaults are not tried"
            )
    line = f"{planned.spec.name}: {budget} for each of {', '.join(studies)}, {done} done"
    context.console.print(f"{line} → {planned.comparison.folder}", soft_wrap=True)
    with PointDisplay(
        context.console, len(studies) * config.points if config.points else None, done
    ) as display:
        source = StudySource(planned, studies, display)
        for label in filter(source.queue_fills_budget, warm):
            context.warn(
                f"--warm-start: {label}: its first point and the best of the other search "
                "take the whole budget, so no new point is tried; a larger search.points (or steps) adds some"
            )
        try:
            while (point := source.ask()) or any(study.has_other_drivers for study in studies.values()):
                if point is None:
                    time.sleep(POLL_SECONDS)  # another driver runs the last points, or has died
                    continue
                source.pending = point
                _run_points(planned, source, context, Snapshots(partial(_store, planned, studies)))
        except BaseException:
            with suppress(*NOT_STORED):  # what has stopped the search says more
                _store(planned, studies)
            raise
        else:
            _store(planned, studies)
        finally:
            for study in studies.values():
                study.close()
    best = _best(planned, studies)
    planned.comparison.write_best(best)
    return best


class Snapshots(Observer):
    """Stores how far a search is while it runs."""

    def __init__(self, store: Callable[[], None]) -> None:
        self._store, self._next = store, 0.0

    def trials_running(self, count: int) -> None:
        """Store it, if the last time is long enough ago. What takes long is done less often."""
        began = time.monotonic()
        if began >= self._next:
            with suppress(*NOT_STORED):  # the points themselves will say more
                self._store()
            self._next = time.monotonic() + max(STORE_SECONDS, 20 * (time.monotonic() - began))


def _run_points(planned: SearchPlan, source: StudySource, context: RunContext, snapshots: Snapshots) -> None:
    """Run dense starts, each once, then points on the cluster until the source has none."""
    from switchbench.cluster.connection import cluster
    from switchbench.cluster.tune import distribute, distribute_points

    ledger, resources = planned.ledger, planned.spec.resources
    job = Job(ledger.folder, datasets.data_folder(), resources, uuid4().hex, test=False)
    joined = cluster(context.address, resources, context.say)
    with joined, context.mirror(ledger, planned.comparison) as mirror:
        observers: list[Observer] = [source.display, snapshots, *mirror]
        distribute(planned.starts, replace(job, keep_networks=True), [], context.plugins)
        distribute_points(source, job, observers, context.plugins, planned.config.parallel)


def _best(planned: SearchPlan, studies: dict[str, Study]) -> Spec:
    """Return the spec that compares each method, unchanged, with its best points that differ from it."""
    spec = planned.spec.model_copy(update={"search": None, "name": f"{planned.spec.name}-best"})
    methods: list[MethodChoice] = []
    unmatched = spec.model_copy(update={"match_density": False, "strengths": []})

    def trials(choice: MethodChoice) -> set[str]:
        """Return what tells the trials of a method from those of others."""
        found = unmatched.model_copy(update={"methods": [choice]}).trials()
        return {spec.beside_strength(choice) or trial.trial_id for trial in found}

    known = set().union(*map(trials, spec.methods))
    labels = {method.label for method in spec.methods}
    for method in spec.methods:
        methods.append(method)
        best = studies[method.label].best(planned.config.top) if method.label in studies else []
        for trial in best:
            label = f"{method.label} {'tuned' if len(best) == 1 else f'#{trial.number}'}"
            while label in labels:
                label += "*"
            choice = planned.spaces[method.label].choice(Values.from_params(trial.params), label)
            if len(best) == 1 and method.takes_target() and choice.takes_target():
                choice = choice.model_copy(update={"against": method.label})
            ids = trials(choice)
            if not ids & known:  # else the comparison has these trials already, under another label
                methods.append(choice)
                known |= ids
                labels.add(label)
    return Spec.model_validate(
        spec.model_dump(mode="json") | {"methods": [m.model_dump(mode="json") for m in methods]}
    )


def _store(planned: SearchPlan, studies: dict[str, Study]) -> None:
    """Write the current points of the studies and their trials to the ledger."""
    points: list[PointRow] = []
    trials = []
    for label, study in studies.items():
        points += study.points(label, planned.config.top)
    for point in points:
        # the values of a running point may be incomplete: another driver is drawing them
        with suppress(InputError) if point.state == PointState.RUNNING else nullcontext():
            trials += planned.trials(point.label, point.number, Values.from_params(json.loads(point.params)))
    planned.ledger.create(planned.spec, trials)
    planned.ledger.write_points(points)
