"""Read what is stored of a comparison, as pandas tables."""

from pathlib import Path

import pandas as pd

from switchbench.errors import InputError
from switchbench.reports.results import Results
from switchbench.store.ledger import Ledger
from switchbench.store.search import SearchLedger

TRIAL_COLUMNS = ["trial_id", "label", "method", "network", "dataset", "scope", "target_density", "seed"]
"""Columns that say which trial a point of a curve belongs to."""


def results(folder: str | Path) -> Results:
    """Read the results of a comparison.

    Args:
        folder: Folder of the comparison, or its URL in an object store.

    Returns:
        One row per planned trial; those without a result have the status ``missing``.

    Raises:
        InputError: The folder holds no comparison.

    Example:
        ::

            results = switchbench.results("results/mine")
            results.groupby(["label", "target_density"])["test_accuracy"].mean()
    """
    return Results.of(Ledger(folder).results(), folder)


def curves(folder: str | Path) -> pd.DataFrame:
    """Read the learning curves of a comparison.

    Args:
        folder: Folder of the comparison, or its URL in an object store.

    Returns:
        One row per trial and epoch: which trial it is (``trial_id``, ``label``, ``network``,
        ``target_density``, ``seed`` and others), then ``round`` (0 but for methods that train several times),
        ``epoch`` (from 0, in its round), ``step`` (gradient steps so far, all rounds together), ``lr`` (the
        last learning rate of the epoch), ``train_loss`` (mean over the epoch, without penalties), and at its
        end ``val_loss``, ``val_accuracy`` (in [0, 1]) and ``density`` (in scope, in [0, 1]).

    Raises:
        InputError: The folder holds no comparison.

    Example:
        ::

            curves = switchbench.curves("results/mine")
            curves.groupby(["label", "epoch"])["val_accuracy"].mean().unstack("label").plot()
    """
    ledger = Ledger(folder)
    trials = ledger.results()[TRIAL_COLUMNS]
    return trials.merge(ledger.curve_table(trials["trial_id"]), on="trial_id", validate="one_to_many")


def best_points(folder: str | Path) -> pd.DataFrame:
    """Read the best points of the search that came before a comparison.

    Args:
        folder: Folder of the comparison.

    Returns:
        One row per best point, with the columns of :class:`~switchbench.row.PointRow`. ``values`` and
        ``params`` are JSON: the objectives, and the options that were searched.

    Raises:
        InputError: There was no search.
    """
    points = SearchLedger(Ledger(folder)).points()
    if points is None:
        raise InputError(f"{folder}: holds no search")
    return points[points["best"]].reset_index(drop=True)
