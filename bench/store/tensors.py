"""Files of tensors. They are written atomically, and a broken file never stops a run."""

import io
import logging
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from switchbench.store.objects import StorePath, size, write_stream

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
        content = io.BytesIO(path.read_bytes())
        if damaged := zipfile.ZipFile(content).testzip():  # torch verifies no checksum
            raise zipfile.BadZipFile(f"{damaged} has changed")
        content.seek(0)
        return torch.load(content, map_location=device, weights_only=True)
    except FileNotFoundError:
        return None
    except pickle.UnpicklingError:  # its message says how to load the file all the same, which is unsafe
        reason = "holds more than tensors and plain values"
    except Exception as error:  # reading a broken file may raise any type
        reason = str(error).partition("\n")[0] or type(error).__name__
    logging.getLogger(__name__).warning("%s cannot be read (%s); it counts as missing", path, reason)
    return None


def fits(state: Any, expected: Mapping[str, Tensor]) -> bool:
    """Tell whether something is a state with the names, shapes and dtypes of another."""
    return (
        isinstance(state, dict)
        and state.keys() == expected.keys()
        and all(
            isinstance(state[name], Tensor)
            and (state[name].shape, state[name].dtype) == (tensor.shape, tensor.dtype)
            for name, tensor in expected.items()
        )
    )


class NetworkStore:
    """Folder of finished networks by trial id, to start other trials from or to export."""

    def __init__(self, folder: StorePath) -> None:
        self._folder = folder

    def has(self, trial_id: str) -> bool:
        """Return whether a network is stored."""
        return self._path(trial_id).exists()

    def content(self, trial_id: str, at_most: int) -> bytes | None:
        """Return the bytes of a stored network's file.

        Args:
            trial_id: The trial.
            at_most: Largest size in bytes.

        Returns:
            The content; None if there is no network, or if it is larger. Raises OSError.
        """
        path = self._path(trial_id)
        if not path.exists() or size(path) > at_most:
            return None
        return path.read_bytes()

    def save(self, trial_id: str, state: State) -> None:
        """Store the state of a network. A failure, such as a full disk, is logged and not raised."""
        try:
            plain = {name: tensor.cpu() for name, tensor in state.items()}
            save(self._path(trial_id), {"trial_id": trial_id, "state": plain})
        except (OSError, RuntimeError) as error:
            logging.getLogger(__name__).warning("network %s is not stored: %s", trial_id, error)

    def load(self, trial_id: str, expected: Mapping[str, Tensor]) -> State | None:
        """Return the state of a network.

        Args:
            trial_id: The trial whose finished network it is.
            expected: A state of the same network, for names, shapes and dtypes.

        Returns:
            The state; None if it is not stored, cannot be read, or is not that of this network, which is
            logged.
        """
        stored = load(self._path(trial_id))
        if stored is None:
            return None
        is_named = isinstance(stored, dict) and stored.keys() == {"trial_id", "state"}
        state = stored["state"] if is_named else stored  # files of older versions hold the state alone
        if (is_named and stored["trial_id"] != trial_id) or not fits(state, expected):
            problem = "%s holds no network of trial %s; it counts as missing"
            logging.getLogger(__name__).warning(problem, self._path(trial_id), trial_id)
            return None
        return {name: state[name] for name in expected}

    def _path(self, trial_id: str) -> StorePath:
        return self._folder / f"{trial_id}.pt"
