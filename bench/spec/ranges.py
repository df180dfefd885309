"""Dimensions of a search: a range of numbers, or a list of choices."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from switchbench.spec.types import Density


class Range(BaseModel):
    """Numbers from ``low`` to ``high``, both included.

    >>> log = Range(low=0.001, high=1, log=True)
    >>> str(log), 0.5 in log, Range(low=1, high=8, whole=True).ends
    ('0.001 to 1, log', True, [1, 8])
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    low: float
    high: float
    log: bool = False
    """Whether values are drawn on a logarithmic scale."""
    whole: bool = False
    """Whether only whole numbers are drawn."""

    @model_validator(mode="after")
    def _check_bounds(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} should be less than high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} should be greater than 0 on a logarithmic scale")
        if self.whole and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"{self.low:g} and {self.high:g} should be whole numbers")
        return self

    @property
    def ends(self) -> list[Any]:
        """The lowest and the highest value; integers in a range of whole numbers."""
        return [int(self.low), int(self.high)] if self.whole else [self.low, self.high]

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', log' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """A list of values, of which a search takes one."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> list[Any]:
        """All values, since they have no order."""
        return [*self.values]

    def __contains__(self, value: Any) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return " | ".join(map(str, self.values))


class DensityRange(Range):
    """A range of target densities."""

    low: Density
    high: Density


Dimension = Range | Choice
