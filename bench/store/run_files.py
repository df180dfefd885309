"""The files of trials that are not finished: where they run, what they printed, their checkpoints."""

import logging

from switchbench.atomic_files import reason
from switchbench.errors import InputError
from switchbench.row import Started
from switchbench.store import parquet
from switchbench.store.objects import StorePath, discard, write_stream


class RunFiles:
    """What workers leave in a folder while they train, and the logs that stay."""

    def __init__(self, folder: StorePath) -> None:
        """Name the files; nothing is read or written."""
        self._running = folder / "running"
        self._logs = folder / "logs"
        self._checkpoints = folder / "checkpoints"

    def announce(self, started: Started) -> None:
        """Store where a trial runs. Raises OSError."""
        parquet.write(self._running / f"{started.trial_id}.parquet", [started], Started)

    def announced(self, trial_id: str) -> Started | None:
        """Return where a trial runs, or ran when it was lost; None if it has ended or never began."""
        path = self._running / f"{trial_id}.parquet"
        try:
            found = parquet.stored_rows(Started, parquet.read_if_sound(path), path)
        except InputError as error:
            logging.getLogger(__name__).warning("%s; it is ignored", error)
            return None
        return found[0] if found else None

    def withdraw(self, trial_id: str) -> None:
        """Remove what :meth:`announce` stored. Raises OSError."""
        discard(self._running / f"{trial_id}.parquet")

    def running(self) -> list[Started]:
        """Return all announced trials, by their start. Some may have been lost with their worker."""
        found = [self.announced(trial_id) for trial_id in parquet.stored_ids(self._running)]
        return sorted((each for each in found if each), key=lambda each: each.started)

    def write_log(self, trial_id: str, text: str) -> None:
        """Store what a trial printed, in place of what an earlier attempt printed.

        A failure is logged and not raised: the trial's row is worth more.
        """
        path = self._logs / f"{trial_id}.txt"
        try:
            if not text:
                discard(path)
                return
            with write_stream(path) as stream:
                stream.write(text.encode(errors="replace"))
        except OSError as error:
            message = "the log of trial %s is not stored: %s"
            logging.getLogger(__name__).warning(message, trial_id, reason(error))

    def log(self, trial_id: str) -> str:
        """Return what a trial printed, with its traceback; empty if there is nothing."""
        try:
            return (self._logs / f"{trial_id}.txt").read_bytes().decode(errors="replace")
        except OSError:
            return ""

    def checkpoint(self, trial_id: str) -> StorePath:
        """Return the path of a trial's checkpoint, which exists until the trial has its row."""
        return self._checkpoints / f"{trial_id}.pt"
