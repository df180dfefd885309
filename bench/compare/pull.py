"""A results folder that is made from MLflow alone, as if its trials had run there."""

import logging

from switchbench.compare.agreement import agreeing
from switchbench.compare.union import merged, united
from switchbench.errors import InputError
from switchbench.observe import mlflow_pull
from switchbench.observe.mlflow_client import in_words, required
from switchbench.row import PlannedTrial, Row
from switchbench.spec.yaml_text import written
from switchbench.store.ledger import RESULTS, Ledger
from switchbench.store.objects import StorePath


def pull(
    uri: str | None, experiment: str, out: str | StorePath | None = None, curves: bool = True
) -> StorePath:
    """Make or update a results folder from an experiment of MLflow.

    Several machines may have sent to the experiment: the folder holds the union of their plans, each trial
    once, with its latest row, but no failure in place of a result. A plan is left out if its recipe, or its
    network, data set or method of one label, is not as in an earlier one; so are trials of another version
    than the first. A warning says so. Results in the folder that MLflow does not know, or that are later than
    MLflow's, stay.

    Args:
        uri: MLflow server or database; None: ``$MLFLOW_TRACKING_URI``.
        experiment: Name of the experiment, which is the name of the comparison.
        out: The folder: a new one, or one of the same comparison; None: ``results/NAME``.
        curves: Whether curves are read too.

    Returns:
        The folder, for :func:`switchbench.report` and :func:`switchbench.run`.

    Raises:
        InputError: MLflow does not answer, there is no such experiment, it holds no results, or the folder
            holds another comparison, or trials that differ from MLflow's, or cannot be written.
    """
    place, ledger = required(uri), Ledger(_default_folder(experiment) if out is None else out)
    ledger.check_writable()
    with in_words(place):
        collected = mlflow_pull.collect(place, experiment, curves)
    plans, left_out = agreeing(collected.plans, collected.rows)
    plan, doubled = united(plans)
    specs = [*dict.fromkeys(spec for spec, _ in plans if spec)]
    whole, differing = merged(specs)
    for line in (*left_out, *doubled, *differing):
        logging.getLogger(__name__).warning("%s", line)
    spec = {"name": experiment} | whole
    own: dict[str, Row] = {}
    kept: list[PlannedTrial] = []
    if ledger.has_comparison:
        if ledger.name() != spec["name"]:
            problem = f"holds another comparison, {ledger.name()!r} and not {spec['name']!r}"
            raise InputError(f"output folder {ledger.folder}: {problem}")
        own = {row.trial_id: row for row in ledger.rows()}
        unknown = own.keys() - collected.known - plan.keys()
        kept = [trial for trial in ledger.planned() if trial.trial_id in unknown]
        if kept:
            _, problems = agreeing([*plans, (ledger.spec_bytes() or b"", kept)], collected.rows | own)
            if problems:
                problem = f"holds trials that are not in MLflow and differ: {problems[0]}"
                raise InputError(f"output folder {ledger.folder}: {problem}")
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
