"""Fully connected layers in compressed sparse row (CSR) format, run by torch.sparse."""

import copy
import warnings
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn


class CSRLinear(nn.Module):
    """A fully connected layer that stores its weight in CSR format.

    Its buffers are ``crow`` (outputs + 1,), ``column`` (k,) and ``values`` (k,) for k non-zero weights.
    """

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
        self._assemble()

    def _assemble(self) -> None:
        """Make the matrix that is computed with. It shares the memory of the buffers."""
        self._weight = csr_matrix(self.crow, self.column, self.values, (self.out_features, self.in_features))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._assemble()
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_weight"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._assemble()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs (…, out_features) of inputs (…, in_features)."""
        flat = inputs.reshape(-1, self.in_features)
        outputs = (self._weight @ flat.t().contiguous()).t()  # CSR products read row by row
        outputs = outputs if self.bias is None else outputs + self.bias
        return outputs.reshape(*inputs.shape[:-1], self.out_features)


def csr_matrix(crow: Tensor, column: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return a matrix in CSR format, which shares the memory of its parts.

    Args:
        crow: int32 (rows + 1,): where each row begins among the entries.
        column: int32 (k,): column of each entry.
        values: (k,).
        shape: Rows and columns.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns that CSR support is in beta
        return torch.sparse_csr_tensor(crow, column, values, shape)


def to_csr(network: nn.Module) -> nn.Module:
    """Copy a finished network with its fully connected layers in CSR format.

    Args:
        network: A network with plain weights and exact zeros. It is not changed.

    Returns:
        The copy. Convolutions and subclasses of ``nn.Linear`` stay as they are.

    Example:
        >>> to_csr(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
        Sequential(
          (0): CSRLinear()
          (1): ReLU()
        )
    """
    network = copy.deepcopy(network)
    for module in [*network.modules()]:
        for name, child in module.named_children():
            if type(child) is nn.Linear:
                setattr(module, name, CSRLinear(child))
    return CSRLinear(network) if type(network) is nn.Linear else network


def _csr(weight: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns that CSR support is in beta
        return weight.to_sparse_csr()
