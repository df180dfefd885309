"""What a search may vary: ranges that methods declare beside their options, narrowed, widened or added to by
a spec, and what values of them make of a method and its training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from switchbench.errors import InputError, explain, unknown
from switchbench.methods import Options
from switchbench.methods.options import declared, in_words, unmet
from switchbench.spec.components import MethodChoice
from switchbench.spec.ranges import Choice, Dimension, Range
from switchbench.spec.training import BUDGET, TrainingConfig

TRAINING = "training"
DENSITY = "density"
SEARCHED_TRAINING = set(TrainingConfig.model_fields) - BUDGET
"""Settings of a training that a search may vary."""


Values = dict[str, Any]
"""A value for each dimension that has an effect beside the others, by name: an option's, ``training.lr`` and
the like, or ``density``."""


@dataclass(frozen=True)
class Space:
    """The dimensions of one method's search."""

    method: MethodChoice
    """The method with the options that are fixed."""
    training: TrainingConfig
    density: float | None
    """The target density for methods that take one; None where it is searched."""
    dimensions: dict[str, Dimension]

    @property
    def draws(self) -> bool:
        """Whether there is anything to search."""
        return bool(self.draw(lambda name, dimension: dimension.ends[0]))

    def draw(self, suggest: Callable[[str, Dimension], Any]) -> Values:
        """A value of every dimension that has an effect beside the values drawn before it."""
        values: Values = {}
        for name, dimension in self.dimensions.items():
            if not _unmet(self.method, name, values):
                values[name] = suggest(name, dimension)
        return values

    def whole(self, values: Values) -> bool:
        """Whether these are values of every dimension that has an effect beside them."""
        return values.keys() == self.draw(lambda name, dimension: values.get(name, dimension.ends[0])).keys()

    def chosen(self, values: Values, label: str) -> MethodChoice:
        """The method as these values make it, as a comparison holds it. Raises InputError where they do
        not go together."""
        options = {name: value for name, value in values.items() if "." not in name and name != DENSITY}
        changes = {name.split(".")[1]: value for name, value in values.items() if "." in name}
        density = values.get(DENSITY)
        entry = self.method.model_dump(mode="json") | options | {"label": label}
        if changes or self.method.training:
            entry[TRAINING] = (self.method.training or {}) | changes
        entry["densities"] = self.method.densities if density is None else [density]
        try:
            choice = MethodChoice.model_validate(entry)
            choice.trained(self.training)
        except ValidationError as error:
            raise InputError(explain(error, MethodChoice)) from error
        return choice

    def defaults(self) -> Values:
        """What the method's options and the training are without a search, where the dimensions hold it; a
        density that is searched has no default, and is the highest."""
        own = self.method.trained(self.training).model_dump(mode="json")
        values: Values = {}
        for name, dimension in self.dimensions.items():
            key = name.partition(".")[2]
            value = own[key] if key else self.method.options.get(name)
            if name == DENSITY:
                value = dimension.ends[-1]
            if value in dimension and not _unmet(self.method, name, values):
                values[name] = value
        return values


def space(
    method: MethodChoice,
    training: TrainingConfig,
    density: "float | Range | None",
    changes: Mapping[str, Any],
) -> Space:
    """The space of a method: what its options declare, with the ``changes`` of a spec: by the name of an
    option or of a setting of the training (``training.lr``), a mapping with ``low`` and ``high``, a list of
    choices, or a fixed value. Raises InputError, which names the key."""
    config: type[Options] = method.registered.Config
    fixed, found = _split(config, method, changes)
    try:
        options = {name: value for name, value in fixed.items() if "." not in name}
        method = MethodChoice.model_validate(method.model_dump(mode="json") | options)
        settings = {name.split(".")[1]: value for name, value in fixed.items() if "." in name}
        if settings:
            changed = method.model_dump(mode="json") | {TRAINING: (method.training or {}) | settings}
            method = MethodChoice.model_validate(changed)
        method.trained(training)
    except ValidationError as error:
        raise InputError(explain(error, MethodChoice)) from error
    dimensions = _ordered(config, found)
    for name in [*dimensions]:
        others = {other: values for other, values in _needs(config, name).items() if other not in dimensions}
        lacking = {other: ok for other, ok in others.items() if method.options[other] not in ok}
        if lacking and name in changes:
            raise InputError(f"{name}: has no effect: it needs {in_words(lacking)}")
        if lacking:
            del dimensions[name]
    for name, dimension in dimensions.items():
        _check_ends(config, name, dimension)
    if isinstance(density, Range):
        return Space(method, training, None, dimensions | {DENSITY: density})
    return Space(method, training, density, dimensions)


def _split(
    config: type[Options], method: MethodChoice, changes: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Dimension]]:
    """What changes fix, and the dimensions that are left."""
    found: dict[str, Dimension] = {}
    for name, field in config.model_fields.items():
        about = declared(config, name)
        if "search" in about:
            low, high = about["search"]
            found[name] = Range(low=low, high=high, log=about["log"], whole=field.annotation is int)
    fixed: dict[str, Any] = {}
    for name, given in changes.items():
        _check_name(config, method, name)
        if isinstance(given, Mapping):
            whole = _annotation(config, name) is int
            try:
                found[name] = Range.model_validate({"whole": whole} | dict(given))
            except ValidationError as error:
                raise InputError(f"{name}: {explain(error, Range)}") from error
        elif isinstance(given, list | tuple):
            if not all(isinstance(value, str | int | float | bool | None) for value in given):
                raise InputError(f"{name}: {[*given]} should be choices that are words, numbers or booleans")
            values = tuple(dict.fromkeys(given))
            if len(values) < 2:
                raise InputError(f"{name}: {[*given]} should be two choices or more, or one value")
            found[name] = Choice(values)
        else:
            found.pop(name, None)
            fixed[name] = given
    return fixed, found


def _annotation(config: type[Options], name: str) -> Any:
    key = name.partition(".")[2]
    return (TrainingConfig.model_fields[key] if key else config.model_fields[name]).annotation


def _check_name(config: type[Options], method: MethodChoice, name: str) -> None:
    part, dot, key = name.partition(".")
    if dot and part == TRAINING:
        if key in BUDGET:
            raise InputError(f"{name}: is the same for every point, so that budgets are equal")
        if key not in SEARCHED_TRAINING:
            raise InputError(unknown("setting of the training", key, SEARCHED_TRAINING))
    elif name not in config.model_fields:
        raise InputError(f"method {method.name!r}: {unknown('hyperparameter', name, config.model_fields)}")


def _ordered(config: type[Options], found: dict[str, Dimension]) -> dict[str, Dimension]:
    """The dimensions, each after those that it needs."""
    ordered: dict[str, Dimension] = {}
    left = dict(found)
    while left:
        ready = [name for name in left if not _needs(config, name).keys() & (left.keys() - {name})]
        for name in ready or [*left]:
            ordered[name] = left.pop(name)
    return ordered


def _needs(config: type[Options], name: str) -> dict[str, list[Any]]:
    needs: dict[str, list[Any]] = (
        {} if "." in name or name == DENSITY else declared(config, name).get("needs", {})
    )
    return needs


def _unmet(method: MethodChoice, name: str, values: Values) -> bool:
    """Whether a dimension has no effect beside the values of others."""
    config: type[Options] = method.registered.Config
    if name == DENSITY:
        options = method.options | {key: value for key, value in values.items() if key in config.model_fields}
        return not method.registered.takes_target(config.model_construct(**options))
    if "." in name:
        return False
    options = method.options | {key: value for key, value in values.items() if "." not in key}
    return bool(unmet(config.model_construct(**options), name))


def _check_ends(config: type[Options], name: str, dimension: Dimension) -> None:
    """Raise InputError where an option or a setting refuses an end of a range, or a choice."""
    key = name.partition(".")[2]
    field = TrainingConfig.model_fields[key] if key else config.model_fields[name]
    accepted: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]
    for value in dimension.ends:
        try:
            accepted.validate_python(value)
        except ValidationError as error:
            said = error.errors()[0]["msg"].removeprefix("Input ")
            raise InputError(f"{name}: {value!r} {said}") from error
