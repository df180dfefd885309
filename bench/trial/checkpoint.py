"""Checkpoints of one trial. After its worker died, a long trial continues from the last one."""

import logging
import time
from typing import Any

import torch

from switchbench.store import tensors
from switchbench.store.objects import StorePath, discard

INTERVAL_SECONDS = 60.0
"""Shortest time between two checkpoints. A trial that takes less time writes none."""


class Checkpoint:
    """The file of one trial's last checkpoint. The file exists once a checkpoint is saved."""

    def __init__(self, path: StorePath, stamp: str, seconds: float = INTERVAL_SECONDS) -> None:
        """Start the clock; read and write nothing.

        Args:
            path: The file.
            stamp: Names the code that writes. :meth:`load` ignores a checkpoint with another stamp.
            seconds: Shortest time between two checkpoints.
        """
        self.path = path
        self._stamp = stamp
        self._seconds = seconds
        self._begun = self._last_saved = time.monotonic()
        self.seconds_before = 0.0
        """Seconds that earlier attempts have worked until the checkpoint that was loaded."""

    def due(self) -> bool:
        """Return whether it is time for another checkpoint."""
        return time.monotonic() - self._last_saved >= self._seconds

    def save(self, state: dict[str, Any]) -> None:
        """Replace the stored checkpoint. If that fails (a full disk), warn and let the training continue."""
        self._last_saved = time.monotonic()
        try:
            seconds = self.seconds_before + time.monotonic() - self._begun
            tensors.save(self.path, {"stamp": self._stamp, "state": state, "seconds": seconds})
        except (OSError, RuntimeError) as error:
            logging.getLogger(__name__).warning("cannot write checkpoint %s: %s", self.path, error)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the stored state, with tensors on the device; None if there is none with this stamp."""
        stored = tensors.load(self.path, device)
        if not isinstance(stored, dict) or stored.get("stamp") != self._stamp:
            return None
        state: dict[str, Any] | None = stored.get("state")
        seconds = stored.get("seconds", 0.0)
        if not isinstance(state, dict) or not isinstance(seconds, float):
            return None
        self.seconds_before = seconds
        return state

    def discard(self) -> None:
        """Remove the file. Called once the trial has its row."""
        discard(self.path)
