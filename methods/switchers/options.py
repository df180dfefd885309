"""Options of the switcher family, one for each of its parts."""

from collections.abc import Sequence
from typing import Any, Literal

from switchbench.methods import window
from switchbench.methods.contract import Units
from switchbench.methods.options import option, unmet
from switchbench.methods.parts.pruning_schedules import Window
from switchbench.methods.switchers.gates import GateKind
from switchbench.methods.window import WindowOptions

SCALED = ("equivariant", "row", "unet", "saliency")
"""Readers that may be shown raw weights or scaled ones."""
CHAINED = ("functional", "graph")
"""Readers that see a chain of layers at once."""
READERS = (*SCALED, *CHAINED)
"""Readers that see the weights."""
SCHEDULED: dict[str, Sequence[str]] = {"schedule": ["steps"], "sparsity": ["target"]}
"""With these values density falls on a schedule, step by step."""


def _theta(feature: str) -> Any:
    """Declare the saliency reader's weight of a feature. It has no search range: a search over trainings that
    finds it is meta-learning, and its spec says which range (docs/results/science-meta)."""
    meaning = f"coefficient in the reader's score (at the start, if the reader learns): {feature}"
    return option(0.0, meaning, needs={"reader": ["saliency"]}, inert=True)


class SwitcherOptions(WindowOptions):
    """Options of the family: reader, gate, turns and sparsity are independent of each other."""

    reader: Literal["equivariant", "row", "unet", "saliency", "functional", "graph", "free"] = option(
        "saliency", "what reads the weights; free: nothing, one learnable logit per gate"
    )
    sees: Literal["weights", "shuffled", "constant"] = option(
        "weights",
        "what the reader sees; the prior stays as it is. Controls: shuffled: each layer's weights in random "
        "order (of the reader saliency, its scores); constant: the same number everywhere",
        needs={"reader": READERS},
    )
    prior: Literal["magnitude", "curvature", "none"] = option(
        "curvature", "what the reader's output is added to: log |w|, or log |w| + exponent · log V"
    )
    exponent: float = option(
        0.25,
        "power of the curvature V, a running mean of squared gradients",
        search=(0.0, 1.0),
        needs={"prior": ["curvature"]},
        inert=True,
        ge=0,
    )
    revive: Literal["kept", "grown", "never"] = option(
        "grown",
        "how a connection that is off can come back: kept: with its old weight, if its score is high enough; "
        "grown: from zero, where the mean gradient is large; never: not at all. Where this option has no "
        "effect, connections come back as with kept",
        needs={**SCHEDULED, "units": ["connection"], "gate": ["binary"]},
        inert=True,
    )
    regenerate: float = option(
        0.5,
        "share of each layer's connections that is replaced at the first density step; it falls to 0 "
        "along a cosine",
        search=(0.05, 0.7),
        needs={"revive": ["grown"], **SCHEDULED, "units": ["connection"], "gate": ["binary"]},
        inert=True,
        gt=0,
        lt=1,
    )
    theta_curvature: float = _theta("curvature")
    theta_row: float = _theta("strength of the output's connections")
    theta_column: float = _theta("strength of the input's connections")
    theta_into: float = _theta("strength of the paths into the input")
    theta_behind: float = _theta("strength of the paths behind the output")
    objective: Literal["gradient", "look-ahead"] = option(
        "gradient",
        "what the reader learns from: the gates' gradient, or the loss once weights have adapted to a choice",
        needs={**SCHEDULED, "gate": ["binary"]},
        inert=True,
    )
    horizon: int = option(
        3,
        "number of steps for which weights adapt before the loss is read",
        search=(1, 8),
        needs={"objective": ["look-ahead"]},
        inert=True,
        ge=0,
    )
    stride: float = option(
        1.0,
        "length of these steps, as a multiple of the training's step size",
        search=(0.5, 10.0),
        log=True,
        needs={"objective": ["look-ahead"]},
        inert=True,
        gt=0,
    )
    spread: float = option(
        0.1,
        "how far the reader's parameters are shifted to compare two choices",
        search=(0.02, 0.5),
        log=True,
        needs={"objective": ["look-ahead"]},
        inert=True,
        gt=0,
    )
    price: float = option(
        0.0,
        "penalty in the loss for the share of the dense network's MACs that is left without dead units",
        search=(0.0, 1.0),
        needs={"objective": ["look-ahead"]},
        inert=True,
        ge=0,
    )
    learn: bool = option(False, "whether the reader is trained; else all steps train the weights", inert=True)
    normalise: bool = option(
        False,
        "show the reader each layer's weights over their root mean square",
        needs={"reader": SCALED},
    )
    detach: bool = option(
        True, "keep the weights' gradient out of the reader", needs={"schedule": ["epochs"]}
    )
    gate: GateKind = option("binary", "how logits become gates")
    units: Units = option("connection", "what one gate switches")
    schedule: Literal["steps", "epochs"] = option(
        "steps", "how training alternates between the network and the reader"
    )
    every: int = option(
        25,
        "one in this many steps trains the reader",
        search=(5, 100),
        log=True,
        needs={"schedule": ["steps"], "learn": [True]},
        ge=2,
    )
    sparsity: Literal["target", "penalty", "none"] = option(
        "target",
        "target: meet a target density; penalty: a term in the loss for open gates; none: whatever results",
    )
    strength: float = option(
        0.1,
        "weight of the mean open gate in the loss",
        search=(1e-3, 10),
        log=True,
        needs={"sparsity": ["penalty"]},
        ge=0,
    )
    begin: float = option(
        window.BEGIN, "share of training before connections are switched off", search=(0.0, 0.3), ge=0, lt=1
    )
    end: float = window.end()
    updates: int = option(
        100,
        "number of density steps between begin and end",
        needs=SCHEDULED,
        ge=1,
    )
    power: float = window.power(needs={"sparsity": ["target"]})
    keep_learning: float = option(
        0.0,
        "share of the training after `end` in which the reader still learns",
        search=(0, 1),
        needs={"learn": [True]},
        ge=0,
        le=1,
    )
    reader_optimizer: Literal["adam", "sgd"] = option(
        "adam", "the reader's optimiser", needs={"learn": [True]}
    )
    reader_lr: float = option(
        3e-4, "the reader's learning rate", search=(1e-5, 1e-2), log=True, needs={"learn": [True]}, gt=0
    )
    temperature: float = option(
        2.0,
        "width of the soft threshold of gates, in logits",
        search=(0.1, 10),
        log=True,
        needs={"gate": ["binary", "hard_concrete"], "objective": ["gradient"], "learn": [True]},
        gt=0,
    )
    hidden: int = option(
        16,
        "width of the reader's hidden layers",
        search=(4, 64),
        log=True,
        needs={"reader": ["equivariant", "row", *CHAINED]},
        ge=1,
    )
    rank: int = option(
        4,
        "rank of the row-column interaction",
        search=(1, 16),
        log=True,
        needs={"reader": ["equivariant"]},
        ge=1,
    )

    @property
    def revives(self) -> Literal["kept", "grown", "never"]:
        """How connections that are off come back, beside the other options."""
        return "kept" if unmet(self, "revive") else self.revive

    @property
    def window(self) -> Window:
        return Window(self.begin, self.end, self.updates, self.power)
