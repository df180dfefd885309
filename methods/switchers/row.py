"""A reader that sees one neuron's weight vector at a time."""

import torch
from torch import Tensor, nn


class RowReader(nn.Module):
    """An MLP that reads the incoming weights of a neuron and scores each of them.

    One per layer, shared by the layer's neurons. With ``units`` it reads the outgoing weights of
    an input and scores the input.
    """

    def __init__(
        self, outputs: int, inputs: int, hidden: int, units: bool = False, silent: bool = True
    ) -> None:
        """``silent``: the output starts at zero."""
        super().__init__()
        self.units = units
        length = outputs if units else inputs
        last = nn.Linear(hidden, 1 if units else inputs)
        if silent:
            with torch.no_grad():
                last.weight.zero_()
                last.bias.zero_()
        self.network = nn.Sequential(nn.Linear(length, hidden), nn.GELU(), last)

    def forward(self, weight: Tensor, gate: Tensor) -> Tensor:
        """Scores (outputs × inputs), or (inputs,) with ``units``."""
        scores: Tensor = self.network(weight.T)[:, 0] if self.units else self.network(weight)
        return scores


class FreeLogits(nn.Module):
    """Control: no reader, one learnable number per gate."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, weight: Tensor, gate: Tensor) -> Tensor:
        """The same numbers, whatever the weights."""
        return self.logits
