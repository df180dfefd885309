"""Describe the registered methods, networks and data sets as text. Importing this imports torch."""

import inspect
import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from switchbench.cli.catalogue import Components, Description, OptionLine
from switchbench.datasets.augment import Augmentation
from switchbench.methods.options import declared, in_words
from switchbench.spec.comparison import Resources, Spec
from switchbench.spec.components import CHOICES, Component
from switchbench.spec.scope import Scope
from switchbench.spec.search import SearchConfig
from switchbench.spec.strength import Strength
from switchbench.spec.training import TrainingConfig

KEYS: dict[str, type[BaseModel]] = {
    "spec": Spec,
    "training": TrainingConfig,
    "augment": Augmentation,
    "scope": Scope,
    "resources": Resources,
    "search": SearchConfig,
    "strengths": Strength,
}
"""Parts of a spec by the key that holds them."""

LARGEST = 2**62
"""Bounds above it keep numbers in 64 bits, which no reader needs to know."""


def registered() -> Components:
    """Describe everything that is registered in this process, plug-ins included."""
    components = {
        f"{choice.kind}s": {name: _description(choice, name) for name in sorted(choice.registry)}
        for choice in CHOICES
    }
    return {**components, "keys": {name: _keys(model) for name, model in KEYS.items()}}


def _keys(model: type[BaseModel]) -> Description:
    options = tuple(_option(model, key) for key in model.model_fields)
    return Description(f"keys of a spec: {_documentation(model)}", options)


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
        default="required" if field.is_required() else _default(field.default),
        valid=_valid(field.metadata) or _valid(_of_items(field.annotation)),
        search=f"{search[0]:g} to {search[1]:g}{scale}" if search else "",
        description=f"{field.description}{condition}",
    )


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(str(value) for value in inner)
    if origin is Annotated:
        return _type(inner[0])
    if origin in (tuple, list):
        return f"list of {_type(inner[0])}"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        is_entry = isinstance(annotation, type) and issubclass(annotation, Component)
        return f"{annotation.kind}s" if is_entry else "mapping"
    if origin in (Union, UnionType):
        return " | ".join(map(_type, inner))
    return "None" if annotation is NoneType else str(annotation.__name__)


def _default(value: Any) -> str:
    """Return a default as text: of a part of the spec, that it has defaults of its own."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "its defaults" if isinstance(value, BaseModel) else str(value)


def _of_items(annotation: Any) -> list[Any]:
    """Return the limits of the items of a list."""
    inner = get_args(annotation)
    if get_origin(annotation) not in (tuple, list) or get_origin(inner[0]) is not Annotated:
        return []
    return [limit for field in get_args(inner[0])[1:] for limit in field.metadata]


def _valid(limits: list[Any]) -> str:
    return " ".join(filter(None, map(_bound, limits)))


def _bound(limit: Any) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = {sign: getattr(limit, key) for key, sign in signs.items() if hasattr(limit, key)}
    return " ".join(f"{sign} {bound:g}" for sign, bound in bounds.items() if bound < LARGEST)
