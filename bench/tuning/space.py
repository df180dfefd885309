"""What a search may vary of one method: the ranges that its options declare, narrowed, widened or added to
by a spec, and what values of them make of the method and its training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from switchbench.errors import InputError, explain, unknown
from switchbench.methods import Options
from switchbench.methods.options import declared, in_words, unmet
from switchbench.spec.components import MethodChoice
from switchbench.spec.ranges import Choice, Dimension, Range
from switchbench.spec.training import BUDGET, TrainingConfig
from switchbench.tuning.values import DENSITY, THE_DENSITY, TRAINING, Values, Variable

SEARCHED_TRAINING = set(TrainingConfig.model_fields) - BUDGET
"""Settings of a training that a search may vary."""


@dataclass(frozen=True)
class Space:
    """The dimensions of one method's search."""

    method: MethodChoice
    """The method with the options that are fixed."""
    training: TrainingConfig
    density: float | None
    """The target density for methods that take one; None where it is searched."""
    dimensions: dict[Variable, Dimension]
    """Each after those that decide whether it has an effect."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to search."""
        return not [*self.draw(lambda variable, dimension: dimension.ends[0])]

    def draw(self, suggest: Callable[[Variable, Dimension], Any]) -> Values:
        """Draw a value of every dimension that has an effect beside the values drawn before it."""
        values = Values()
        for variable, dimension in self.dimensions.items():
            if not _lacks_effect(self.method, variable, values):
                values = values.plus(variable, suggest(variable, dimension))
        return values

    def is_complete(self, values: Values) -> bool:
        """Whether these are values of every dimension that has an effect beside them."""
        given = dict(values)
        drawn = self.draw(lambda variable, dimension: given.get(variable, dimension.ends[0]))
        return given.keys() == dict(drawn).keys()

    def inside(self, values: Values) -> Values:
        """Those of the values that are in the search space."""
        kept = Values()
        for variable, value in values:
            if variable in self.dimensions and value in self.dimensions[variable]:
                kept = kept.plus(variable, value)
        return kept

    def choice(self, values: Values, label: str) -> MethodChoice:
        """The method with these values, as the entry of a comparison.

        Args:
            values: Of the space.
            label: The entry's label.

        Raises:
            InputError: The values do not go together.
        """
        entry = {**self.method.model_dump(mode="json"), **values.options, "label": label}
        if values.training or self.method.training:
            entry["training"] = {**(self.method.training or {}), **values.training}
        entry["densities"] = self.method.densities if values.density is None else [values.density]
        return _validated(entry, self.training)

    def defaults(self) -> Values:
        """The values that the method and the training have without a search, if the search space contains
        them. A density that is searched has no default: it is the highest."""
        own = self.method.trained(self.training).model_dump(mode="json")
        values = Values()
        for variable, dimension in self.dimensions.items():
            options = own if variable.part == TRAINING else self.method.options
            value = dimension.ends[-1] if variable == THE_DENSITY else options.get(variable.key)
            if value in dimension and not _lacks_effect(self.method, variable, values):
                values = values.plus(variable, value)
        return values


def make_space(
    method: MethodChoice,
    training: TrainingConfig,
    density: "float | Range | None",
    changes: Mapping[str, Any],
) -> Space:
    """Make the space of a method.

    Args:
        method: With the options that it has without a search.
        training: While searching.
        density: The target, or a range of targets to search.
        changes: What the spec says of single variables, by their names: a mapping with ``low`` and ``high``,
            a list of choices, or a fixed value.

    Raises:
        InputError: A change cannot be used; the message names it.
    """
    config: type[Options] = method.registered.Config
    for name in changes:
        _check_name(config, method, name)
    asked = {Variable.named(name): given for name, given in changes.items()}
    fixed, dimensions = _split(config, asked)
    method = _fix(method, fixed, training)
    dimensions = _ordered(config, dimensions)
    for variable in [*dimensions]:
        options = {other.key for other in dimensions if other.part == "option"}
        needs = {other: values for other, values in _needs(config, variable).items() if other not in options}
        lacking = {other: values for other, values in needs.items() if method.options[other] not in values}
        if lacking and variable in asked:
            raise InputError(f"{variable}: has no effect: it needs {in_words(lacking)}")
        if lacking:
            del dimensions[variable]
    for variable, dimension in dimensions.items():
        _check_ends(config, variable, dimension)
    if isinstance(density, Range):
        return Space(method, training, None, dimensions | {THE_DENSITY: density})
    return Space(method, training, density, dimensions)


def _validated(entry: dict[str, Any], training: TrainingConfig) -> MethodChoice:
    try:
        choice = MethodChoice.model_validate(entry)
        choice.trained(training)
    except ValidationError as error:
        raise InputError(explain(error, MethodChoice)) from error
    return choice


def _fix(method: MethodChoice, fixed: Values, training: TrainingConfig) -> MethodChoice:
    """The method with fixed options and settings of its training. Raises InputError."""
    entry = {**method.model_dump(mode="json"), **fixed.options}
    if fixed.training:
        entry["training"] = {**(method.training or {}), **fixed.training}
    return _validated(entry, training)


def _split(
    config: type[Options], changes: Mapping[Variable, Any]
) -> tuple[Values, dict[Variable, Dimension]]:
    """What changes fix, and the dimensions that are left."""
    found: dict[Variable, Dimension] = {}
    for name, field in config.model_fields.items():
        declaration = declared(config, name)
        if "search" in declaration:
            low, high = declaration["search"]
            whole = field.annotation is int
            found[Variable("option", name)] = Range(low=low, high=high, log=declaration["log"], whole=whole)
    fixed = Values()
    for variable, given in changes.items():
        if isinstance(given, Mapping):
            whole = _field(config, variable).annotation is int
            try:
                found[variable] = Range.model_validate({"whole": whole} | dict(given))
            except ValidationError as error:
                raise InputError(f"{variable}: {explain(error, Range)}") from error
        elif isinstance(given, list | tuple):
            found[variable] = _choice(variable, given)
        else:
            found.pop(variable, None)
            fixed = fixed.plus(variable, given)
    return fixed, found


def _choice(variable: Variable, given: "list[Any] | tuple[Any, ...]") -> Choice:
    if not all(isinstance(value, str | int | float | bool | None) for value in given):
        raise InputError(f"{variable}: {[*given]} should be choices that are words, numbers or booleans")
    values = tuple(dict.fromkeys(given))
    if len(values) < 2:
        raise InputError(f"{variable}: {[*given]} should be two choices or more, or one value")
    return Choice(values)


def _field(config: type[Options], variable: Variable) -> FieldInfo:
    fields = TrainingConfig.model_fields if variable.part == TRAINING else config.model_fields
    return fields[variable.key]


def _check_name(config: type[Options], method: MethodChoice, name: str) -> None:
    variable = Variable.named(name)
    if variable.part == TRAINING and variable.key in BUDGET:
        raise InputError(f"{name}: is the same for every point, so that budgets are equal")
    if variable.part == TRAINING and variable.key not in SEARCHED_TRAINING:
        raise InputError(unknown("setting of the training", variable.key, SEARCHED_TRAINING))
    if variable.part != TRAINING and (name not in config.model_fields or variable.part == DENSITY):
        raise InputError(f"method {method.name!r}: {unknown('hyperparameter', name, config.model_fields)}")


def _ordered(config: type[Options], found: dict[Variable, Dimension]) -> dict[Variable, Dimension]:
    """The dimensions, each after those that it needs."""
    ordered: dict[Variable, Dimension] = {}
    left = dict(found)
    while left:
        ready = [
            variable
            for variable in left
            if not _needs(config, variable).keys()
            & {other.key for other in left if other != variable and other.part == "option"}
        ]
        for variable in ready or [*left]:
            ordered[variable] = left.pop(variable)
    return ordered


def _needs(config: type[Options], variable: Variable) -> dict[str, list[Any]]:
    """Values of other options that an option needs to have an effect."""
    needs: dict[str, list[Any]] = (
        declared(config, variable.key).get("needs", {}) if variable.part == "option" else {}
    )
    return needs


def _lacks_effect(method: MethodChoice, variable: Variable, values: Values) -> bool:
    """Whether a variable has no effect beside the values of others."""
    if variable.part == TRAINING:
        return False
    config: type[Options] = method.registered.Config
    options = config.model_construct(**{**method.options, **values.options})
    if variable == THE_DENSITY:
        try:
            return not method.registered.takes_target(options)
        except ValueError:  # values that do not go together, which :meth:`Space.choice` refuses with a reason
            return False
    return bool(unmet(options, variable.key))


def _check_ends(config: type[Options], variable: Variable, dimension: Dimension) -> None:
    """Raise InputError where an option or a setting refuses an end of a range, or a choice."""
    field = _field(config, variable)
    accepted: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]
    for value in dimension.ends:
        try:
            accepted.validate_python(value)
        except ValidationError as error:
            said = error.errors()[0]["msg"].removeprefix("Input ")
            raise InputError(f"{variable}: {value!r} {said}") from error
