"""A method's state as plain data for a checkpoint, and back."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

PLAIN = (bool, int, float, str, type(None))


class Constant:
    """Base of values that no checkpoint holds: training never changes them, attaching makes them again."""


def capture(value: Any) -> Any:
    """Copy a value into tensors, containers and plain values, which ``torch.save`` can store.

    Args:
        value: A tensor, module, generator or plain value, or a dict, list or tuple of them. A
            :class:`Constant` and a hook's handle become None.

    Raises:
        TypeError: The value is anything else, such as a function.

    >>> capture({"step": 3, "mask": torch.ones(2)})
    {'step': 3, 'mask': tensor([1., 1.])}
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
    if isinstance(value, Constant | RemovableHandle):
        return None
    raise TypeError(
        f"cannot checkpoint a {type(value).__name__}: override state_dict and load_state_dict, "
        "or derive it from Constant if attaching makes it again"
    )


def restore(present: Any, stored: Any) -> Any:
    """Return the stored value in the form of the present one.

    Parameters, modules and generators are filled in place, because optimisers and networks hold them
    too. Constants stay as they are. Everything else is replaced.
    """
    if isinstance(present, nn.Parameter):
        present.data.copy_(stored.view_as(present))  # a copy alone would repeat a smaller tensor
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
    return present if isinstance(present, Constant | RemovableHandle) else stored
