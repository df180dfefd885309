"""A reader that learns which connections the loss would miss, from few features of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from switchbench.methods.parts.layers import columns, per_input, per_output
from switchbench.methods.parts.masks import Tensors
from switchbench.methods.parts.paths import Paths

FEATURES = ("curvature", "row", "column", "into", "behind")
"""What the reader knows of a connection, in the order of its weights θ: the curvature of the loss there; the
strengths of its output's and its input's connections; and those of the paths that lead into its input and
from its output on."""
CURVATURE_FLOOR, SUM_FLOOR, PATH_FLOOR = 1e-6, 0.03, 0.01
"""What is added to a quantity over its mean before its logarithm is taken, so that zeros stay near."""


class SaliencyReader(nn.Module):
    """θ · φ for the features φ of each connection, with one θ for all layers.

    Its size does not depend on the layers', and permuting neurons permutes its output.
    """

    def __init__(self, start: Sequence[float]) -> None:
        """``start``: θ in the order of :data:`FEATURES`."""
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([*start]))

    def forward(self, features: Mapping[str, "Features"]) -> Tensors:
        """Return a number for each connection, in the weights' shapes, by layer name."""
        return {name: self._of_layer(seen) for name, seen in features.items()}

    def _of_layer(self, features: "Features") -> Tensor:
        curvature, row, column, into, behind = self.theta
        outputs = row * features.row + behind * features.behind
        inputs = column * features.column + into * features.into
        like = features.curvature
        scores: Tensor = curvature * like + per_output(outputs, like) + per_input(inputs, like)
        return scores


@dataclass(frozen=True)
class Features:
    """Features of the connections of one layer. Each has a mean of zero over the connections that are on."""

    curvature: Tensor
    """In the weight's shape."""
    row: Tensor
    """(outputs,)"""
    column: Tensor
    """(inputs,)"""
    into: Tensor
    """(inputs,)"""
    behind: Tensor
    """(outputs,)"""


@torch.no_grad()
def features(
    weights: Mapping[str, Tensor], gates: Mapping[str, Tensor], curvature: Tensors | None, paths: Paths
) -> dict[str, Features]:
    """Read a network.

    Args:
        weights: Weights by layer name.
        gates: 0/1, in the weights' shapes.
        curvature: The running means of squared gradients, in the weights' shapes; None if the reader does not
            listen to this feature, which then is zero.
        paths: Follows the network's paths.

    Returns:
        The features by layer name. Where paths cannot be followed, theirs are zero.
    """
    strengths = {name: weight.detach().abs() * gates[name] for name, weight in weights.items()}
    sums = paths.sums(strengths)
    found = {}
    for name, strength in strengths.items():
        gate = gates[name]
        by_output, by_input = gate.flatten(1).sum(1), columns(gate).sum(1)
        into, behind = sums[name] if sums else (torch.zeros_like(by_input), torch.zeros_like(by_output))
        found[name] = Features(
            _bend(curvature[name], gate, by_output.sum()) if curvature else torch.zeros_like(gate),
            _relative(strength.flatten(1).sum(1), by_output, SUM_FLOOR),
            _relative(columns(strength).sum(1), by_input, SUM_FLOOR),
            _relative(into, by_input, PATH_FLOOR),
            _relative(behind, by_output, PATH_FLOOR),
        )
    return found


def alike(weights: Mapping[str, Tensor]) -> dict[str, Features]:
    """Return the features of connections that do not differ: zeros."""
    found = {}
    for name, weight in weights.items():
        outputs, inputs = weight.new_zeros(weight.shape[0]), weight.new_zeros(weight.shape[1])
        found[name] = Features(weight.new_zeros(weight.shape), outputs, inputs, inputs, outputs)
    return found


def _bend(curvature: Tensor, gate: Tensor, number: Tensor) -> Tensor:
    """Return log √V over the mean of V, less its mean over the connections that are on.

    ``number``: how many are on.
    """
    number = number.clamp_min(1)
    mean = (curvature * gate).sum() / number
    curved = (curvature / mean).add_(CURVATURE_FLOOR).log_().mul_(0.5)
    return curved - (curved * gate).sum() / number


def _relative(values: Tensor, connections: Tensor, floor: float) -> Tensor:
    """Return the logarithms of values (units,) over their mean, less their mean over all connections.

    ``connections``: how many each unit has.
    """
    relative = (values / values.mean().clamp_min(torch.finfo(values.dtype).tiny)).add_(floor).log_()
    return relative - (relative * connections).sum() / connections.sum().clamp_min(1)
