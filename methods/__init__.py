"""Sparsification methods and the contract that they share.

Everything here needs torch and pydantic alone: a method never sees the training loop, the
data sets, Ray or the ledger. Importing this package registers the methods that ship with it.
"""

from switchbench.methods.acdc import ACDC
from switchbench.methods.cap import CAP
from switchbench.methods.chts import CHTs
from switchbench.methods.continuous import ContinuousSparsification
from switchbench.methods.contract import METHODS, Method, ParameterGroup, Progress, register
from switchbench.methods.dense import Dense
from switchbench.methods.dynamic import SET, RigL
from switchbench.methods.gradual import GradualPruning
from switchbench.methods.granet import GraNet
from switchbench.methods.initialisation import SNIP, AtInitialisation, GraSP, SynFlow
from switchbench.methods.l0 import L0
from switchbench.methods.lamp import LAMP
from switchbench.methods.learned import LearnedParametrization
from switchbench.methods.lottery import LotteryTicket
from switchbench.methods.magnitude import Magnitude
from switchbench.methods.masked import GatedMethod, MaskedMethod
from switchbench.methods.movement import Movement
from switchbench.methods.obd import OBD
from switchbench.methods.options import Options, defaults, option
from switchbench.methods.parts.layers import Layers
from switchbench.methods.patterned import PatternedMethod, PatternOptions
from switchbench.methods.powerpropagation import Powerpropagation
from switchbench.methods.probmask import ProbMask
from switchbench.methods.random import Random, RandomLayerMatched, ShuffledMask
from switchbench.methods.rate_rewinding import RateRewinding
from switchbench.methods.regularised import L1, DeepHoyer, GroupLasso, L1Subgradient, Regularised
from switchbench.methods.srigl import SRigL
from switchbench.methods.structured import NM, NetworkSlimming, NeuronNorm
from switchbench.methods.switchers.presets import (
    SwitcherConstantInput,
    SwitcherEquivariant,
    SwitcherFixedExponent,
    SwitcherFreeGates,
    SwitcherFunctional,
    SwitcherGraph,
    SwitcherNeurons,
    SwitcherPaper,
    SwitcherShuffledWeights,
)
from switchbench.methods.switchers.switcher import Switcher
from switchbench.methods.taylor import Taylor
from switchbench.methods.thresholds import DST, STR
from switchbench.methods.variational import VariationalDropout

__all__ = [
    "ACDC",
    "CAP",
    "DST",
    "L0",
    "L1",
    "LAMP",
    "METHODS",
    "NM",
    "OBD",
    "SET",
    "SNIP",
    "STR",
    "AtInitialisation",
    "CHTs",
    "ContinuousSparsification",
    "DeepHoyer",
    "Dense",
    "GatedMethod",
    "GraNet",
    "GraSP",
    "GradualPruning",
    "GroupLasso",
    "L1Subgradient",
    "Layers",
    "LearnedParametrization",
    "LotteryTicket",
    "Magnitude",
    "MaskedMethod",
    "Method",
    "Movement",
    "NetworkSlimming",
    "NeuronNorm",
    "Options",
    "ParameterGroup",
    "PatternOptions",
    "PatternedMethod",
    "Powerpropagation",
    "ProbMask",
    "Progress",
    "Random",
    "RandomLayerMatched",
    "RateRewinding",
    "Regularised",
    "RigL",
    "SRigL",
    "ShuffledMask",
    "Switcher",
    "SwitcherConstantInput",
    "SwitcherEquivariant",
    "SwitcherFixedExponent",
    "SwitcherFreeGates",
    "SwitcherFunctional",
    "SwitcherGraph",
    "SwitcherNeurons",
    "SwitcherPaper",
    "SwitcherShuffledWeights",
    "SynFlow",
    "Taylor",
    "VariationalDropout",
    "defaults",
    "option",
    "register",
]
