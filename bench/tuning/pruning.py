"""Early stopping of bad points: workers report each epoch's objective to Optuna's pruner.

A database that does not answer makes no point fail: what could not be reported does not count in the pruner.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, assert_never

from switchbench.errors import without_passwords
from switchbench.spec.search import SearchConfig
from switchbench.trial.control import Watch
from switchbench.trial.outcomes import Pruned
from switchbench.tuning.storage import StudyStorage, reason_of


@dataclass(frozen=True)
class PointPruner:
    """What a worker needs to report on a point to Optuna's pruner. Holds only plain values."""

    storage: StudyStorage
    study: str
    """Name of the study."""
    number: int
    """Number of the point in the study."""
    config: SearchConfig
    epochs: int
    """Epochs of one round of a trial."""
    rounds: int
    """Rounds of a trial."""
    densities: tuple[float, float]
    """Lowest and highest density of the networks that are compared."""

    def watchers(self) -> Callable[[int], Watch]:
        """Open the study and return its callbacks. Called in the worker.

        Returns:
            A function seed index -> callback. The callback reports the objective of each epoch to Optuna's
            pruner, once the network has the density that is searched at, for a denser one is no rival. It
            raises Pruned when the trial should stop. The epochs of a point are numbered on from round to
            round and from seed to seed. If the study cannot be opened, it does nothing.
        """
        try:
            trial = self._open()
        except Exception as error:  # each database driver has its own exceptions
            _log("the pruner will not see the point", error)
            return lambda seed_index: lambda metrics: None
        return lambda seed_index: partial(self._report, trial, seed_index)

    def _open(self) -> Any:
        """Open the study. Return Optuna's handle of the point."""
        import optuna  # slow to import, and only needed by a search that prunes

        study = optuna.load_study(
            study_name=self.study,
            storage=self.storage.open(),
            sampler=optuna.samplers.RandomSampler(),
            pruner=_pruner(self.config, self.epochs * self.rounds * len(self.config.seeds)),
        )
        (frozen,) = [trial for trial in study.get_trials(deepcopy=False) if trial.number == self.number]
        return optuna.Trial(study, frozen._trial_id)

    def _report(self, trial: Any, seed_index: int, metrics: dict[str, float]) -> None:
        """Report one epoch of a trial. Raises Pruned."""
        lowest, highest = self.densities
        if not lowest <= metrics["density"] <= highest:
            return
        epoch = self.epochs * (seed_index * self.rounds + metrics["round"]) + metrics["epoch"]
        try:
            trial.report(metrics[self.config.objectives[0]], int(epoch))
            stop = trial.should_prune()
        except Exception as error:
            _log(f"epoch {epoch:g} was not reported to the pruner", error)
            return
        if stop:
            raise Pruned(int(metrics["step"]))


def _log(what: str, error: Exception) -> None:
    """Warn in the worker, and in the log of the trial that it runs."""
    logging.getLogger(__name__).warning("%s: %s", what, without_passwords(reason_of(error)))


def _pruner(config: SearchConfig, epochs: int) -> Any:
    """Build Optuna's pruner. ``epochs``: of all seeds of a point together."""
    import optuna

    pruners = optuna.pruners
    if config.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 5)
    if config.pruner == "asha":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    if config.pruner == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    assert config.pruner != "none"
    assert_never(config.pruner)
