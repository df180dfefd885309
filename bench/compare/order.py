"""The order in which trials start, so that no core is idle at the end while another has a long trial left."""

import math
from itertools import groupby
from operator import attrgetter

from switchbench.spec.trial import TrialConfig
from switchbench.trial.estimate import estimate, plain_flops

LONG_FLOPS = 3e10
"""Where plain training takes less (about a second), trials start as planned: estimates would cost more."""


def longest_first(trials: list[TrialConfig]) -> list[TrialConfig]:
    """Order trials so that, within each seed, those of the largest estimated cost start first.

    Seed follows seed as in the plan, so that a run that is stopped has results to compare. Trials of equal
    cost stay in the order of the plan.

    Args:
        trials: Trials as planned: all of one seed before the next. Their data sets are on this machine.

    Returns:
        The same trials, in their old order if all of them are short.
    """
    groups = {trial.place: trial for trial in trials}
    tasks = {key[1:]: trial for key, trial in groups.items()}
    if len(groups) == 1 or all(plain_flops(trial) < LONG_FLOPS for trial in tasks.values()):
        return trials
    flops = {key: estimate(trial).flops for key, trial in groups.items()}
    costs = {key: math.inf if math.isnan(each) else each for key, each in flops.items()}
    ordered: list[TrialConfig] = []
    for _, of_one_seed in groupby(trials, attrgetter("seed")):
        ordered += sorted(of_one_seed, key=lambda trial: -costs[trial.place])
    return ordered
