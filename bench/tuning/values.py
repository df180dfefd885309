"""Variables of a search, and the values of a point."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self

TRAINING: Final = "training"
DENSITY: Final = "density"


@dataclass(frozen=True)
class Variable:
    """One variable of a search: an option of the method, a setting of its training, or the target density.

    Specs, Optuna and stored points use its name: ``strength``, ``training.lr``, ``density``. Only this class
    makes and parses names.
    """

    part: Literal["option", "training", "density"]
    key: str

    @classmethod
    def from_name(cls, name: str) -> Self:
        """Parse the name of a variable.

        Example:
            >>> Variable.from_name("training.lr")
            Variable(part='training', key='lr')
            >>> str(Variable.from_name("strength"))
            'strength'
        """
        part, dot, key = name.partition(".")
        if dot and part == TRAINING:
            return cls(TRAINING, key)
        return cls(DENSITY, name) if name == DENSITY else cls("option", name)

    def __str__(self) -> str:
        return f"{TRAINING}.{self.key}" if self.part == TRAINING else self.key


TARGET_DENSITY = Variable(DENSITY, DENSITY)
"""The only variable of the part ``density``."""


@dataclass(frozen=True)
class Values:
    """The values of a point. A variable without an effect, given the other values, has none."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the method, by name."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the training, by name."""
    density: float | None = None
    """The target density; None if it is not searched or the method takes none."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Make values from a mapping by the variables' names, as Optuna and stored points hold them.

        Example:
            >>> Values.from_params({"strength": 0.1, "training.lr": 0.01}).training
            {'lr': 0.01}
        """
        values = cls()
        for name, value in params.items():
            values = values.plus(Variable.from_name(name), value)
        return values

    def plus(self, variable: Variable, value: Any) -> Self:
        """Return a copy with one more value."""
        if variable.part == DENSITY:
            return replace(self, density=value)
        if variable.part == TRAINING:
            return replace(self, training={**self.training, variable.key: value})
        return replace(self, options={**self.options, variable.key: value})

    def __iter__(self) -> Iterator[tuple[Variable, Any]]:
        yield from ((Variable("option", key), value) for key, value in self.options.items())
        yield from ((Variable(TRAINING, key), value) for key, value in self.training.items())
        if self.density is not None:
            yield TARGET_DENSITY, self.density

    def params(self) -> dict[str, Any]:
        """Return the values by the names of their variables, the inverse of :meth:`from_params`."""
        return {str(variable): value for variable, value in self}
