"""What figures show beyond the table of results: training curves, and arrays of stored networks."""

from collections.abc import Sequence

import pandas as pd

from switchbench.reports.cells import TASK
from switchbench.reports.figures.catalogue import Sources
from switchbench.row import Status
from switchbench.store.ledger import Ledger
from switchbench.trained.arrays import stored_arrays


def sources_of(ledgers: Sequence[Ledger], results: pd.DataFrame) -> Sources:
    """Read curves and stored networks of the trials that figures show: those of the lowest target density.

    Args:
        ledgers: Where they are stored.
        results: The table of all trials.
    """
    target = results["target_density"]
    lowest = results.groupby(TASK)["target_density"].transform("min")
    shown = results[(results["status"] == Status.OK) & (target.isna() | (target == lowest))]
    curves = pd.concat([ledger.curve_table(shown["trial_id"]) for ledger in ledgers])
    arrays = stored_arrays(ledgers, shown)
    return Sources(
        trials=shown,
        curves=curves.drop_duplicates(["trial_id", "step"]) if "step" in curves else None,
        masks=arrays.masks,
        weights=arrays.weights,
    )
