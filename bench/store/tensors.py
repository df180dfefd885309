"""Files of tensors that exist whole or not at all, and never stop a run when they are broken."""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from switchbench.atomic_files import atomic_write

State = dict[str, Tensor]


def save(path: Path, content: Any) -> None:
    """Write tensors and plain values. Raises OSError or RuntimeError, as torch does on a full disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as stream:
        torch.save(content, stream)


def load(path: Path, device: torch.device | str = "cpu") -> Any:
    """What :func:`save` wrote; None if there is no such file or it cannot be read."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:  # unpickling a broken file raises anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        logging.getLogger(__name__).warning("%s cannot be read: %s", path, reason)
        return None


class Networks:
    """A folder with finished networks, by trial id: starts of other trials, and what is to be exported."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, trial_id: str) -> bool:
        """Whether a network is kept."""
        return self._path(trial_id).exists()

    def save(self, trial_id: str, state: State) -> None:
        """Keep a network's state. Where that fails (a full disk), it is not kept."""
        try:
            save(self._path(trial_id), {name: tensor.cpu() for name, tensor in state.items()})
        except (OSError, RuntimeError) as error:
            logging.getLogger(__name__).warning("network %s is not kept: %s", trial_id, error)

    def load(self, trial_id: str) -> State | None:
        """The state of a network; None if it is not kept or cannot be read."""
        state: State | None = load(self._path(trial_id))
        return state

    def _path(self, trial_id: str) -> Path:
        return self._folder / f"{trial_id}.pt"
