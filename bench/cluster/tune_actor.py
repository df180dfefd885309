"""The worker process of Ray Tune, which runs trials one after the other."""

import os
from dataclasses import asdict
from typing import Any

from ray import tune

from switchbench.cluster.points import Pruner
from switchbench.cluster.stopping import StopWatch
from switchbench.cluster.worker import Job, NotStored, execute_point
from switchbench.measure.usage import device_is_sound
from switchbench.plugins import transfer
from switchbench.row import Row
from switchbench.spec.trial import TrialConfig
from switchbench.trial.control import Stopped


class TrialActor(tune.Trainable):
    """Worker process. Each step runs one trial of a comparison or one point of a search."""

    def setup(self, config: dict[str, Any], **shared: Any) -> None:
        transfer.register_shipped(shared["extensions"])
        self.job: Job = shared["job"]
        self.stop_watch = StopWatch(self.job.run)
        self.stop_watch.start()

    def step(self) -> dict[str, Any]:
        if not device_is_sound():  # after an error on the GPU all further work in this process fails
            os._exit(1)  # Ray starts another worker for the trial
        trials = [TrialConfig.from_plan(planned) for planned in self.config["trials"]]
        pruner: Pruner | None = self.config.get("pruner")
        try:
            watchers = pruner.watchers() if pruner else _no_watch
            rows = execute_point(trials, self.job, watchers, self.stop_watch.stop)
        except Stopped:
            return {"done": True, "rows": []}
        except NotStored as error:  # raised, it would be repeated
            return {"done": True, "stop": str(error)}
        return {"done": True, "rows": [asdict(row) for row in rows]}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True


def rows_of(result: dict[str, Any] | None) -> list[Row]:
    """Return the rows in the result of a worker's step."""
    return [Row.stored(plain) for plain in (result or {}).get("rows", [])]


def _no_watch(index: int) -> None:
    """Return no watch for the trial of a seed index."""
