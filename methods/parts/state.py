"""A method's state as plain data for a checkpoint, and back. Works on values, knows no method."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

PLAIN = (bool, int, float, str, type(None))


def capture(value: Any) -> Any:
    """A copy of a value as tensors, containers and plain values, which ``torch.save`` can store.

    Frozen dataclasses and hook handles never change: attaching makes them again. Raises TypeError on
    anything else (functions, unknown classes).
    """
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, nn.Module):
        return capture(value.state_dict())
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, dict):
        return {key: capture(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [capture(item) for item in value]
    if isinstance(value, PLAIN):
        return value
    if _constant(value):
        return None
    raise TypeError(f"cannot checkpoint a {type(value).__name__}: override state_dict and load_state_dict")


def restore(present: Any, stored: Any) -> Any:
    """The stored value in the form of the present one. Parameters, modules and generators are
    filled in place, because optimisers and networks hold them too; the rest is replaced."""
    if isinstance(present, nn.Parameter):
        present.data.copy_(stored)
        return present
    if isinstance(present, nn.Module):
        present.load_state_dict(stored)
        return present
    if isinstance(present, torch.Generator):
        present.set_state(stored.cpu())
        return present
    if isinstance(present, dict) and isinstance(stored, dict):
        return {key: restore(present.get(key), item) for key, item in stored.items()}
    if isinstance(present, list | tuple) and isinstance(stored, list) and len(present) == len(stored):
        return type(present)(restore(old, item) for old, item in zip(present, stored, strict=True))
    return present if _constant(present) else stored


def _constant(value: Any) -> bool:
    frozen = getattr(getattr(type(value), "__dataclass_params__", None), "frozen", False)
    return isinstance(value, RemovableHandle) or frozen
