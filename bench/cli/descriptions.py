"""Describe the registered methods, networks and data sets as text. Importing this imports torch."""

import inspect
import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from switchbench.cli.catalogue import Components, Description, OptionLine
from switchbench.methods.options import declared, in_words
from switchbench.spec.components import CHOICES, Component


def registered() -> Components:
    """Describe everything that is registered in this process, plug-ins included."""
    return {
        f"{choice.kind}s": {name: _description(choice, name) for name in sorted(choice.registry)}
        for choice in CHOICES
    }


def _description(choice: type[Component], name: str) -> Description:
    config, definition = choice.config_class(name), choice.definition(name)
    options = tuple(_option(config, key) for key in config.model_fields)
    return Description(f"{choice.kind}: {_documentation(definition)}", options)


def _documentation(thing: Any) -> str:
    """Return the docstring with one line per paragraph."""
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
    if origin in (Union, UnionType):
        return " | ".join(map(_type, inner))
    return "None" if annotation is NoneType else str(annotation.__name__)


def _bound(limit: Any) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return " ".join(f"{sign} {getattr(limit, key):g}" for key, sign in signs.items() if hasattr(limit, key))
