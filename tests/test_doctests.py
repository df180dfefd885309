"""The examples in the docstrings of the methods' parts and contract run."""

import doctest
import importlib
import pkgutil

import pytest

from switchbench import methods

MODULES = [module.name for module in pkgutil.walk_packages(methods.__path__, "switchbench.methods.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


def test_there_are_examples() -> None:
    modules = [importlib.import_module(name) for name in MODULES]
    assert sum(doctest.testmod(module).attempted for module in modules) >= 20
