"""List what a spec can name: all names with one line each, and the options of one name."""

import sys
from typing import Any

from switchbench.cli import catalogue
from switchbench.cli.catalogue import Components, Description
from switchbench.errors import InputError, unknown
from switchbench.spec.recipes import OPTIMIZERS, RECIPES
from switchbench.spec.shipped import shipped, shipped_text

SECTIONS = ("methods", "networks", "datasets", "recipes", "optimizers", "specs", "keys")


def names(section: str) -> dict[str, str]:
    """Return every name of a section of :data:`SECTIONS` with its one-line description."""
    if section == "recipes":
        return {name: recipe.description for name, recipe in RECIPES.items()}
    if section == "optimizers":
        return OPTIMIZERS
    if section == "specs":
        return shipped()
    return {name: _first_line(description) for name, description in _components()[section].items()}


def list_methods() -> dict[str, str]:
    """Return every method with its one-line description.

    Example:
        >>> list_methods()["random"]
        'Control: a random mask fixed before training, by ERK or uniform in every layer.'
    """
    return names("methods")


def describe(name: str) -> list[Description]:
    """Describe everything that has a name: a method, network, data set, recipe or spec.

    Args:
        name: A name. Several things may have it, such as a data set and a spec.

    Returns:
        One description for each of them; at least one.

    Raises:
        InputError: Nothing has this name.
    """
    descriptions = [described[name] for described in _components().values() if name in described]
    if name in RECIPES:
        recipe = RECIPES[name]
        descriptions.append(Description(f"recipe: {recipe.description}", text=_yaml(recipe.training)))
    if name in OPTIMIZERS:
        descriptions.append(Description(f"optimizer: {OPTIMIZERS[name]}"))
    if name in shipped():
        descriptions.append(Description("", text=shipped_text(name)))
    if not descriptions:
        known = [name for section in SECTIONS for name in names(section)]
        raise InputError(unknown("name", name, [*SECTIONS, *known]))
    return descriptions


def _components() -> Components:
    """Describe all methods, networks and data sets: those that ship, and those of plug-ins that are loaded.

    Whoever registers something must have imported the package that keeps the registry. Where no such package
    is imported, there is nothing beside what ships, and that is stored.
    """
    if not any(package in sys.modules for package in catalogue.REGISTRIES):
        stored = catalogue.read()
        if stored is not None:
            return stored
    from switchbench.cli.descriptions import registered  # imports torch

    return registered()


def _first_line(description: Description) -> str:
    """Return the first line of a docstring, without the kind that stands before it."""
    return description.documentation.splitlines()[0].partition(": ")[2]


def _yaml(values: dict[str, Any]) -> str:
    return "".join(f"{key}: {value}\n" for key, value in values.items())
