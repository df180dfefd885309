"""Stopping bad points early: a worker shows Optuna's pruner each epoch's validation results."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, assert_never

from switchbench.spec.search import SearchConfig
from switchbench.trial.control import Watch
from switchbench.trial.unmeasured import Pruned
from switchbench.tuning.storage import StudyStorage


@dataclass(frozen=True)
class PointPruner:
    """What a worker needs to know of a point to have it pruned."""

    storage: StudyStorage
    study: str
    number: int
    """Of the point in its study."""
    config: SearchConfig
    epochs: int
    """Of one trial."""

    def watchers(self) -> Callable[[int], Watch]:
        """Open the study, in the worker.

        Returns:
            A function seed index -> callback. The callback reports each epoch's objective to Optuna's pruner
            (epochs of all the point's seeds in turn) and raises Pruned when the trial should stop.
        """
        import optuna  # takes its time, which only a search that prunes needs

        study = optuna.load_study(
            study_name=self.study,
            storage=self.storage.open(),
            sampler=optuna.samplers.RandomSampler(),
            pruner=_pruner(self.config, self.epochs * len(self.config.seeds)),
        )
        (frozen,) = [trial for trial in study.get_trials(deepcopy=False) if trial.number == self.number]
        trial = optuna.Trial(study, frozen._trial_id)
        return lambda seed: partial(self._watch, trial, seed)

    def _watch(self, trial: Any, seed: int, point: dict[str, float]) -> None:
        epoch = self.epochs * (seed + point["round"]) + point["epoch"]
        trial.report(point[self.config.objectives[0]], int(epoch))
        if trial.should_prune():
            raise Pruned(int(point["step"]))


def _pruner(config: SearchConfig, epochs: int) -> Any:
    import optuna

    pruners = optuna.pruners
    if config.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 5)
    if config.pruner == "asha":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    if config.pruner == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    if config.pruner == "none":
        return pruners.NopPruner()
    assert_never(config.pruner)
