"""The layers that methods sparsify, and how their weights are laid out.

The weight of a linear layer is (outputs, inputs), that of a convolution (outputs, inputs, *kernel);
in a grouped convolution ``inputs`` are those of one group.
"""

from torch import Tensor, nn

Layers = dict[str, nn.Module]
"""The layers that a method may sparsify, by their name in the network; each has a ``weight``."""
PRUNABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Classes of the layers that can be sparsified. Transposed convolutions are not among them."""
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""Classes of the batch norms."""


def columns(weight: Tensor) -> Tensor:
    """View a weight as (inputs, weights that read each input)."""
    return weight.transpose(0, 1).flatten(1)


def per_input(values: Tensor, weight: Tensor) -> Tensor:
    """View a value per input, (inputs,), as a tensor that broadcasts over the weight."""
    return values.view(1, -1, *(1,) * (weight.dim() - 2))


def per_output(values: Tensor, weight: Tensor) -> Tensor:
    """View a value per output, (outputs,), as a tensor that broadcasts over the weight."""
    return values.view(-1, *(1,) * (weight.dim() - 1))
