"""Counting the FLOPs of training steps, and estimating those of a whole training from a sample."""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

STRIDE = 97
"""One step in so many is counted; prime, to fall on all phases of periodic schedules."""

Kind = frozenset[str] | None
"""The groups that learn in a step; None: all."""
SPARSE_KERNELS: Kind = frozenset({"sparse kernels"})
"""The kind of steps on sparse kernels, in which all groups of the network learn."""


class FlopCounter(TorchDispatchMode):
    """Counts the FLOPs of matrix products and convolutions that are executed, forward and backward,
    by PyTorch's own formulas (a multiply-add is two). Lighter than torch's FlopCounterMode."""

    def __init__(self) -> None:
        from torch.utils.flop_counter import flop_registry  # imports triton, which a plan does not need

        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0
        self._formulas: dict[Any, Any] = flop_registry

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch imports its compiler, only to say that it should not compile this

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = self._formulas.get(func._overloadpacket)
        sparse = next(
            (arg for arg in args if isinstance(arg, Tensor) and arg.layout == torch.sparse_csr), None
        )
        if sparse is not None:
            self.flops += _sparse_flops(func, args, sparse)
        elif formula is not None:
            self.flops += formula(*args, **kwargs, out_val=out)
        return out


def _sparse_flops(func: Any, args: Any, sparse: Tensor) -> int:
    """Return the FLOPs of a product with a CSR matrix: two for each stored entry and each term."""
    products = {torch.ops.aten.mm: 1, torch.ops.aten.sparse_sampled_addmm: 1, torch.ops.aten.addmm: 2}
    place = products.get(func._overloadpacket)
    return 0 if place is None else 2 * sparse._nnz() * args[place].shape[1]


class StepFlops:
    """Estimates the FLOPs of a whole training from a sample of its steps.

    Steps of one kind (the same groups learn) differ only in what a method does now and then, so each kind is
    counted at its first step and then every :data:`STRIDE` steps. Only the largest batches are counted: a
    short last batch of an epoch costs less and would bias the mean. It counts as a full one, unless a kind
    never meets a full one.
    """

    def __init__(self) -> None:
        self._steps: Counter[Kind] = Counter()
        self._counted: Counter[Kind] = Counter()
        self._flops: Counter[Kind] = Counter()
        self._batch_size: Counter[Kind] = Counter()
        """Size of the batches that were counted."""
        self._sampled = self._counted, self._flops, self._batch_size
        self.counting = False
        """Whether the step that is surrounded now is counted."""

    def step(self, kind: Kind, examples: int) -> AbstractContextManager[None]:
        """Return what surrounds one training step: nothing, unless its FLOPs are counted.

        Args:
            kind: The groups that learn in it.
            examples: Size of its batch.
        """
        if examples > self._batch_size[kind]:  # what was counted before were short batches
            self._batch_size[kind], self._counted[kind], self._flops[kind] = examples, 0, 0
        due = self._steps[kind] >= STRIDE * self._counted[kind] and examples == self._batch_size[kind]
        self._steps[kind] += 1
        return self._count(kind) if due else nullcontext()

    @contextmanager
    def _count(self, kind: Kind) -> Iterator[None]:
        self.counting = True
        try:
            with FlopCounter() as counter:
                yield
        finally:
            self.counting = False
        self._counted[kind] += 1
        self._flops[kind] += counter.flops

    def kinds(self) -> Iterator[tuple[int, Fraction, Fraction]]:
        """Yield for each kind its number of steps, the mean FLOPs of those that were counted, and the size of
        their batches as a share of a full one."""
        full = max(self._batch_size.values(), default=0)
        for kind, steps in self._steps.items():
            mean = Fraction(self._flops[kind], self._counted[kind])
            yield steps, mean, Fraction(self._batch_size[kind], full)

    @property
    def total(self) -> float:
        """Estimated FLOPs of all steps so far, as if every batch were full."""
        return float(sum(steps * mean for steps, mean, _ in self.kinds()))

    def state_dict(self) -> list[Any]:
        """The counters as plain data."""
        return [
            [None if kind is None else sorted(kind), steps, *(counter[kind] for counter in self._sampled)]
            for kind, steps in self._steps.items()
        ]

    def load_state_dict(self, stored: list[Any]) -> None:
        """Undo :meth:`state_dict`: what was counted before is forgotten."""
        for counter in (self._steps, *self._sampled):
            counter.clear()
        for names, steps, *sampled in stored:
            kind = None if names is None else frozenset(names)
            self._steps[kind] = steps
            for counter, value in zip(self._sampled, sampled, strict=True):
                counter[kind] = value
