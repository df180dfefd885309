"""A cheap reader whose output follows any reordering of neurons."""

import torch
from torch import Tensor, nn

TINY = 1e-12


class EquivariantReader(nn.Module):
    """Reads weight matrices and scores every connection; one small network for all layers.

    score_ij = a(r_i) + b(c_j) + u(r_i)·v(c_j), where r_i and c_j are statistics of output neuron
    i's row and input j's column: log root mean square of all weights, the same of those switched
    on, and the share switched on (a, b, u, v: one MLP for rows and one for columns). Its size
    does not depend on the layers'; permuting neurons permutes the scores. With ``units`` it
    scores whole inputs, by b(c_j).
    """

    def __init__(self, hidden: int, rank: int, units: bool = False, silent: bool = True) -> None:
        """``silent``: the output starts at zero."""
        super().__init__()
        self.rows = None if units else _mlp(hidden, rank + 1, silent=rank + 1 if silent else 0)
        # b starts at zero; v does not, so that u can learn
        self.columns = _mlp(hidden, 1 if units else rank + 1, silent=1 if silent else 0)

    def forward(self, weight: Tensor, gate: Tensor) -> Tensor:
        """Scores (outputs × inputs), or (inputs,) with ``units``, of an (outputs × inputs) weight
        under its present gate."""
        square = weight.square()
        switched = square * gate
        column: Tensor = self.columns(_statistics(square, switched, gate, dim=0))
        if self.rows is None:
            return column[:, 0]
        row: Tensor = self.rows(_statistics(square, switched, gate, dim=1))
        ones, right = torch.ones_like(row[:, :1]), column.roll(-1, 1)  # (v, b) and (1, v, b)
        left = torch.cat([row, ones], dim=1)  # (a, u, 1): all three terms in one product
        return left @ torch.cat([torch.ones_like(right[:, :1]), right], dim=1).T


def _statistics(square: Tensor, switched: Tensor, gate: Tensor, dim: int) -> Tensor:
    features = [
        0.5 * (square.mean(dim) + TINY).log(),
        0.5 * (switched.mean(dim) + TINY).log(),
        gate.mean(dim),
    ]
    stacked = torch.stack(features, dim=1)
    return (stacked - stacked.mean(0)) / (stacked.std(0, correction=0) + 1e-3)


def _mlp(hidden: int, outputs: int, silent: int) -> nn.Sequential:
    """From three statistics to ``outputs`` numbers, the first ``silent`` of which start at zero."""
    last = nn.Linear(hidden, outputs, bias=False)
    with torch.no_grad():
        last.weight[:silent] = 0
    return nn.Sequential(nn.Linear(3, hidden), nn.GELU(), last)
