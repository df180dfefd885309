"""Checkpoints of one trial, so that a long one goes on where its worker died."""

import os
import pickle
import time
from pathlib import Path
from typing import Any

import torch

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
        """Replace the stored checkpoint."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        torch.save({"stamp": self._stamp, "state": state}, scratch)
        scratch.replace(self.path)
        self._last = time.monotonic()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The stored checkpoint, or None if there is none that this code can take up."""
        try:
            stored = torch.load(self.path, map_location=device, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            return None
        state: dict[str, Any] = stored["state"]
        return state if stored["stamp"] == self._stamp else None

    def discard(self) -> None:
        """Remove the file: the trial has its row."""
        self.path.unlink(missing_ok=True)
