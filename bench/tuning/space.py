"""The search space of one method.

The options of a method declare ranges. A spec may change them or add others. Values of the space give a
method with other options and training settings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from switchbench.errors import InputError, explain, plain, unknown
from switchbench.methods import Options
from switchbench.methods.options import declared, in_words, unmet
from switchbench.spec.components import MethodChoice
from switchbench.spec.ranges import Choice, Dimension, Range
from switchbench.spec.training import BUDGET_KEYS, TrainingConfig
from switchbench.tuning.values import DENSITY, TARGET_DENSITY, TRAINING, Values, Variable

SEARCHED_TRAINING = set(TrainingConfig.model_fields) - BUDGET_KEYS
"""Training settings that a search may vary."""


@dataclass(frozen=True)
class Space:
    """The search space of one method."""

    method: MethodChoice
    """The method with its fixed options."""
    training: TrainingConfig
    """The training of the search, before the method's own settings."""
    density: float | None
    """The target density for methods that take one; None if it is searched."""
    dimensions: dict[Variable, Dimension]
    """Range or choices of each variable. A variable comes after those that it needs to have an effect."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to search."""
        return not [*self.draw(lambda variable, dimension: dimension.ends[0])]

    def draw(self, suggest: Callable[[Variable, Dimension], Any]) -> Values:
        """Draw a value of every variable that has an effect, given the values drawn before it.

        Args:
            suggest: Returns a value of a variable from its range or choices.
        """
        values = Values()
        for variable, dimension in self.dimensions.items():
            if not _lacks_effect(self.method, variable, values):
                values = values.plus(variable, suggest(variable, dimension))
        return values

    def is_complete(self, values: Values) -> bool:
        """Return whether exactly those variables have a value that have an effect, given the other values."""
        given = dict(values)
        drawn = self.draw(lambda variable, dimension: given.get(variable, dimension.ends[0]))
        return given.keys() == dict(drawn).keys()

    def restrict(self, values: Values) -> Values:
        """Return only the values that lie in the search space."""
        kept = Values()
        for variable, value in values:
            if variable in self.dimensions and value in self.dimensions[variable]:
                kept = kept.plus(variable, value)
        return kept

    def choice(self, values: Values, label: str) -> MethodChoice:
        """Return the method with these values, as an entry of a comparison.

        Args:
            values: Values from the space.
            label: Label of the entry.

        Raises:
            InputError: The values cannot be combined.
        """
        entry = {**self.method.model_dump(mode="json"), **values.options, "label": label}
        if values.training or self.method.training:
            entry["training"] = {**(self.method.training or {}), **values.training}
        entry["densities"] = self.method.densities if values.density is None else [values.density]
        return _validated(entry, self.training)

    def outside(self) -> dict[Variable, Any]:
        """Return the defaults of method and training that the space leaves out, where they have an effect."""
        return {
            variable: value
            for variable, value in self._without_search().items()
            if value not in self.dimensions[variable]
            and variable != TARGET_DENSITY
            and not _lacks_effect(self.method, variable, Values())
        }

    def defaults(self) -> Values:
        """Return the values that method and training have without a search, if the space contains them.

        A target density that is searched has no default. It gets the highest value of its range.
        """
        known, values = self._without_search(), Values()
        for variable, dimension in self.dimensions.items():
            value = dimension.ends[-1] if variable == TARGET_DENSITY else known[variable]
            if value in dimension and not _lacks_effect(self.method, variable, values):
                values = values.plus(variable, value)
        return values

    def _without_search(self) -> dict[Variable, Any]:
        """Return the value that each variable has in the method and its training."""
        training = self.method.merged_training(self.training).model_dump(mode="json")
        settings = {TRAINING: training}
        return {each: settings.get(each.part, self.method.options).get(each.key) for each in self.dimensions}


def make_space(
    method: MethodChoice,
    training: TrainingConfig,
    density: "float | Range | None",
    changes: Mapping[str, Any],
) -> Space:
    """Make the space of a method.

    Args:
        method: The method with the options that it has without a search.
        training: The training of the search.
        density: The target density, or a range of it to search.
        changes: What the spec sets, by the names of variables: a mapping with ``low`` and ``high``, a list of
            choices, or a fixed value.

    Raises:
        InputError: A change cannot be used. The message names its variable.
    """
    config: type[Options] = method.registered.Config
    for name in changes:
        _check_name(config, method, name)
    changed = {Variable.from_name(name): given for name, given in changes.items()}
    fixed, dimensions = _split(config, changed)
    method = _fix(method, fixed, training)
    dimensions = _ordered(config, dimensions)
    for variable in [*dimensions]:
        options = {other.key for other in dimensions if other.part == "option"}
        needs = {other: values for other, values in _needs(config, variable).items() if other not in options}
        missing = {other: values for other, values in needs.items() if method.options[other] not in values}
        if missing and variable in changed:
            raise InputError(f"{variable}: has no effect: it needs {in_words(missing)}")
        if missing:
            del dimensions[variable]
    for variable, dimension in dimensions.items():
        _check_ends(config, variable, dimension)
    if isinstance(density, Range):
        return Space(method, training, None, dimensions | {TARGET_DENSITY: density})
    return Space(method, training, density, dimensions)


def _validated(entry: dict[str, Any], training: TrainingConfig) -> MethodChoice:
    """Make a method from the fields of its entry, and check it with the training. Raises InputError."""
    try:
        choice = MethodChoice.model_validate(entry)
        choice.merged_training(training)
    except ValidationError as error:
        raise InputError(explain(error, MethodChoice)) from error
    return choice


def _fix(method: MethodChoice, fixed: Values, training: TrainingConfig) -> MethodChoice:
    """Return the method with fixed options and training settings. Raises InputError."""
    entry = {**method.model_dump(mode="json"), **fixed.options}
    if fixed.training:
        entry["training"] = {**(method.training or {}), **fixed.training}
    return _validated(entry, training)


def _split(
    config: type[Options], changes: Mapping[Variable, Any]
) -> tuple[Values, dict[Variable, Dimension]]:
    """Return the fixed values and the dimensions: those that options declare, with the changes applied."""
    dimensions: dict[Variable, Dimension] = {}
    for name, field in config.model_fields.items():
        declaration = declared(config, name)
        if "search" in declaration:
            low, high = declaration["search"]
            whole = field.annotation is int
            variable = Variable("option", name)
            dimensions[variable] = Range(low=low, high=high, log=declaration["log"], whole=whole)
    fixed = Values()
    for variable, given in changes.items():
        if isinstance(given, Mapping):
            whole = _field(config, variable).annotation is int
            try:
                dimensions[variable] = Range.model_validate({"whole": whole} | dict(given))
            except ValidationError as error:
                raise InputError(f"{variable}: {explain(error, Range)}") from error
        elif isinstance(given, list | tuple):
            dimensions[variable] = _choice(variable, given)
        else:
            dimensions.pop(variable, None)
            fixed = fixed.plus(variable, given)
    return fixed, dimensions


def _choice(variable: Variable, given: "list[Any] | tuple[Any, ...]") -> Choice:
    if not all(isinstance(value, str | int | float | bool | None) for value in given):
        raise InputError(f"{variable}: {[*given]} should be a list of words, numbers or booleans")
    values = tuple(dict.fromkeys(given))
    if len(values) < 2:
        problem = "should hold at least two different choices; write one value without a list"
        raise InputError(f"{variable}: {[*given]} {problem}")
    return Choice(values)


def _field(config: type[Options], variable: Variable) -> FieldInfo:
    fields = TrainingConfig.model_fields if variable.part == TRAINING else config.model_fields
    return fields[variable.key]


def _check_name(config: type[Options], method: MethodChoice, name: str) -> None:
    """Raise InputError if a search cannot vary the variable of this name."""
    variable = Variable.from_name(name)
    if variable.part == TRAINING and variable.key in BUDGET_KEYS:
        raise InputError(f"{name}: cannot be set here: every point needs the same training budget")
    if variable.part == TRAINING and variable.key not in SEARCHED_TRAINING:
        raise InputError(unknown("training setting", variable.key, SEARCHED_TRAINING))
    if variable.part != TRAINING and (name not in config.model_fields or variable.part == DENSITY):
        raise InputError(f"method {method.name!r}: {unknown('hyperparameter', name, config.model_fields)}")


def _ordered(config: type[Options], dimensions: dict[Variable, Dimension]) -> dict[Variable, Dimension]:
    """Return the dimensions, each after those that its variable needs."""
    ordered: dict[Variable, Dimension] = {}
    remaining = dict(dimensions)
    while remaining:
        ready = [
            variable
            for variable in remaining
            if not _needs(config, variable).keys()
            & {other.key for other in remaining if other != variable and other.part == "option"}
        ]
        for variable in ready or [*remaining]:
            ordered[variable] = remaining.pop(variable)
    return ordered


def _needs(config: type[Options], variable: Variable) -> dict[str, list[Any]]:
    """Return the values of other options with which an option has an effect."""
    needs: dict[str, list[Any]] = (
        declared(config, variable.key).get("needs", {}) if variable.part == "option" else {}
    )
    return needs


def _lacks_effect(method: MethodChoice, variable: Variable, values: Values) -> bool:
    """Return whether a variable has no effect, given values of others."""
    if variable.part == TRAINING:
        return False
    config: type[Options] = method.registered.Config
    options = config.model_construct(**{**method.options, **values.options})
    if variable == TARGET_DENSITY:
        try:
            return not method.registered.takes_target(options)
        except ValueError:  # invalid values: Space.choice raises an error that says why
            return False
    return bool(unmet(options, variable.key))


def _check_ends(config: type[Options], variable: Variable, dimension: Dimension) -> None:
    """Raise InputError if the option or setting does not accept an end of the range, or a choice."""
    field = _field(config, variable)
    accepted: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]
    for value in dimension.ends:
        try:
            accepted.validate_python(value)
        except ValidationError as error:
            raise InputError(f"{variable}: {value!r} {plain(error.errors()[0])}") from error
