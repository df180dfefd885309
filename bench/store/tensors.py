"""Files of tensors. They are written atomically, and a broken file never stops a run."""

import io
import logging
from typing import Any

import torch
from torch import Tensor

from switchbench.store.objects import StorePath, write_stream

State = dict[str, Tensor]
"""State of a network, as ``state_dict()`` returns it."""


def save(path: StorePath, content: Any) -> None:
    """Write tensors and plain values atomically; make the folder if it is missing.

    Args:
        path: The file.
        content: Tensors and plain values, which may be nested in lists and dictionaries.

    Raises:
        OSError: The file cannot be written.
        RuntimeError: Torch cannot write, for instance on a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_stream(path) as stream:
        torch.save(content, stream)


def load(path: StorePath, device: torch.device | str = "cpu") -> Any:
    """Read a file of :func:`save`.

    Args:
        path: The file.
        device: Device of the tensors.

    Returns:
        The content; None if the file is missing or cannot be read, which is logged.
    """
    try:
        return torch.load(io.BytesIO(path.read_bytes()), map_location=device, weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:  # unpickling a broken file may raise any type
        reason = str(error).partition("\n")[0] or type(error).__name__
        logging.getLogger(__name__).warning("%s cannot be read: %s", path, reason)
        return None


class NetworkStore:
    """Folder of finished networks by trial id, to start other trials from or to export."""

    def __init__(self, folder: StorePath) -> None:
        self._folder = folder

    def has(self, trial_id: str) -> bool:
        """Return whether a network is stored."""
        return self._path(trial_id).exists()

    def save(self, trial_id: str, state: State) -> None:
        """Store the state of a network. A failure, such as a full disk, is logged and not raised."""
        try:
            save(self._path(trial_id), {name: tensor.cpu() for name, tensor in state.items()})
        except (OSError, RuntimeError) as error:
            logging.getLogger(__name__).warning("network %s is not stored: %s", trial_id, error)

    def load(self, trial_id: str) -> State | None:
        """Return the state of a network; None if it is not stored or cannot be read."""
        state: State | None = load(self._path(trial_id))
        return state

    def _path(self, trial_id: str) -> StorePath:
        return self._folder / f"{trial_id}.pt"
