"""The interface of observers: they are notified when trials start and when rows are stored."""

from typing import Protocol

from switchbench.row import Row


class Observer(Protocol):
    """Receives the events of a run. Its exceptions are logged and never end the run."""

    def trials_running(self, count: int) -> None:
        """Receive the number of trials (or points of a search) that run now."""

    def trial_finished(self, row: Row) -> None:
        """Receive the row of a trial, which is in the ledger."""
