"""What there is to choose from: names with one line each, and the options of one name."""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from switchbench.errors import InputError, unknown
from switchbench.methods.options import declared, in_words
from switchbench.spec import file as specfile
from switchbench.spec.components import CHOICES
from switchbench.spec.recipes import RECIPES

SECTIONS = {f"{choice.kind}s": choice for choice in CHOICES}


@dataclass(frozen=True)
class OptionLine:
    """One option in words: what it takes, its default, its valid range and its search range."""

    name: str
    type: str
    default: str
    valid: str
    search: str
    description: str


@dataclass(frozen=True)
class Description:
    """One thing in words, with its options or its text."""

    documentation: str
    options: Sequence[OptionLine] = ()
    text: str = ""


def sections() -> dict[str, dict[str, str]]:
    """Every name with its one-line description, by section."""
    listed = {
        section: {name: _first_line(choice.definition(name)) for name in sorted(choice.registry)}
        for section, choice in SECTIONS.items()
    }
    recipes = {name: recipe.description for name, recipe in RECIPES.items()}
    return listed | {"recipes": recipes, "specs": specfile.shipped()}


def describe(name: str) -> list[Description]:
    """All that goes by a name: a method, a network, a data set, a recipe, a spec. Raises InputError."""
    found = []
    for choice in SECTIONS.values():
        if name in choice.registry:
            config, definition = choice.config_class(name), choice.definition(name)
            options = [_option(config, key) for key in config.model_fields]
            found.append(Description(f"{choice.kind}: {_documentation(definition)}", options))
    if name in RECIPES:
        found.append(Description(f"recipe: {RECIPES[name].description}", text=_yaml(RECIPES[name].training)))
    if name in specfile.shipped():
        found.append(Description("", text=specfile.shipped_text(name)))
    if not found:
        listed = sections()
        names = [name for section in listed.values() for name in section]
        raise InputError(unknown("name", name, [*listed, *names]))
    return found


def _yaml(values: dict[str, Any]) -> str:
    return "".join(f"{key}: {value}\n" for key, value in values.items())


def _first_line(thing: Any) -> str:
    return _documentation(thing).splitlines()[0]


def _documentation(thing: Any) -> str:
    """The docstring with one line per paragraph."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(thing) or "")


def _option(config: type[Any], name: str) -> OptionLine:
    field, extra = config.model_fields[name], declared(config, name)
    search = extra.get("search")
    scale = ", log" if extra.get("log") else ""
    condition = f" (with {in_words(extra['needs'])})" if "needs" in extra else ""
    return OptionLine(
        name=name,
        type=_type(field.annotation),
        default="required" if field.is_required() else str(field.default),
        valid=" ".join(_bound(limit) for limit in field.metadata),
        search=f"{search[0]:g} to {search[1]:g}{scale}" if search else "",
        description=f"{field.description}{condition}",
    )


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(str(value) for value in inner)
    if origin is Annotated:
        return _type(inner[0])
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _bound(limit: Any) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return " ".join(f"{sign} {getattr(limit, key):g}" for key, sign in signs.items() if hasattr(limit, key))
