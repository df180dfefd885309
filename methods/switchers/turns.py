"""How the task network and the reader take turns, and when gates come to stand."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from switchbench.methods.contract import OTHERS, WEIGHTS, Progress
from switchbench.methods.parts import schedules

READER = "reader"
READER_NORMS = "reader-norms"


class Turns(Protocol):
    """The order of turns, from the switcher's options ``begin``, ``end`` and ``linger``."""

    def learning(self, progress: Progress) -> Collection[str]:
        """The groups that learn in this step."""

    def asks(self, progress: Progress) -> bool:
        """Whether the reader makes the gates of this step, through which gradients flow to it."""

    def settles(self, progress: Progress) -> float | None:
        """Where the density schedule stands if gates are chosen anew after this step, without noise
        or gradient, to stand for some time; None if they are not."""


@dataclass(frozen=True)
class Steps:
    """One step in ``every`` is the reader's, with the weights frozen; gates stand in between."""

    config: Any
    norms: tuple[str, ...]
    """The group of the reader's batch norms, if it has any."""
    target: bool
    """Whether density falls on a schedule."""

    @property
    def noisy(self) -> bool:
        """Whether gates that gradients flow through differ from those that stand."""
        return bool(self.norms) or self.config.gate == "hard_concrete"

    def learning(self, progress: Progress) -> Collection[str]:
        return {READER, *self.norms} if self.asks(progress) else {WEIGHTS, OTHERS}

    def asks(self, progress: Progress) -> bool:
        return within(self.config, progress) and progress.step % self.config.every == 0

    def settles(self, progress: Progress) -> float | None:
        c = self.config
        due = self.target and schedules.due(progress.step, progress.steps, c.begin, c.end, c.updates)
        return progress.fraction if due or (self.noisy and self.asks(progress)) else None


@dataclass(frozen=True)
class Epochs:
    """Epochs 0, 2, … are the weights', 1, 3, … the reader's; the reader makes the gates of every
    step, and batch norms and ungated parameters learn throughout (the paper's)."""

    config: Any
    norms: tuple[str, ...]

    def learning(self, progress: Progress) -> Collection[str]:
        if not self.asks(progress):
            return {WEIGHTS, OTHERS}
        return {OTHERS, *self.norms, WEIGHTS if progress.epoch % 2 == 0 else READER}

    def asks(self, progress: Progress) -> bool:
        return within(self.config, progress)

    def settles(self, progress: Progress) -> float | None:
        over = (progress.step + 1) / progress.steps > last(self.config)
        now = progress.fraction <= last(self.config) or progress.step == 1
        return 1.0 if over and now else None


def last(config: Any) -> float:
    """Share of training after which gates stand to the end."""
    return float(config.end + config.linger * (1 - config.end))


def within(config: Any, progress: Progress) -> bool:
    """Whether the networks take turns at all in this step."""
    return bool(config.begin < progress.fraction <= last(config))
