"""A search from spec to the best: ask → trials → ledger → tell, then the comparison of what was found."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pandas as pd
from filelock import FileLock, Timeout
from rich.console import Console

from switchbench import datasets
from switchbench.cluster.context import RunContext
from switchbench.cluster.worker import Job
from switchbench.compare.plan import SpecLike, check
from switchbench.compare.plan import plan as plan_comparison
from switchbench.compare.report import report_search
from switchbench.compare.run import run_planned
from switchbench.errors import InputError, Interrupted
from switchbench.observe.terminal import PointDisplay
from switchbench.row import PointRow, PointState, ascending
from switchbench.spec.comparison import Spec
from switchbench.spec.components import MethodChoice
from switchbench.store.ledger import Ledger
from switchbench.store.search import SearchLedger
from switchbench.tuning.plan import SearchPlan, plan
from switchbench.tuning.source import StudySource
from switchbench.tuning.storage import StudyStorage
from switchbench.tuning.study import Study
from switchbench.tuning.values import Values

WARM = "warm start"
"""Origin of points that another search has found."""
WARM_POINTS = 5
"""How many of another search's best points a search may start from."""
POLL_SECONDS = 5


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
    console: Console | None = None,
) -> pd.DataFrame:
    """Search every method's options with equal budgets, then compare the best on fresh seeds.

    Args:
        spec: A spec with a part ``search``, as in :func:`switchbench.run`.
        out: As in :func:`switchbench.run`.
        changes: As in :func:`switchbench.run`.
        address: As in :func:`switchbench.run`.
        mlflow_uri: As in :func:`switchbench.run`.
        storage: URL of a database for the studies, which several drivers may share; default: a journal in
            the folder.
        warm_start: Folder of another search, whose best points are tried first.
        plugin_files: As in :func:`switchbench.run`.
        console: As in :func:`switchbench.run`.

    Returns:
        The comparison's table.

    Raises:
        InputError: The spec or an argument cannot be used.
        Interrupted: Ctrl-C; the same call goes on where it stopped.
    """
    context = RunContext.of(address, mlflow_uri, plugin_files, console)
    planned = plan(spec, out, changes)
    check(planned.spec)
    warm = _warm_points(planned, warm_start)
    comparison = planned.comparison
    comparison.check_writable()
    planned.ledger.folder.mkdir(parents=True, exist_ok=True)
    with _only_driver(planned, storage):
        studies_at = StudyStorage(planned.ledger.journal, storage)
        studies_at.repair()
        try:
            best = _search(planned, studies_at, warm, context)
        except KeyboardInterrupt as interrupt:
            kept = f"stopped; all is kept in {comparison.folder}: the same command goes on"
            raise Interrupted(kept) from interrupt
    with FileLock(planned.ledger.lock_file):  # several drivers may have come to here
        report_search(comparison.folder, context.console)
        run_planned(plan_comparison(best, comparison.folder), context)
    return comparison.results()


def _search(
    planned: SearchPlan, storage: StudyStorage, warm: dict[str, list[Values]], context: RunContext
) -> Spec:
    """Spend what is left of every method's budget; return the comparison that comes of it."""
    config = planned.config
    with FileLock(planned.ledger.opening_file):  # drivers that share a database open it one by one
        studies = {
            label: Study(storage, f"{planned.spec.name}/{label}", config, space, planned.identity(label))
            for label, space in planned.spaces.items()
        }
        for label, study in studies.items():
            study.enqueue(planned.spaces[label].defaults(), planned.origin(label))
            for values in warm.get(label, []):
                study.enqueue(values, WARM)
        _store(planned, studies)
    told = sum(study.told for study in studies.values())
    budget = f"{config.points} points" if config.points else f"{config.steps:,} steps"
    line = f"{planned.spec.name}: {budget} for each of {', '.join(studies)}, {told} done"
    context.console.print(f"{line} → {planned.comparison.folder}", soft_wrap=True)
    with PointDisplay(
        context.console, len(studies) * config.points if config.points else None, told
    ) as display:
        source = StudySource(planned, studies, display)
        try:
            while (point := source.ask()) or any(study.runs_elsewhere for study in studies.values()):
                if point is None:
                    time.sleep(POLL_SECONDS)  # another driver runs the last points, or is gone
                    continue
                source.waiting = point
                _run_points(planned, source, context)
        finally:
            _store(planned, studies)
            for study in studies.values():
                study.close()
    best = _best(planned, studies)
    planned.comparison.write_best(best)
    return best


def _run_points(planned: SearchPlan, source: StudySource, context: RunContext) -> None:
    from switchbench.cluster.tune import cluster, distribute_points

    ledger, resources = planned.ledger, planned.spec.resources
    job = Job(ledger.folder, datasets.data_folder(), resources, uuid4().hex, test=False)
    with cluster(context.address, resources), context.mirror(ledger, planned.comparison) as mirror:
        observers = [source.display, *mirror]
        distribute_points(source, job, observers, context.plugins, planned.config.parallel)


def _warm_points(planned: SearchPlan, folder: str | Path | None) -> dict[str, list[Values]]:
    """The best points of another search, by label. Raises InputError if there are none to use."""
    if folder is None:
        return {}
    points = SearchLedger(Ledger(folder)).points()
    if points is None:
        raise InputError(f"--warm-start {folder}: holds no search")
    found: dict[str, list[Values]] = {}
    for label in planned.spaces:
        own = points[(points["label"] == label) & (points["state"] == PointState.COMPLETE)]
        own = own.assign(worse=_badness(own), best=~own["best"])
        own = own.sort_values(["best", "worse", "number"]).head(WARM_POINTS)
        found[label] = [Values.named(json.loads(text)) for text in own["params"]]
    if not any(found.values()):
        raise InputError(f"--warm-start {folder}: has no points of {', '.join(planned.spaces)}")
    return found


def _badness(points: pd.DataFrame) -> "pd.Series[float]":
    """Rank of points by their first objective, those that are too dense last."""
    costs = [
        ascending(json.loads(names)[0], json.loads(values)[0])
        for names, values in zip(points["objectives"], points["values"], strict=True)
    ]
    ranks: pd.Series[float] = pd.Series(costs, index=points.index, dtype=float).rank()
    return ranks + len(points) * (points["infeasible"] > 0)


def _best(planned: SearchPlan, studies: dict[str, Study]) -> Spec:
    """The comparison of every method as it was with what was found to be best, if that is another one."""
    spec = planned.spec.model_copy(update={"search": None, "name": f"{planned.spec.name}-best"})
    methods: list[MethodChoice] = []
    known = {trial.trial_id for trial in spec.trials()}
    labels = {method.label for method in spec.methods}
    for method in spec.methods:
        methods.append(method)
        best = studies[method.label].best(planned.config.top) if method.label in studies else []
        for trial in best:
            label = f"{method.label} {'tuned' if len(best) == 1 else f'#{trial.number}'}"
            while label in labels:
                label += "*"
            choice = planned.spaces[method.label].choice(Values.named(trial.params), label)
            if len(best) == 1 and method.takes_target() and choice.takes_target():
                choice = choice.model_copy(update={"against": method.label})
            ids = {trial.trial_id for trial in spec.model_copy(update={"methods": [choice]}).trials()}
            if not ids & known:  # else it is in the comparison, by another name
                methods.append(choice)
                known |= ids
                labels.add(label)
    return Spec.model_validate(
        spec.model_dump(mode="json") | {"methods": [m.model_dump(mode="json") for m in methods]}
    )


def _store(planned: SearchPlan, studies: dict[str, Study]) -> None:
    """Bring the ledger's plan and table of points up to date with the studies."""
    points: list[PointRow] = []
    trials = []
    for label, study in studies.items():
        points += study.points(label, planned.config.top)
    for point in points:
        if point.state != PointState.RUNNING:
            trials += planned.trials(point.label, point.number, Values.named(json.loads(point.params)))
    planned.ledger.create(planned.spec, trials)
    planned.ledger.write_points(points)


@contextmanager
def _only_driver(planned: SearchPlan, storage: str | None) -> Iterator[None]:
    """Be the only driver of a search whose studies are in a journal; the lock ends with the process. Raises
    InputError if there is another."""
    if storage:
        yield
        return
    try:
        with FileLock(planned.ledger.lock_file, timeout=0):
            yield
    except Timeout as error:
        raise InputError(f"{planned.comparison.folder}: another search is running there") from error
