"""Products of a fully connected layer whose connections stand still, forward and backward, in compressed
sparse row (CSR) format: only kept weights are read, multiplied and given a gradient.

Activations travel transposed, (features, batch) in memory: that is what the CSR products read and write, and
elementwise functions keep the layout, so that between two such layers nothing is copied.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from switchbench.measure.csr import csr_matrix


class Connections:
    """Where the kept connections of a layer are. Values are in the order of their positions in the weight."""

    def __init__(self, mask: Tensor) -> None:
        """``mask``: 0/1, (outputs, inputs)."""
        outputs, inputs = mask.shape
        self.shape = outputs, inputs
        self.index = mask.flatten().nonzero()[:, 0]
        """int64 (kept,): positions in the flattened weight, ascending."""
        rows, columns = self.index // inputs, self.index % inputs
        self._by_output = _offsets(rows, outputs), columns.int()
        self._order = columns.argsort(stable=True)
        """The values' order by input, then output."""
        self._ordered = torch.zeros(len(self.index))
        self._transposed = csr_matrix(
            _offsets(columns, inputs), rows[self._order].int(), self._ordered, (inputs, outputs)
        )
        self._sampled = self.matrix(torch.zeros(len(self.index)))

    def matrix(self, values: Tensor) -> Tensor:
        """Return the weight, CSR (outputs, inputs), of values (kept,), whose memory it shares."""
        return csr_matrix(*self._by_output, values, self.shape)

    def transposed(self, values: Tensor) -> Tensor:
        """Return the transposed weight, CSR (inputs, outputs), of values (kept,), until the next call."""
        torch.index_select(values, 0, self._order, out=self._ordered)
        return self._transposed

    def sampled(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the entries (kept,) of left (outputs, n) @ right (n, inputs) at the kept connections."""
        # in place, as a new matrix would copy the pattern
        torch.sparse.sampled_addmm(self._sampled, left, right, beta=0.0, out=self._sampled)
        entries: Tensor = self._sampled.values().clone()
        return entries


class CSRProducts(torch.autograd.Function):
    """Inputs (n, inputs) ↦ outputs (n, outputs) of a layer with kept values (kept,) and a bias or None.

    ``weight`` is :meth:`Connections.matrix` of the values, ``offset`` a view (outputs, 1) of the bias: a view
    made in each step would take as long as a small product.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        values: Tensor,
        bias: Tensor | None,
        weight: Tensor,
        offset: Tensor | None,
        connections: Connections,
    ) -> Tensor:
        features = inputs.t().contiguous()
        ctx.save_for_backward(features, values)
        ctx.connections, ctx.biased = connections, bias is not None
        if offset is None:
            return (weight @ features).t()
        return torch.addmm(offset, weight, features).t()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, values = ctx.saved_tensors
        above = gradient.t().contiguous()
        below = (ctx.connections.transposed(values) @ above).t() if ctx.needs_input_grad[0] else None
        bias = above.sum(1) if ctx.biased else None
        return below, ctx.connections.sampled(above, features.t()), bias, None, None, None


def _offsets(entries: Tensor, rows: int) -> Tensor:
    """Return the CSR offsets, int32 (rows + 1,), of entries in these rows."""
    counts = torch.bincount(entries, minlength=rows)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int()
