"""What figures and the page show beyond the table of results: curves, arrays of networks, a search."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Arrays = Mapping[str, npt.ArrayLike]
TaskKey = tuple[str, str, str]
"""Network, data set and scope."""


@dataclass(frozen=True)
class Sources:
    """What is shown beyond the cells of a report. All of it may be missing.

    Mappings by task have network, data set and scope as the key.
    """

    trials: "pd.DataFrame | None" = None
    """The ledger's table, which says whose the curves are."""
    curves: "pd.DataFrame | None" = None
    """One row per trial and epoch: trial_id, step, val_accuracy, density."""
    masks: Mapping[TaskKey, Arrays] = field(default_factory=dict)
    """By task: for each label, the connections kept per input pixel, (height, width)."""
    weights: Mapping[TaskKey, Mapping[str, Arrays]] = field(default_factory=dict)
    """By task: for each label, the weights or gates of each layer."""
    points: "pd.DataFrame | None" = None
    """The ledger's table of points, if there was a search."""
