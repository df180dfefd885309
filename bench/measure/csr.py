"""Fully connected layers in compressed sparse row form, run by torch.sparse."""

import copy
import warnings

import torch
from torch import Tensor, nn


class CSRLinear(nn.Module):
    """A fully connected layer whose weight is kept in CSR form: ``crow`` (outputs + 1), ``column`` and
    ``values`` (one per weight that is not zero)."""

    crow: Tensor
    column: Tensor
    values: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        csr = _csr(layer.weight.detach())
        self.register_buffer("crow", csr.crow_indices().to(torch.int32))
        self.register_buffer("column", csr.col_indices().to(torch.int32))
        self.register_buffer("values", csr.values())
        self.bias = layer.bias
        self._weight = self._matrix()

    def _matrix(self) -> Tensor:
        shape = (self.out_features, self.in_features)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "beta"
            return torch.sparse_csr_tensor(self.crow, self.column, self.values, shape)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (…, out_features) of inputs (…, in_features)."""
        flat = inputs.reshape(-1, self.in_features)
        outputs = (self._weight @ flat.t()).t()
        outputs = outputs if self.bias is None else outputs + self.bias
        return outputs.reshape(*inputs.shape[:-1], self.out_features)


def to_csr(network: nn.Module) -> nn.Module:
    """A copy of a finished network with its fully connected layers in CSR form; convolutions stay dense."""
    network = copy.deepcopy(network)
    for module in [*network.modules()]:
        for name, child in module.named_children():
            if type(child) is nn.Linear:
                setattr(module, name, CSRLinear(child))
    return CSRLinear(network) if type(network) is nn.Linear else network


def _csr(weight: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "beta"
        return weight.to_sparse_csr()
