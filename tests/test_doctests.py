"""The examples in docstrings run: of every module, with few exceptions."""

import doctest
import importlib
import pkgutil

import pytest

import switchbench
from switchbench import methods

WITHOUT_EXAMPLES = ("switchbench.__main__",)
"""Modules that act when they are imported."""
MODULES = [
    name
    for package in (switchbench, methods)
    for name in (module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))
    if name not in WITHOUT_EXAMPLES
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


def test_there_are_examples() -> None:
    modules = [importlib.import_module(name) for name in MODULES]
    assert sum(doctest.testmod(module).attempted for module in modules) >= 20
