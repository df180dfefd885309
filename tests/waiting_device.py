"""A device that stands in for a GPU: it computes on the CPU, and can refuse whatever would wait for it.

Its tensors hold values, which PyTorch's own stand-in (fake tensors) lacks: whole trials run on it, take the
branches of a GPU, and give the results of a CPU. Tensors of device and CPU do not mix, as with a GPU. PyTorch
knows the device as ``meta``, the only one but the CPU for which it can run a backward pass without hardware.
What it cannot show is whether a copy from the CPU comes from pinned memory.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

aten = torch.ops.aten
DEVICE = torch.device("meta")
WAITING = {
    aten._local_scalar_dense, aten.equal, aten.is_nonzero, aten.nonzero, aten.masked_select, aten.bincount,
    aten._unique, aten._unique2, aten.unique_dim, aten.unique_consecutive, aten.unique_dim_consecutive,
}  # fmt: skip
"""Operators whose result, or its shape, the CPU must know."""
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
COPYING = {aten._to_copy, aten.copy_, aten.copy}
MIXING = COPYING | INDEXING
"""Operators that take tensors of both devices."""


class Waited(AssertionError):
    """Something has waited for the device while that was forbidden."""


class DeviceTensor(Tensor):
    """A tensor on the device."""

    on_cpu: Tensor
    is_meta = False

    @staticmethod
    def __new__(cls, values: Tensor) -> "DeviceTensor":
        made: DeviceTensor = Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            layout=values.layout,
            device=DEVICE,
        )
        made.on_cpu = values
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return compute(func, args, kwargs or {})


class Device(TorchDispatchMode):
    """While it is active, ``meta`` is the device, and new tensors can be made there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._refuses = False

    def refuse_to_wait(self, refuse: bool) -> None:
        """Raise :class:`Waited` from now on where a GPU would be waited for, or stop doing so."""
        self._refuses = refuse

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._refuses and waits(func, args, kwargs or {}):
            raise Waited(str(func))
        return compute(func, args, kwargs or {})


def waits(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Tell whether an operator waits for the device."""
    operator = func._overloadpacket
    tensors = [*_tensors((args, kwargs))]
    here = [each for each in tensors if isinstance(each, DeviceTensor)]
    if operator in COPYING:
        target = torch.device(kwargs["device"]) if kwargs.get("device") else tensors[0].device
        crosses = target != tensors[-1].device
        non_blocking = kwargs.get("non_blocking") or True in args[2:]
        return crosses and not (non_blocking and target == DEVICE)
    if operator in INDEXING:
        return bool(here) and any(each.dtype in (torch.bool, torch.uint8) for each in _tensors(args[1]))
    if operator is aten.repeat_interleave:
        return bool(here) and kwargs.get("output_size") is None
    return bool(here) and operator in WAITING


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operator on the values of tensors, on the CPU."""
    tensors = [*_tensors((args, kwargs))]
    on_device = [isinstance(each, DeviceTensor) for each in tensors]
    foreign = any(each.dim() for each, here in zip(tensors, on_device, strict=True) if not here)
    if any(on_device) and foreign and func._overloadpacket not in MIXING:
        raise RuntimeError(f"{func}: some tensors are on the device, others on the CPU")
    if func._overloadpacket in INDEXING and not on_device[0] and any(on_device):
        raise RuntimeError("indices should be on the CPU, as the indexed tensor is")
    result_is_here = any(on_device)
    plain_args, plain_kwargs = _mapped((args, kwargs), DeviceTensor, lambda each: each.on_cpu)
    if kwargs.get("device") is not None:
        result_is_here = torch.device(kwargs["device"]) == DEVICE
        plain_kwargs = plain_kwargs | {"device": torch.device("cpu")}
    out = func(*plain_args, **plain_kwargs)
    if not result_is_here:
        return out
    made = _mapped(out, Tensor, DeviceTensor)
    return return_and_correct_aliasing(func, args, kwargs, made) if any(on_device) else made


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested lists, tuples and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _tensors(each)


def _mapped(value: Any, kind: type[Tensor], change: Callable[[Any], Any]) -> Any:
    """Return nested lists, tuples and dicts with their tensors of a kind changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(each, kind, change) for key, each in value.items()}
    return (
        type(value)(_mapped(each, kind, change) for each in value)
        if isinstance(value, list | tuple)
        else value
    )
