"""Checkpoints of one trial, so that a long one goes on where its worker died."""

import logging
import time
from pathlib import Path
from typing import Any

import torch

from switchbench import atomic_files
from switchbench.store import tensors

SECONDS = 60.0
"""Shortest time between two checkpoints; trials that are shorter never write one."""


class Checkpoint:
    """One file that holds the last checkpoint of one trial, or nothing."""

    def __init__(self, path: Path, stamp: str, seconds: float = SECONDS) -> None:
        """``stamp`` names the code that writes; a checkpoint of other code is not taken up."""
        self.path = path
        self._stamp = stamp
        self._seconds = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for another one."""
        return time.monotonic() - self._last >= self._seconds

    def save(self, state: dict[str, Any]) -> None:
        """Replace the stored checkpoint. Where that fails (a full disk), training goes on without."""
        self._last = time.monotonic()
        try:
            tensors.save(self.path, {"stamp": self._stamp, "state": state})
        except (OSError, RuntimeError) as error:
            logging.getLogger(__name__).warning("no checkpoint at %s: %s", self.path, error)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The stored checkpoint, or None if there is none that this code can take up."""
        stored = tensors.load(self.path, device)
        if not isinstance(stored, dict) or stored.get("stamp") != self._stamp:
            return None
        state: dict[str, Any] = stored["state"]
        return state

    def discard(self) -> None:
        """Remove the file: the trial has its row."""
        atomic_files.discard(self.path)
