"""Sparsification methods and the contract that they share.

Everything here needs torch and pydantic alone: a method never sees the training loop, the
data sets, Ray or the ledger. Importing this package registers the methods that ship with it.
"""

from switchbench.methods.contract import (
    METHODS,
    Layers,
    Method,
    Options,
    ParameterGroup,
    Progress,
    option,
    register,
)
from switchbench.methods.dense import Dense
from switchbench.methods.l1 import L1
from switchbench.methods.magnitude import Magnitude
from switchbench.methods.masked import MaskedMethod
from switchbench.methods.random import Random
from switchbench.methods.switchers.budgeted import Switcher
from switchbench.methods.switchers.paper import SwitcherPaper

__all__ = [
    "L1",
    "METHODS",
    "Dense",
    "Layers",
    "Magnitude",
    "MaskedMethod",
    "Method",
    "Options",
    "ParameterGroup",
    "Progress",
    "Random",
    "Switcher",
    "SwitcherPaper",
    "option",
    "register",
]
