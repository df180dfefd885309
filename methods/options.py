"""Typed options: one declaration holds default, meaning, bounds, search range and what it needs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticUndefined


class Options(BaseModel):
    """Base of every typed set of options.

    Unknown keys are refused and values never change. An option that has no effect beside the others
    must keep its default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def identity(self) -> dict[str, Any]:
        """Return the options that count in a trial's id, as plain values.

        Options declared ``inert`` are left out at that value, so that ids from before they existed
        stay valid.
        """
        return without_inert(type(self), self.model_dump(mode="json"))

    @model_validator(mode="after")
    def _all_have_effect(self) -> Self:
        for name, field in type(self).model_fields.items():
            given = getattr(self, name)
            missing = unmet(self, name)
            if missing and given != field.default:
                raise ValueError(f"{name}: {given!r} has no effect: it needs {in_words(missing)}")
        return self


O = TypeVar("O", bound=Options)  # noqa: E741


def option(
    default: Any,
    description: str,
    *,
    search: tuple[float, float] | None = None,
    log: bool = False,
    needs: dict[str, Sequence[Any]] | None = None,
    inert: Any = False,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    """Declare one option: its default, its meaning, its bounds and its search range.

    Only options with a range are searched by default. Others, such as a ``Literal`` or a ``bool``, are
    searched where a spec lists their choices.

    Args:
        default: Value of the option where none is given.
        description: What it means.
        search: Lowest and highest value worth searching.
        log: Whether the search is on a logarithmic scale.
        needs: Other options, with the values with which this one has an effect.
        inert: Of an option that came later: the value that changes nothing, at which it is left out of a
            trial's id; True: its default.
        ge: Lowest value that validation accepts; likewise ``gt``, ``le`` and ``lt``.
        gt: See ``ge``.
        le: See ``ge``.
        lt: See ``ge``.

    >>> class Config(Options):
    ...     rate: float = option(0.1, "learning rate", search=(1e-3, 1.0), log=True, gt=0)
    ...     nesterov: bool = option(False, "look ahead", inert=True)
    >>> Config(rate=0.5).identity()
    {'rate': 0.5}
    """
    extra: dict[str, Any] = {} if search is None else {"search": [*search], "log": log}
    if inert is not False:
        extra["inert"] = default if inert is True else inert
    if needs:
        extra["needs"] = {name: [*values] for name, values in needs.items()}
    return Field(default, description=description, json_schema_extra=extra, ge=ge, gt=gt, le=le, lt=lt)


def defaults(**values: Any) -> Callable[[type[O]], type[O]]:
    """Give inherited options other defaults, as a class decorator. All else about them stays.

    Raises:
        KeyError: There is no such option.
    """

    def decorate(options: type[O]) -> type[O]:
        for name, value in values.items():
            options.model_fields[name].default = value
        options.model_rebuild(force=True)
        return options

    return decorate


def invalid_default(options: type[Options]) -> str | None:
    """Say which default breaks the bounds of its option; None: none does."""
    fields = options.model_fields.items()
    given = {name: field.default for name, field in fields if field.default is not PydanticUndefined}
    try:
        options(**given)
    except ValidationError as error:
        for problem in error.errors():
            if problem["type"] != "missing":  # an option may have no default
                option_name, message = (
                    ".".join(map(str, problem["loc"])),
                    problem["msg"].removeprefix("Input "),
                )
                return f"has an option {option_name!r} whose default {problem['input']!r} {message}"
    return None


def declared(options: type[Options], name: str) -> dict[str, Any]:
    """Return what :func:`option` noted of an option: ``search``, ``log``, ``needs``, ``inert``."""
    extra = options.model_fields[name].json_schema_extra
    return extra if isinstance(extra, dict) else {}


def without_inert(options: type[Options], plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values of options without those that came later and change nothing.

    Values that are no options are kept: they may be of another version.
    """
    inert = {
        name: extra["inert"] for name in options.model_fields if "inert" in (extra := declared(options, name))
    }
    return {name: value for name, value in plain.items() if value != inert.get(name, ...)}


def unmet(options: Options, name: str) -> dict[str, list[Any]]:
    """Return the values that other options need for this option to have an effect, where they differ."""
    needs = declared(type(options), name).get("needs", {})
    return {other: values for other, values in needs.items() if getattr(options, other) not in values}


def enabling(options: Options, name: str) -> dict[str, Any]:
    """Return values of other options with which this one has an effect, and with which they have one."""
    values: dict[str, Any] = {}
    names = [name]
    while names:
        for other, allowed in unmet(options, names.pop()).items():
            if other not in values:
                values[other] = allowed[0]
                names.append(other)
    return values


def in_words(needs: dict[str, list[Any]]) -> str:
    """Return what an option needs as a phrase."""
    return ", ".join(f"{other} {' or '.join(map(str, values))}" for other, values in needs.items())
