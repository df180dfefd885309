"""Typed options: one declaration holds default, meaning, bounds, search range and what it needs."""

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Options(BaseModel):
    """Base of every typed set of options: unknown keys are refused, values never change, and an
    option that the others leave without effect keeps its default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

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
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    """Declare one option: its default, its meaning, its bounds and its search range.

    ``search`` is the (low, high) range worth searching, on a logarithmic scale if ``log``.
    ``needs`` names other options and the values with which this one has an effect. ``ge``, ``gt``,
    ``le`` and ``lt`` bound what validation accepts. A ``Literal`` or ``bool`` field
    needs no range.
    """
    extra: dict[str, Any] = {} if search is None else {"search": [*search], "log": log}
    if needs:
        extra["needs"] = {name: [*values] for name, values in needs.items()}
    return Field(default, description=description, json_schema_extra=extra, ge=ge, gt=gt, le=le, lt=lt)


def defaults(**values: Any) -> Callable[[type[O]], type[O]]:
    """Class decorator: inherited options get other defaults; all else about them stays.

    Raises KeyError for an option that is not there.
    """

    def decorate(options: type[O]) -> type[O]:
        for name, value in values.items():
            options.model_fields[name].default = value
        options.model_rebuild(force=True)
        return options

    return decorate


def declared(options: type[Options], name: str) -> dict[str, Any]:
    """What :func:`option` noted of an option: ``search`` and ``log``, ``needs``, where given."""
    extra = options.model_fields[name].json_schema_extra
    return extra if isinstance(extra, dict) else {}


def unmet(options: Options, name: str) -> dict[str, list[Any]]:
    """The values of other options that an option would need to have an effect, where they differ."""
    needs = declared(type(options), name).get("needs", {})
    return {other: values for other, values in needs.items() if getattr(options, other) not in values}


def in_words(needs: dict[str, list[Any]]) -> str:
    """What an option needs, as a phrase."""
    return ", ".join(f"{other} {' or '.join(map(str, values))}" for other, values in needs.items())
