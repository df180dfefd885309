"""The interface of observers: they are notified when trials start and when rows are stored."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from switchbench.row import Row

if TYPE_CHECKING:
    from switchbench.spec.trial import TrialConfig


class Observer:
    """Receives the events of a run; does nothing with those that it does not override.

    Its exceptions are logged and never end the run.
    """

    def trials_running(self, count: int) -> None:
        """Receive the number of trials (or points of a search) that run now."""

    def waiting(self, reason: str) -> None:
        """Receive why no trial runs although some are left."""

    def epoch_finished(self, trial: "TrialConfig", point: Mapping[str, float]) -> None:
        """Receive a point of the curves of a running trial. Not every epoch is reported, and on a Ray cluster
        none is."""

    def trial_finished(self, row: Row) -> None:
        """Receive the row of a trial, which is in the ledger."""


def notify(observers: Iterable[Observer], event: Callable[[Observer], None]) -> None:
    """Send an event to observers. An exception of one of them is logged.

    Args:
        observers: The observers.
        event: Calls a method of one observer.
    """
    for observer in observers:
        try:
            event(observer)
        except Exception:
            logging.getLogger(__name__).exception("%s failed", type(observer).__name__)
