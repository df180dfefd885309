"""Strengths at which methods that learn their density land at target densities, found by calibration runs.

Density falls with strength, over orders of magnitude nearly as a power. So each method on each task is
trained with a guess for each target; the next guess is interpolated between the logarithms of what is known,
and so on. The stored rows alone decide what comes next: a run that continues makes the same guesses.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from switchbench.row import Row, Status
from switchbench.spec.comparison import Spec
from switchbench.spec.search import FIRST_SEED
from switchbench.spec.strength import DEAD, Strength, distance, is_near
from switchbench.spec.trial import TrialConfig
from switchbench.store.ledger import Ledger

MOST = 10
"""Largest number of calibration runs for one target."""
LEAP = 8.0
"""Factor from the strengths that are known to one beyond them."""
EDGE = 0.1
"""How near a guess may be to a strength that is known, as a share of the way to the other one."""
IDLE = 1e-3
"""A smaller change of the density's logarithm is none."""


@dataclass(frozen=True)
class Calibration:
    """What is known of the strengths of a comparison."""

    todo: list[TrialConfig] = field(default_factory=list)
    """The calibration runs that come next; empty if nothing is left to find."""
    strengths: list[Strength] = field(default_factory=list)
    """What is settled: strengths that meet their targets, and targets that were not reached."""
    trials: list[TrialConfig] = field(default_factory=list)
    """All calibration runs so far, and those that come next."""
    left: int = 0
    """Number of targets that are not settled."""
    most: list[TrialConfig] = field(default_factory=list)
    """As many calibration runs as may be left, with strengths that are known."""
    finals: list[TrialConfig] = field(default_factory=list)
    """As many trials as follow if all strengths are found that are not known yet."""

    @classmethod
    def of(
        cls, spec: Spec, ledger: Ledger, retry_failed: bool = False, found_before: Sequence[Strength] = ()
    ) -> "Calibration":
        """Find out what the stored rows of calibration runs say.

        Args:
            spec: The comparison.
            ledger: The ledger of its calibration runs.
            retry_failed: Whether trainings that failed count as not run.
            found_before: Strengths with which the folder's trials were planned. One stays if its training is
                stored and meets the target, so that other targets, which come later, change no trial.
        """
        seed = next(number for number in count(FIRST_SEED) if number not in spec.seeds)
        given = {strength.place for strength in spec.strengths}
        before = {strength.place: strength for strength in found_before if strength.strength is not None}
        todo: list[TrialConfig] = []
        strengths, trials = [*spec.strengths], []
        left = 0
        most: list[TrialConfig] = []
        finals: list[TrialConfig] = []
        for trial in spec.learners():
            places = [(*trial.place, target) for target in spec.densities]
            kept = [before[place] for place in places if place in before and place not in given]
            kept = [strength for strength in kept if _is_met(trial.at(None, seed), strength, ledger)]
            strengths += kept
            settled = given.union(strength.place for strength in kept)
            targets = [place[-1] for place in places if place not in settled]
            learner = Learner(trial.at(None, seed), targets)
            missing = learner.replay(ledger, retry_failed)
            todo += missing
            trials += learner.trained + missing
            found = [strength for target in targets if (strength := learner.outcome(target))]
            strengths += found
            left += len(targets) - len(found)
            most += missing[:1] * sum(learner.may_take(target) for target in targets)
            still = range(len(targets) - len(found))
            finals += [one.at(None, seed) for one in missing[:1] for seed in spec.seeds for _ in still]
        return cls(todo, strengths, trials, left, most, finals)


def _is_met(trial: TrialConfig, found: Strength, ledger: Ledger) -> bool:
    """Return whether a stored calibration run with a strength ended at the density that it was found for."""
    row = ledger.row(trial.aimed(found).trial_id)
    return row is not None and is_near(row.density or 0.0, found.density)


@dataclass
class Learner:
    """A method that learns its density, on one task."""

    trial: TrialConfig
    targets: Sequence[float]
    densities: dict[float, float] = field(default_factory=dict)
    """Density by strength: what is known; 0 where a training diverged or failed."""
    trained: list[TrialConfig] = field(default_factory=list)
    spent: dict[float, int] = field(default_factory=dict)
    """Trial trainings by target."""
    ended_by: Status | None = None
    """What made further trainings useless: one was skipped, or has failed."""

    def replay(self, ledger: Ledger, retry_failed: bool) -> list[TrialConfig]:
        """Go through the rounds of calibration runs as far as they are stored.

        Returns:
            The calibration runs that the first incomplete round lacks; empty if all rounds are complete.
        """
        while guesses := self._guesses():
            trials = {
                strength: self.trial.aimed(self._strength(target, strength))
                for strength, target in guesses.items()
            }
            rows = {strength: ledger.row(trial.trial_id) for strength, trial in trials.items()}
            known = {
                strength: row
                for strength, row in rows.items()
                if row and not (retry_failed and row.status == Status.FAILED)
            }
            if missing := [trial for strength, trial in trials.items() if strength not in known]:
                return missing
            for strength, target in guesses.items():
                self._learn(trials[strength], target, known[strength])
        return []

    def _learn(self, trial: TrialConfig, target: float, row: Row) -> None:
        assert trial.aim
        assert trial.aim.strength
        self.trained.append(trial)
        self.spent[target] = self.spent.get(target, 0) + 1
        self.densities[trial.aim.strength] = row.density or 0.0
        if row.status in (Status.FAILED, Status.SKIPPED):
            self.ended_by = row.status

    def outcome(self, target: float) -> Strength | None:
        """Return what is known of a target; None if more trainings are needed."""
        matched = self._matched(target)
        if self.ended_by == Status.SKIPPED and target == self.targets[0]:
            [matched] = self.densities  # one trial, whose row says why
        if matched is None and self._goes_on(target):
            return None
        return self._strength(target, matched)

    def may_take(self, target: float) -> int:
        """Return how many calibration runs a target may take yet."""
        return 0 if self.outcome(target) else MOST - self.spent.get(target, 0)

    def _goes_on(self, target: float) -> bool:
        """Return whether another training may help."""
        if self.ended_by or self.spent.get(target, 0) >= MOST:
            return False
        return not self.densities or guess(self.densities, target) is not None

    def _guesses(self) -> dict[float, float]:
        """Return the next strength for each target that is not settled: target by strength."""
        start = self.trial.method.strength() or 1.0
        if not self.densities:
            return {start: self.targets[0]} if self.targets else {}
        open_targets = [target for target in self.targets if self.outcome(target) is None]
        guesses = {guess(self.densities, target): target for target in open_targets}
        return {strength: target for strength, target in guesses.items() if strength is not None}

    def _matched(self, target: float) -> float | None:
        """Return the strength whose density is nearest to a target, if it is near enough."""
        off = {strength: abs(distance(density, target)) for strength, density in self.densities.items()}
        best = min(off, key=lambda strength: off[strength], default=None)
        return best if best is not None and is_near(self.densities[best], target) else None

    def _strength(self, target: float, value: float | None) -> Strength:
        network, dataset, scope, method = self.trial.place
        return Strength(
            network=network,
            dataset=dataset,
            scope=scope,
            method=method,
            density=target,
            strength=value,
            trainings=self.spent.get(target, 0),
        )


def guess(densities: Mapping[float, float], target: float) -> float | None:
    """Return the next strength to try.

    Args:
        densities: Density by strength, at least one.
        target: The density that is wanted.

    Returns:
        The strength; None if the last step to a stronger or weaker one has changed nothing.

    >>> guess({1.0: 0.1}, 0.01)  # too dense: stronger
    8.0
    >>> guess({1.0: 0.1, 100.0: 0.001}, 0.01)  # on the line between the two logarithms
    10.0
    >>> guess({1.0: 0.1, 8.0: 0.1}, 0.01)
    """
    dense = max((strength for strength, density in densities.items() if density > target), default=None)
    sparse = min(
        (s for s, density in densities.items() if density <= target and (dense is None or s > dense)),
        default=None,
    )
    if dense is None or sparse is None:
        leap = LEAP if sparse is None else 1 / LEAP
        last, *before = sorted(densities, reverse=sparse is None)
        alive = densities[last] > DEAD  # a dead network says nothing of weaker ones
        idle = before and alive and abs(distance(densities[last], densities[before[0]])) < IDLE
        return None if idle else last * leap
    above, below = (distance(densities[strength], target) for strength in (dense, sparse))
    share = above / (above - below) if densities[sparse] > DEAD else 0.5
    return dense * math.pow(sparse / dense, min(max(share, EDGE), 1 - EDGE))
