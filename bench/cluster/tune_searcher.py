"""The points of a search as Ray Tune wants them."""

from collections import Counter
from typing import Any

from ray.tune.search import Searcher

from switchbench.cluster.lost_workers import (
    rows_of_lost_point,
)
from switchbench.cluster.points import Point, PointSource
from switchbench.cluster.tune_actor import rows_of
from switchbench.cluster.worker import Job
from switchbench.row import Row

LOST_NODE_RETRIES = 3
"""How often a point of a search is started again after its node was lost."""


class PointSearcher(Searcher):
    """Adapter that makes a source of points a Tune searcher.

    An exception of a searcher would end Tune's run at once, and the running points would be lost. So the
    exception is stored, and no more points are requested.
    """

    def __init__(self, source: PointSource, job: Job) -> None:
        super().__init__()
        self.problem: Exception | None = None
        self.closed = False
        """Whether no more points are requested."""
        self._source, self._job = source, job
        self.again: list[Point] = []
        """Points whose node was lost: they run again before new ones."""
        self._returns: Counter[tuple[str, int]] = Counter()
        """How often the node of a point was lost, by study and number."""
        self._points: dict[str, Point] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles searchers with its state, which is never restored

    def __deepcopy__(self, memo: Any) -> "PointSearcher":
        return self  # Tune copies searchers, but the source must not be copied

    def suggest(self, trial_id: str) -> Any:
        try:
            if self.problem or self.closed:
                point = None
            else:
                point = self.again.pop() if self.again else self._source.ask()
        except Exception as error:
            self.problem, point = error, None
        if point is None:
            return Searcher.FINISHED
        self._points[trial_id] = point
        return {"trials": [config.as_planned() for config in point.trials], "pruner": point.pruner}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if error:
            return  # the callback learns the reason next, and calls tell_lost
        point = self._points.pop(trial_id)
        if rows := rows_of(result):  # else nothing was stored, and the next driver runs the point again
            self._tell(point, rows)

    def put_back(self, trial_id: str) -> None:
        """Run a point again whose node was lost; after some times, leave it to the next run."""
        point = self._points.pop(trial_id)
        key = point.study, point.number
        self._returns[key] += 1
        if self._returns[key] <= LOST_NODE_RETRIES:
            self.again.append(point)

    def tell_lost(self, trial_id: str, lost: Row) -> None:
        """Tell the source of a point whose worker died, with the row that says why."""
        point = self._points.pop(trial_id)
        self._tell(point, rows_of_lost_point(point.trials, self._job, lost))

    def _tell(self, point: Point, rows: list[Row]) -> None:
        try:
            self._source.tell(point, rows)
        except Exception as problem:
            self.problem = problem

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the study holds the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing."""
