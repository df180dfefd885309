"""One measured quantity: what every topic yields."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """A row of a table: repeated measurements of one quantity."""

    name: str
    """What is measured, for the table."""
    values: list[float]
    """The repeated measurements. A ratio compares two things that ran one after the other."""
    unit: str = "×"
    """``×`` for ratios; seconds, milliseconds, megabytes and the like by their symbols."""
    limit: str = ""
    """What the project aims at, such as ``≤ 1.08``; empty: nothing."""

    @property
    def median(self) -> float:
        """The middle value, which a short load from other processes does not move."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median is within the limit; None without a limit.

        >>> Measurement("dense", [1.01, 1.02, 1.5], limit="≤ 1.03").met
        True
        """
        if not self.limit:
            return None
        sign, number = self.limit.split()
        return self.median <= float(number) if sign == "≤" else self.median >= float(number)
