"""Options of a pruning window, declared once for all methods that prune within one."""

from typing import Any, Self

from pydantic import model_validator

from switchbench.methods.options import Options, option
from switchbench.methods.parts.pruning_schedules import Window

BEGIN, END, POWER = 0.02, 0.75, 5.0
"""Magnitude pruning's best window under SGD with momentum (docs/results/science-recipe-sgd), rounded. On
fresh seeds few methods gained by another one (docs/results/science-tuning)."""


def begin(default: float = BEGIN, **about: Any) -> Any:
    """Declare the option ``begin``; ``about`` goes to :func:`option`."""
    return option(default, "share of training before pruning begins", search=(0.0, 0.3), ge=0, lt=1, **about)


def end(default: float = END, **about: Any) -> Any:
    """Declare the option ``end``; ``about`` goes to :func:`option`."""
    return option(
        default, "share of training at which the target is met", search=(0.4, 0.9), gt=0, le=1, **about
    )


def updates(default: int, **about: Any) -> Any:
    """Declare the option ``updates``; ``about`` goes to :func:`option`."""
    return option(default, "number of pruning events between begin and end", ge=1, **about)


CUBIC = 3.0
"""Power of the cubic schedule (Zhu & Gupta 2017), which trials from before the option had."""


def power(default: float = POWER, **about: Any) -> Any:
    """Declare the option ``power``; ``about`` goes to :func:`option`."""
    return option(
        default,
        "exponent of the schedule by which density falls: 3 is the cubic one, higher ones fall faster "
        "at first",
        search=(1.0, 8.0),
        inert=CUBIC,
        gt=0,
        **about,
    )


class WindowOptions(Options):
    """Base of options with a pruning window, which must be in order."""

    @property
    def window(self) -> Window:
        """The window that the options describe. Raises ValueError if it ends before it begins."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _ = self.window
        return self
