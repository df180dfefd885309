"""A results folder that is made from MLflow alone, as if its trials had run there."""

import logging
from typing import Any

from switchbench.errors import InputError
from switchbench.observe import mlflow_pull
from switchbench.observe.mlflow_client import in_words, required
from switchbench.row import PlannedTrial, Row
from switchbench.spec.yaml_text import read_plain, written
from switchbench.store.ledger import RESULTS, Ledger
from switchbench.store.objects import StorePath
from switchbench.words import plural

UNITED = ("networks", "datasets", "scope", "methods", "densities", "seeds")
"""Keys of a spec whose lists are united."""
RECIPE = ("training", "validation", "start")
"""Keys of a spec in which all trials of one comparison agree."""


def pull(
    uri: str | None, experiment: str, out: str | StorePath | None = None, curves: bool = True
) -> StorePath:
    """Make or update a results folder from an experiment of MLflow.

    Several machines may have sent to the experiment: the folder holds the union of their plans, each trial
    once, with its latest row, but no failure in place of a result. Trials of another recipe than the first
    spec's are left out, and so are those of another version of a method than the first; a warning says so.
    Results in the folder that MLflow does not know, or that are later than MLflow's, stay.

    Args:
        uri: MLflow server or database; None: ``$MLFLOW_TRACKING_URI``.
        experiment: Name of the experiment, which is the name of the comparison.
        out: The folder: a new one, or one of the same comparison; None: ``results/NAME``.
        curves: Whether curves are read too.

    Returns:
        The folder, for :func:`switchbench.report` and :func:`switchbench.run`.

    Raises:
        InputError: MLflow does not answer, there is no such experiment, it holds no results, or the folder
            holds another comparison or cannot be written.
    """
    place, ledger = required(uri), Ledger(_default_folder(experiment) if out is None else out)
    ledger.check_writable()
    with in_words(place):
        collected = mlflow_pull.collect(place, experiment, curves)
    plans = _of_one_recipe(collected.plans)
    plan, specs = _united(plans), [*dict.fromkeys(spec for spec, _ in plans if spec)]
    spec = {"name": experiment} | _merged(specs)
    own: dict[str, Row] = {}
    kept: list[PlannedTrial] = []
    if ledger.has_comparison:
        if ledger.name() != spec["name"]:
            problem = f"holds another comparison, {ledger.name()!r} and not {spec['name']!r}"
            raise InputError(f"output folder {ledger.folder}: {problem}")
        own = {row.trial_id: row for row in ledger.rows()}
        unknown = own.keys() - collected.known - plan.keys()
        kept = [trial for trial in ledger.planned() if trial.trial_id in unknown]
    found = [collected.rows[trial_id] for trial_id in plan if trial_id in collected.rows]
    rows = [row for row in found if not _stands(own.get(row.trial_id), row)]
    points = {row.trial_id: collected.curves.get(row.trial_id, []) for row in rows}
    # One folder's spec is copied byte by byte; the stored one stays where MLflow has none.
    content = specs[0] if len(specs) == 1 else written(spec).encode()
    keep_spec = not specs and ledger.spec_bytes() is not None
    ledger.fill(None if keep_spec else content, [*plan.values(), *kept], rows, points)
    return ledger.folder


def experiments(uri: str | None) -> dict[str, int]:
    """Return the number of trials in each experiment of MLflow that holds runs of switchbench, by name.

    Args:
        uri: MLflow server or database; None: ``$MLFLOW_TRACKING_URI``.

    Raises:
        InputError: MLflow does not answer.
    """
    place = required(uri)
    with in_words(place):
        return mlflow_pull.experiments(place)


def _default_folder(experiment: str) -> StorePath:
    """Return the folder of a comparison. Raises InputError if its name is no name of a folder."""
    if experiment in (".", "..") or set("/\\\0") & set(experiment):
        raise InputError(f"--out: is required, because --experiment {experiment!r} is no name of a folder")
    return RESULTS / experiment


def _stands(own: Row | None, sent: Row) -> bool:
    """Return whether the folder's row stands above the one in MLflow."""
    return own is not None and own.standing > sent.standing


def _of_one_recipe(plans: list[tuple[bytes, list[PlannedTrial]]]) -> list[tuple[bytes, list[PlannedTrial]]]:
    """Leave out the plans whose trials train otherwise than those of the first: no table may average both."""
    kept, recipe = [], None
    for spec, plan in plans:
        plain = _plain(spec) if spec else {}
        own = {key: plain.get(key) for key in RECIPE} if spec else recipe
        recipe = recipe or own
        if own == recipe:
            kept.append((spec, plan))
            continue
        differing = ", ".join(key for key in RECIPE if recipe and own and own[key] != recipe[key])
        message = "specs in MLflow differ in %s: %s of the later one left out; give it a name of its own"
        logging.getLogger(__name__).warning(message, differing, plural(len(plan), "trial"))
    return kept


def _united(plans: list[tuple[bytes, list[PlannedTrial]]]) -> dict[str, PlannedTrial]:
    """Return the trials of all plans by id, one for each method, density and seed of a task: the first."""
    united: dict[str, PlannedTrial] = {}
    places: dict[tuple[Any, ...], str] = {}
    left_out: dict[str, None] = {}
    for trial in (trial for _, plan in plans for trial in plan):
        place = (trial.network, trial.dataset, trial.scope, trial.label, trial.target_density, trial.seed)
        if places.setdefault(place, trial.trial_id) == trial.trial_id:
            united.setdefault(trial.trial_id, trial)
        else:
            left_out[trial.trial_id] = None
    if left_out:
        message = "%s of another version or with other options left out, such as %s: the first counts"
        logging.getLogger(__name__).warning(message, plural(len(left_out), "trial"), next(iter(left_out)))
    return united


def _plain(spec: bytes) -> dict[str, Any]:
    return read_plain(spec, "spec.yaml in MLflow")


def _merged(specs: list[bytes]) -> dict[str, Any]:
    """Return one spec for several machines that ran a part each: the first, with the lists of all.

    It may describe trials that nobody planned; the plan says which trials the report shows.
    """
    merged, *others = [*map(_plain, specs)] or [{}]
    differing = {key for spec in others for key in merged.keys() | spec if spec.get(key) != merged.get(key)}
    if named := sorted(differing - {*UNITED}):
        message = "specs in MLflow differ in %s; the first one counts"
        logging.getLogger(__name__).warning(message, ", ".join(named))
    for key in differing.intersection(UNITED):
        lists = [spec[key] for spec in (merged, *others) if isinstance(spec.get(key), list)]
        merged[key] = [
            value for at, each in enumerate(lists) for value in each if not _among(value, lists[:at])
        ]
    return merged


def _among(value: Any, lists: list[list[Any]]) -> bool:
    return any(value in each for each in lists)
