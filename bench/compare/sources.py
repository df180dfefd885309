"""Read what a report shows beyond the table of results: curves, arrays of stored networks, a search."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import pandas as pd

from switchbench.reports.cells import TASK
from switchbench.reports.page.page import TRIALS
from switchbench.reports.sources import Sources
from switchbench.row import Status
from switchbench.store.ledger import Ledger


def with_latency(results: pd.DataFrame, ledgers: Sequence[Ledger]) -> pd.DataFrame:
    """Add the column ``latency``, if networks were timed: seconds per image of the fastest form.

    Of several devices or batch sizes, the one that most networks were timed with counts: times of different
    ones are not compared.
    """
    timed = pd.concat([ledger.latencies() for ledger in ledgers])
    if timed.empty:
        return results
    setting = ["device", "threads", "batch"]
    counts = timed.groupby(setting)["trial_id"].nunique()
    chosen = timed.set_index(setting).loc[[counts.idxmax()]].reset_index()
    fastest = (chosen["seconds"] / chosen["batch"]).groupby(chosen["trial_id"]).min()
    return results.assign(latency=results["trial_id"].map(fastest))


def sources_of(
    ledgers: Sequence[Ledger],
    results: pd.DataFrame,
    points: pd.DataFrame | None = None,
    densities: Collection[float] = (),
) -> Sources:
    """Read the curves of all trials, and the networks of the lowest target density of each task.

    If there are more trials than the page shows one by one, curves of the lowest density are enough as well.

    Args:
        ledgers: Where they are stored.
        results: The table of all trials.
        points: The points of the search, if there was one.
        densities: Target densities that the report shows; empty: all.
    """
    free = results["target_density"].isna()
    target = results["target_density"]
    target = target.where(target.isin(densities)) if densities else target
    lowest = target.groupby([results[name] for name in TASK]).transform("min")
    drawn = results[(results["status"] == Status.OK) & (free | (target == lowest))]
    read = results if len(results) <= TRIALS else drawn
    curves = _of_one_training([ledger.curve_table(read["trial_id"]) for ledger in ledgers])
    known = curves.drop_duplicates(["trial_id", "step"]) if "step" in curves else None
    sources = Sources(trials=drawn, curves=known, points=points)
    stored = [ledger for ledger in ledgers if ledger.has_networks]
    if not stored:
        return sources
    from switchbench.trained.arrays import stored_arrays  # imports torch

    arrays = stored_arrays(stored, drawn)
    return replace(sources, masks=arrays.masks, weights=arrays.weights)


def _of_one_training(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join curves. Of a trial that several ledgers hold, the longest curve counts: others may have failed."""
    longest: dict[str, tuple[int, int]] = {}
    for at, table in enumerate(tables):
        for trial_id, points in table["trial_id"].value_counts().items():
            if points > longest.get(str(trial_id), (0, 0))[0]:
                longest[str(trial_id)] = (points, at)
    kept = [table[[longest[each][1] == at for each in table["trial_id"]]] for at, table in enumerate(tables)]
    return pd.concat(kept, ignore_index=True)
