"""The strength with which a method that learns its density lands at a target."""

import math

from pydantic import BaseModel, ConfigDict, Field

from switchbench.row import MATCHED
from switchbench.spec.types import Density

Place = tuple[str, str, str, str]
"""Labels of network, data set, scope and method."""
DEAD = 1e-6
"""A density that is not larger is that of a dead network."""
WITHIN = MATCHED / 2
"""How far the density of a calibration run may be from the target, as a share of the target: other seeds
differ from it."""


class Strength(BaseModel):
    """What calibration runs found for one method on one task, at one target density."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    network: str = Field(description="label of the network")
    dataset: str = Field(description="label of the data set")
    scope: str = Field(description="scope")
    method: str = Field(description="label of the method")
    density: Density = Field(description="target density")
    strength: float | None = Field(gt=0, description="value of the option strength; none: target not reached")
    trainings: int = Field(0, ge=0, description="number of calibration runs that it took")

    @property
    def place(self) -> tuple[str, str, str, str, float]:
        """The labels and the density."""
        return (self.network, self.dataset, self.scope, self.method, self.density)

    def __str__(self) -> str:
        return f"{self.method} on {self.network}, {self.dataset}, {self.scope} at {self.density:g}"


def is_near(density: float, target: float) -> bool:
    """Return whether a calibration run with this density meets a target.

    >>> is_near(0.0955, 0.1), is_near(0.09, 0.1)
    (True, False)
    """
    return abs(distance(density, target)) <= math.log1p(WITHIN)


def distance(density: float, target: float) -> float:
    """Return log(density / target). Strengths act on this scale. Dead networks have :data:`DEAD`.

    >>> round(distance(0.02, 0.01), 3), round(distance(0.0, 0.01), 1)
    (0.693, -9.2)
    """
    return math.log(max(density, DEAD) / target)
