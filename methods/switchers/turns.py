"""How the task network and the reader take turns, and when gates become constants."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from switchbench.methods.contract import OTHERS, WEIGHTS, Progress
from switchbench.methods.parts.state import Constant

READER = "reader"
READER_NORMS = "reader-norms"


class Turns(Protocol):
    """The order of turns, from the switcher's options ``begin``, ``end`` and ``keep_learning``."""

    def learning(self, progress: Progress) -> Collection[str]:
        """Return the groups that learn in this step."""

    def reader_learns(self, progress: Progress) -> bool:
        """Tell whether the reader makes the gates of this step, through which gradients flow to it."""

    def fix_gates(self, progress: Progress) -> float | None:
        """Say whether gates are chosen anew after this step, as constants without noise or gradient.

        Returns:
            The training fraction at which the density schedule is read for them, or None.
        """


@dataclass(frozen=True)
class Steps(Constant):
    """The reader learns in one step of ``every``; in the others gates are constants.

    It learns through the gates while weights are frozen. Where it looks ahead, weights learn as well.
    """

    config: Any
    norms: tuple[str, ...]
    """The group of the reader's batch norms, if it has any."""
    target: bool
    """Whether density falls on a schedule."""

    @property
    def noisy(self) -> bool:
        """Whether differentiable gates differ from constant ones."""
        return bool(self.norms) or self.config.gate == "hard_concrete"

    def learning(self, progress: Progress) -> Collection[str]:
        if not self.reader_learns(progress):
            return {WEIGHTS, OTHERS}
        reader = {READER, *self.norms}
        return reader | {WEIGHTS, OTHERS} if self.config.objective == "look-ahead" else reader

    def reader_learns(self, progress: Progress) -> bool:
        return in_turns(self.config, progress) and progress.every(self.config.every)

    def fix_gates(self, progress: Progress) -> float | None:
        due = self.target and progress.due(self.config.window)
        return progress.fraction if due or (self.noisy and self.reader_learns(progress)) else None


@dataclass(frozen=True)
class Epochs(Constant):
    """Epochs 0, 2, … are the weights', 1, 3, … the reader's; the reader makes the gates of every
    step, and batch norms and ungated parameters learn throughout (the paper's)."""

    config: Any
    norms: tuple[str, ...]

    def learning(self, progress: Progress) -> Collection[str]:
        if not self.reader_learns(progress):
            return {WEIGHTS, OTHERS}
        return {OTHERS, *self.norms, WEIGHTS if progress.epoch % 2 == 0 else READER}

    def reader_learns(self, progress: Progress) -> bool:
        return in_turns(self.config, progress)

    def fix_gates(self, progress: Progress) -> float | None:
        over = (progress.step + 1) / progress.steps > reader_end(self.config)
        now = progress.fraction <= reader_end(self.config) or progress.step == 1
        return 1.0 if over and now else None


def reader_end(config: Any) -> float:
    """Return the share of training after which gates are constants to the end."""
    return float(config.end + config.learn * config.keep_learning * (1 - config.end))


def in_turns(config: Any, progress: Progress) -> bool:
    """Tell whether the networks take turns at all in this step."""
    return bool(config.learn and config.begin < progress.fraction <= reader_end(config))


def over(config: Any, progress: Progress) -> bool:
    """Tell whether gates have been constants since before this step, and are to the end."""
    return progress.past(reader_end(config))
