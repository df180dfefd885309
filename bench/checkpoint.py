"""Checkpoints of one trial, so that a long one goes on where its worker died."""

import logging
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
        """Replace the stored checkpoint. Where that fails (a full disk), training goes on without."""
        self._last = time.monotonic()
        scratch = self.path.with_name(f".{self.path.name}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"stamp": self._stamp, "state": state}, scratch)
            scratch.replace(self.path)
        except (OSError, RuntimeError) as error:
            logging.getLogger(__name__).warning("no checkpoint at %s: %s", self.path, error)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The stored checkpoint, or None if there is none that this code can take up."""
        try:
            stored = torch.load(self.path, map_location=device, weights_only=True)
        except FileNotFoundError:
            return None
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0]
            logging.getLogger(__name__).warning("no checkpoint can be read from %s: %s", self.path, reason)
            return None
        state: dict[str, Any] = stored["state"]
        return state if stored["stamp"] == self._stamp else None

    def discard(self) -> None:
        """Remove the file: the trial has its row."""
        self.path.unlink(missing_ok=True)
        self.path.with_name(f".{self.path.name}.part").unlink(missing_ok=True)
