"""What a point of a search varies, and its values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self

TRAINING: Final = "training"
DENSITY: Final = "density"


@dataclass(frozen=True)
class Variable:
    """One thing that a search varies: a method's option, a setting of its training, or the target density.

    Specs, Optuna and stored points call it by its name: ``strength``, ``training.lr``, ``density``. This is
    the only code that makes such a name or takes it apart.
    """

    part: Literal["option", "training", "density"]
    key: str

    @classmethod
    def named(cls, name: str) -> Self:
        """The variable of a name.

        >>> Variable.named("training.lr")
        Variable(part='training', key='lr')
        >>> str(Variable.named("strength"))
        'strength'
        """
        part, dot, key = name.partition(".")
        if dot and part == TRAINING:
            return cls(TRAINING, key)
        return cls(DENSITY, name) if name == DENSITY else cls("option", name)

    def __str__(self) -> str:
        return f"{TRAINING}.{self.key}" if self.part == TRAINING else self.key


THE_DENSITY = Variable(DENSITY, DENSITY)


@dataclass(frozen=True)
class Values:
    """The values of a point: those of each variable that has an effect beside the others."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """The method's."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the training."""
    density: float | None = None
    """The target density; None where it is not searched, or the method takes none."""

    @classmethod
    def named(cls, params: Mapping[str, Any]) -> Self:
        """Values by the names of their variables, as Optuna and stored points have them.

        >>> Values.named({"strength": 0.1, "training.lr": 0.01}).training
        {'lr': 0.01}
        """
        values = cls()
        for name, value in params.items():
            values = values.plus(Variable.named(name), value)
        return values

    def plus(self, variable: Variable, value: Any) -> Self:
        """The same with one more value."""
        if variable.part == DENSITY:
            return replace(self, density=value)
        if variable.part == TRAINING:
            return replace(self, training={**self.training, variable.key: value})
        return replace(self, options={**self.options, variable.key: value})

    def __iter__(self) -> Iterator[tuple[Variable, Any]]:
        yield from ((Variable("option", key), value) for key, value in self.options.items())
        yield from ((Variable(TRAINING, key), value) for key, value in self.training.items())
        if self.density is not None:
            yield THE_DENSITY, self.density

    def params(self) -> dict[str, Any]:
        """Undo :meth:`named`."""
        return {str(variable): value for variable, value in self}
