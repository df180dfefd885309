"""Magnitude pruning: the baseline that is hard to beat."""

from switchbench.methods.contract import register
from switchbench.methods.gradual import GradualPruning


@register("magnitude")
class Magnitude(GradualPruning):
    """Prune the smallest weights, gradually or at one shot, then fine-tune.

    Gradual: Zhu & Gupta 2017, *To prune, or not to prune*, whose schedule has the power 3. One-shot with
    fine-tuning: Han et al. 2015, *Learning both Weights and Connections*.

    Defaults: the pruning window (begin, end, power) of docs/results/science-recipe-sgd, rounded.
    """
