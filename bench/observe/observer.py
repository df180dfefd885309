"""What watches a run: told when trials start and when their rows are stored."""

from typing import Protocol

from switchbench.row import Row


class Observer(Protocol):
    """Whoever watches a run. Its exceptions never reach Tune, where one would end the run."""

    def running(self, trials: int) -> None:
        """So many trials are running now."""

    def finished(self, row: Row) -> None:
        """A trial's row is in the ledger."""
