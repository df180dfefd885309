"""A search from spec to the best: ask → trials → ledger → tell, then the comparison of what was found."""

import json
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pandas as pd
from filelock import FileLock, Timeout
from pydantic import ValidationError
from rich.console import Console

from switchbench import datasets
from switchbench.cluster.worker import Job
from switchbench.compare import run as compare
from switchbench.datasets import MissingData
from switchbench.errors import InputError, Interrupted, explain
from switchbench.observe.terminal import PointDisplay, plain_console
from switchbench.plugins import load as plugins
from switchbench.reports.search import SHARES
from switchbench.spec.comparison import Spec
from switchbench.spec.components import MethodChoice
from switchbench.spec.search import SearchConfig
from switchbench.spec.training import TrainingConfig
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger
from switchbench.trial.estimate import Estimate, estimate, total
from switchbench.trial.run import VALIDATED
from switchbench.tuning.space import DENSITY, Space, Values, space
from switchbench.tuning.study import Found, Place, Study

if TYPE_CHECKING:
    from switchbench.cluster.points import Point

TOLERANCE = 0.01
"""How far above its target a density may end, relative to it."""
WARM_POINTS = 5
"""How many of another search's best points a search may start from."""
INVALID = 1_000
"""So many points whose values do not go together mean that hardly any do."""
POLL_SECONDS = 5
DEFAULTS, START, WARM = "defaults", "start", "warm start"
"""Where points come from that no sampler has drawn."""


@dataclass(frozen=True)
class Plan:
    """What a search asks for."""

    spec: Spec
    config: SearchConfig
    comparison: Ledger
    """Of what the search leads to; the search's own is in it."""
    training: TrainingConfig
    spaces: dict[str, Space]
    """By the labels of the methods that are searched."""
    epochs: int
    steps: int
    """Of a trial of a method that trains once."""

    @property
    def ledger(self) -> Ledger:
        """Of the points' trials."""
        return self.comparison.search

    @property
    def steps_per_point(self) -> int:
        """Gradient steps of a point of a method that trains once."""
        return self.steps * len(self.config.seeds)

    @property
    def most_steps(self) -> int:
        """Gradient steps that each method may take."""
        return self.config.steps or (self.config.points or 0) * self.steps_per_point

    def costs(self) -> dict[str, Estimate]:
        """What the points cost, by method, and then the comparison. Raises InputError."""
        try:
            spent = {}
            for label in self.spaces:
                point = self._cost_of_point(label)
                number = min(self.config.points or sys.maxsize, self.most_steps // point.steps)
                spent[f"{number} points of {label}"] = total(number * [point])
            searched = [method for method in self.spec.methods if method.label in self.spaces]
            before, tuned = (
                self.spec.model_copy(update={"methods": m}) for m in (self.spec.methods, searched)
            )
            after = [estimate(trial) for spec in (before, tuned) for trial in spec.trials()]
        except MissingData as error:
            raise InputError(str(error)) from error
        return spent | {"the comparison of the best": total(after)}

    def trials(self, label: str, number: int, values: Values) -> list[TrialConfig]:
        """A point's trials, one per seed. Raises InputError where its values do not go together."""
        about = self.spaces[label]
        choice = about.chosen(values, f"{label} #{number}")
        target = values.get(DENSITY, about.density)
        try:
            choice.trained(self.spec.training)  # in which the best must go as well
        except ValidationError as error:
            raise InputError(f"with the comparison's training: {explain(error, TrainingConfig)}") from error
        return [
            TrialConfig.of(
                network=self.spec.networks[0],
                dataset=self.spec.datasets[0],
                scope=self.spec.scope[0],
                method=choice.alone(),
                density=target if choice.takes_target() else None,
                seed=seed,
                validation=self.spec.validation,
                training=choice.trained(self.training),
                start=self.spec.start,
            )
            for seed in self.config.seeds
        ]

    def steps_of_point(self, label: str) -> int:
        """Gradient steps of a point of a method, which may train in rounds."""
        try:
            return self._cost_of_point(label).steps
        except MissingData as error:
            raise InputError(str(error)) from error

    def _cost_of_point(self, label: str) -> Estimate:
        return total(estimate(trial) for trial in self.trials(label, 0, self.spaces[label].defaults()))

    def origin(self, label: str) -> str:
        """Whether what a study begins with is the method as it is, or only as near as its ranges are."""
        about = self.spaces[label]
        chosen = about.chosen(about.defaults(), label)
        (before,) = [method for method in self.spec.methods if method.label == label]
        same = chosen.identity() == before.identity() and about.whole(about.defaults())
        return DEFAULTS if same and chosen.trained(self.training) == before.trained(self.training) else START

    def identity(self, label: str) -> str:
        """All that must be the same for a study to go on."""
        about, (trial, *_) = self.spaces[label], self.trials(label, 0, self.spaces[label].defaults())
        return json.dumps(
            {
                "network": trial.network.identity(),
                "dataset": trial.dataset.identity(),
                "scope": trial.scope.model_dump(mode="json"),
                "method": about.method.identity(),
                "training": about.method.trained(self.training).identity(),
                "start": self.spec.start and self.spec.start.identity(),
                "density": about.density,
                "space": {name: str(dimension) for name, dimension in about.dimensions.items()},
                "objectives": self.config.objectives,
                "seeds": self.config.seeds,
                "validation": self.spec.validation,
            },
            sort_keys=True,
        )

    def excess(self, density: float, label: str) -> float:
        """By how much a point is denser than it may be."""
        target = self.spaces[label].density
        return (
            0.0
            if target is None or "density" in self.config.objectives
            else density - target * (1 + TOLERANCE)
        )


def plan(spec: compare.SpecLike, out: str | Path | None = None, changes: Iterable[str] = ()) -> Plan:
    """Resolve the spec of a search; writes nothing. Raises InputError."""
    resolved = compare.resolve(spec, changes)
    config = resolved.search
    if config is None:
        raise InputError("search: is required: what is searched, and how (switchbench run takes this spec)")
    training = resolved.search_training()
    try:
        facts = resolved.datasets[0].facts()
        examples = facts.train - datasets.held_out(facts.train, resolved.validation)
    except (MissingData, ValueError) as error:
        raise InputError(str(error)) from error
    steps, per_epoch = training.length(examples)
    comparison = Ledger(out or compare.RESULTS / resolved.name)
    spaces = _spaces(resolved, config, training)
    made = Plan(resolved, config, comparison, training, spaces, -(-steps // per_epoch), steps)
    if made.most_steps < made.steps_per_point:
        raise InputError(f"search.steps: {config.steps} should be {made.steps_per_point} or more: one point")
    for label, about in made.spaces.items():
        made.trials(label, 0, about.defaults())
    return made


def search(
    spec: compare.SpecLike,
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
    """Search every method's options with equal budgets, then compare what was best on fresh seeds; return the
    comparison's table.

    ``storage`` is the URL of a database for the studies, which several drivers may share; default: a journal
    in the folder. ``warm_start`` is the folder of another search, whose best points are tried first. The
    rest is as in :func:`switchbench.run`. Raises InputError, and Interrupted on Ctrl-C, after which
    the same call goes on where it stopped.
    """
    console = console or plain_console(stderr=True)
    modules = plugins.load(plugin_files)
    planned = plan(spec, out, changes)
    compare.check(planned.spec)
    warm = _warm_points(planned, warm_start)
    planned.comparison.check_writable()
    planned.ledger.folder.mkdir(parents=True, exist_ok=True)
    with _alone(planned, storage):
        place = Place(planned.ledger.journal, storage)
        place.mend()
        try:
            best = _search(planned, place, warm, address, mlflow_uri, modules, console)
        except KeyboardInterrupt as interrupt:
            where = planned.comparison.folder
            raise Interrupted(f"stopped; all is kept in {where}: the same command goes on") from interrupt
    with FileLock(planned.ledger.lock_file):  # several drivers may have come to here
        compare.report_search(planned.comparison.folder, console)
        compare.run(
            best,
            planned.comparison.folder,
            address=address,
            mlflow_uri=mlflow_uri,
            plugin_files=plugin_files,
            console=console,
        )
    return planned.comparison.results()


def words(objectives: Sequence[str], values: Sequence[float]) -> str:
    """Values of objectives, with their names."""
    return ", ".join(
        f"{name} {value:.2%}" if name in SHARES else f"{name} {value:.4g}"
        for name, value in zip(objectives, values, strict=False)
    )


class Source:
    """Asks the studies in turn while their budgets last, and tells them what came of each point. (What
    ``distribution`` runs points from.)"""

    def __init__(self, planned: Plan, studies: dict[str, Study], display: PointDisplay) -> None:
        self.planned, self.studies, self.display = planned, studies, display
        self.invalid = 0
        """Points in a row whose values did not go together."""
        self.withdrawn = 0
        """All of them."""
        self.usual = {label: planned.steps_of_point(label) for label in studies}
        """Steps of a point, as far as they are known."""
        self.waiting: Point | None = None
        """A point that has been asked for and not yet been taken."""

    def ask(self) -> "Point | None":
        """The next point of the method that has most of its budget left; None if all is spent."""
        if self.waiting:
            point, self.waiting = self.waiting, None
            return point
        for label, study in self.studies.items():
            if (left := study.adopt()) and (taken := self._point(label, *left)):
                return taken
        while open_ := {label: room for label in self.studies if (room := self._share_left(label)) > 0}:
            label = max(open_, key=lambda label: open_[label])
            study = self.studies[label]
            number, values = study.ask()
            before = sum(trial.number < number for trial in study.trials())
            if self.planned.config.points and before >= self.planned.config.points:
                study.withdraw(number, "another driver took the last place")
            elif drawn := self._point(label, number, values):
                return drawn
        return None

    def tell(self, point: "Point", rows: list[dict[str, Any]]) -> None:
        """What came of a point, by the rows of its trials."""
        found, study = self._found(point, rows), self.studies[point.study]
        study.tell(point.number, found)
        names = self.planned.config.objectives
        best = study.best(1) if len(names) == 1 else []
        result = words(names, found.values) or found.attributes.get("error", "")
        result += " (denser than asked for)" if found.infeasible > 0 else ""
        shown = words(names, best[0].values) if best else ""
        self.display.told(point.study, point.number, result, shown)

    def _point(self, label: str, number: int, values: Values) -> "Point | None":
        """The point, or None where its values do not go together: it is withdrawn and costs nothing."""
        from switchbench.cluster.points import Point

        planned = self.planned
        try:
            trials = planned.trials(label, number, values)
        except InputError as error:
            self.studies[label].withdraw(number, str(error))
            self.invalid, self.withdrawn = self.invalid + 1, self.withdrawn + 1
            if self.invalid > INVALID:
                raise InputError(f"search.space: hardly any values go together: {error}") from error
            return None
        self.invalid = 0
        study = self.studies[label]
        watched = (study.place, study.name, number, planned.config, planned.epochs)
        return Point(label, number, values, trials, watched if planned.config.pruner != "none" else None)

    def _share_left(self, label: str) -> float:
        """Share of a method's budget that is neither spent nor in use; 0 where it takes no more points."""
        study, planned = self.studies[label], self.planned
        if study.exhausted:
            return 0
        trials = study.trials()
        steps = [int(trial.user_attrs["steps"]) for trial in trials if "steps" in trial.user_attrs]
        usual = max([self.usual[label], *steps])
        spent = sum(steps) + usual * (len(trials) - len(steps))
        if spent + usual > planned.most_steps or len(trials) >= (planned.config.points or sys.maxsize):
            return 0
        return 1 - spent / planned.most_steps

    def _found(self, point: "Point", rows: list[dict[str, Any]]) -> Found:
        planned = self.planned
        config = planned.config
        usual = self.usual[point.study] // len(config.seeds)
        attributes: dict[str, Any] = {
            "trials": [trial.trial_id for trial in point.trials],
            "steps": sum(usual if row.get("steps") is None else row["steps"] for row in rows),
        }
        last = rows[-1]
        if last["status"] != VALIDATED:
            state = "pruned" if last["status"] == "pruned" else "failed"
            return Found(state, attributes=attributes | {"error": f"{last['status']}: {last['error']}"})
        means = {
            name: fmean(math.nan if row[name] is None else row[name] for row in rows)
            for name in {*config.objectives, "density", "val_accuracy"}
        }
        attributes |= {"density": means["density"], "val_accuracy": means["val_accuracy"]}
        unknown_ = [name for name in config.objectives if math.isnan(means[name])]
        if unknown_:
            return Found("failed", attributes=attributes | {"error": f"{', '.join(unknown_)}: has no value"})
        values = [means[name] for name in config.objectives]
        return Found("complete", values, planned.excess(means["density"], point.study), attributes)


def _search(
    planned: Plan,
    place: Place,
    warm: dict[str, list[Values]],
    address: str | None,
    mlflow_uri: str | None,
    modules: list[Any],
    console: Console,
) -> Spec:
    """Spend what is left of every method's budget; return the comparison that comes of it."""
    config = planned.config
    with FileLock(planned.ledger.opening_file):  # drivers that share a database open it one by one
        studies = {
            label: Study(place, f"{planned.spec.name}/{label}", config, about, planned.identity(label))
            for label, about in planned.spaces.items()
        }
        for label, study in studies.items():
            study.enqueue(planned.spaces[label].defaults(), planned.origin(label))
            for values in warm.get(label, []):
                study.enqueue(values, WARM)
        _store(planned, studies)
    told = sum(study.told for study in studies.values())
    wanted = len(studies) * config.points if config.points else None
    budget = f"{config.points} points" if config.points else f"{config.steps:,} steps"
    before = f"{', '.join(studies)}, {told} done"
    console.print(
        f"{planned.spec.name}: {budget} for each of {before} → {planned.comparison.folder}", soft_wrap=True
    )
    with PointDisplay(console, wanted, told) as display:
        source = Source(planned, studies, display)
        try:
            while (point := source.ask()) or any(study.elsewhere for study in studies.values()):
                if point is None:
                    time.sleep(POLL_SECONDS)  # another driver is at the last points, or has left them behind
                    continue
                source.waiting = point
                _spend(planned, source, address, mlflow_uri, modules, console)
        finally:
            _store(planned, studies)
            for study in studies.values():
                study.close()
    best = _best(planned, studies)
    planned.comparison.write_best(best)
    return best


def _spend(
    planned: Plan,
    source: Source,
    address: str | None,
    mlflow_uri: str | None,
    modules: list[Any],
    console: Console,
) -> None:
    from switchbench.cluster.tune import cluster, distribute_points

    resources = planned.spec.resources
    job = Job(planned.ledger.folder, datasets.data_folder(), resources, uuid4().hex, test=False)
    with cluster(address, resources):
        mirror = compare.mirror_to(planned.ledger, mlflow_uri or planned.comparison.mlflow_uri)
        observers = [source.display, *([mirror] if mirror else [])]
        distribute_points(source, job, observers, modules, planned.config.parallel)
    if mirror:
        mirror.close()
        if mirror.problem:
            lost = f"MLflow lacks points ({mirror.problem}); nothing is lost"
            console.print(f"{lost}: switchbench sync {planned.comparison.folder} sends them", soft_wrap=True)


def _spaces(spec: Spec, config: SearchConfig, training: TrainingConfig) -> dict[str, Space]:
    """The space of every method that is searched. Raises InputError."""
    labels = [method.label for method in spec.methods]
    changes: dict[str, dict[str, Any]] = {label: {} for label in labels}
    for key, given in config.space.items():
        label, dot, name = key.rpartition(".")
        if not dot or label not in (*labels, "training"):
            known = ", ".join([*(f"{label}.option" for label in labels), "training.setting"])
            raise InputError(f"search.space: {key!r} should be one of {known}")
        for to in labels if label == "training" else [label]:
            changes[to][key if label == "training" else name] = given
    asked = config.methods or labels
    spaces: dict[str, Space] = {}
    for method in spec.methods:
        if method.label not in asked:
            continue
        own = method.densities or spec.densities
        if config.density is None and len(own) > 1 and method.takes_target():
            raise InputError(f"search.density: is required, because {method.label!r} has several densities")
        density = own[0] if config.density is None else config.density
        try:
            made = space(method, training, density, changes[method.label])
        except InputError as error:
            raise InputError(f"search.space: {method.label}: {error}") from error
        if _searchable(made) or (config.methods and made.draws):
            spaces[method.label] = made
        elif config.methods:
            raise InputError(f"search.methods: {method.label!r} has no hyperparameters to search")
    for key in config.space:
        if (label := key.rpartition(".")[0]) != "training" and label in labels and label not in spaces:
            raise InputError(f"search.space: {key}: {label!r} is not searched; searched: {', '.join(spaces)}")
    if not spaces:
        raise InputError(f"search.methods: none of {', '.join(labels)} has hyperparameters to search")
    return spaces


def _searchable(made: Space) -> bool:
    """Whether the method has anything of its own to search, or takes a density that is searched. A training
    that is searched is no reason to search a control: that must be asked for."""
    own = [name for name in made.dimensions if "." not in name]
    return any(name != "density" or made.method.takes_target() for name in own)


def _warm_points(planned: Plan, folder: str | Path | None) -> dict[str, list[Values]]:
    """The best points of another search, by label. Raises InputError if there are none to use."""
    if folder is None:
        return {}
    points = Ledger(folder).points()
    if points is None:
        raise InputError(f"--warm-start {folder}: holds no search")
    found: dict[str, list[Values]] = {}
    for label in planned.spaces:
        own = points[(points["label"] == label) & (points["state"] == "complete")]
        own = own.assign(worse=_badness(own), best=~own["best"])
        own = own.sort_values(["best", "worse", "number"]).head(WARM_POINTS)
        found[label] = [json.loads(text) for text in own["params"]]
    if not any(found.values()):
        raise InputError(f"--warm-start {folder}: has no points of {', '.join(planned.spaces)}")
    return found


def _badness(points: pd.DataFrame) -> pd.Series:
    """Rank of points by their first objective, those that are too dense last."""
    from switchbench.spec.search import MAXIMISED

    first = points["values"].map(lambda text: json.loads(text)[0])
    sign = points["objectives"].map(lambda text: -1 if json.loads(text)[0] in MAXIMISED else 1)
    return (first * sign).rank() + len(points) * (points["infeasible"] > 0)


def _best(planned: Plan, studies: dict[str, Study]) -> Spec:
    """The comparison of every method as it was and as it was found to be best, where that is another."""
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
            choice = planned.spaces[method.label].chosen(trial.params, label)
            ids = {trial.trial_id for trial in spec.model_copy(update={"methods": [choice]}).trials()}
            if not ids & known:  # else it is in the comparison, by another name
                methods.append(choice)
                known |= ids
                labels.add(label)
    return Spec.model_validate(
        spec.model_dump(mode="json") | {"methods": [m.model_dump(mode="json") for m in methods]}
    )


def _store(planned: Plan, studies: dict[str, Study]) -> None:
    """Bring the ledger's plan and table of points up to date with the studies."""
    points, trials = [], []
    for label, study in studies.items():
        best = {trial.number for trial in study.best(planned.config.top)}
        objectives = json.dumps(planned.config.objectives)
        for record in study.records():
            points.append(
                {"label": label, "objectives": objectives, "best": record["number"] in best} | record
            )
            if record["state"] != "running":
                trials += planned.trials(label, record["number"], json.loads(record["params"]))
    planned.ledger.create(planned.spec, trials)
    planned.ledger.write_points(points)


@contextmanager
def _alone(planned: Plan, storage: str | None) -> Iterator[None]:
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
