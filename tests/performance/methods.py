"""The time of a training with each method over the time of as many plain steps: 784-300-100-10 on Fashion-MNIST, 15
epochs of the recipe `mnist` (batches of 128, SGD with momentum), one thread; 5 % density for methods that take a target.

Plain steps are those of a copy of the network on which no method acts; the training takes some of them
between its own steps. Everything that a method does counts: scores before the first step, penalties, masks,
readers, pruning. A method that trains in rounds is compared with plain steps of all its rounds. The two
switchers with U-Nets, which cost a hundred times a plain step, are measured by themselves; a method that
needs batch norms cannot train this network.

What is left is mostly memory traffic: each pass over the weights costs a few per cent of a step of this small
network. `random` adds one pass (weights × mask), so its distance from `dense` is the price of a pass. `set`, `rigl`,
`chts`, `srigl` and `granet` add two (weights and gradients × mask) and their moves, `magnitude` one and a hundred
selections, `obd` and `taylor` those and a running mean, `movement` one for its scores beside, `synflow` one and a hundred
scores before training. `cap` inverts a matrix for each block of weights at its events. While it shrinks weights, `l1` makes
several passes; `str` makes five. `powerpropagation` raises each weight to a power, forward and backward,
and `n-m` compares the weights of each group at every step. `l0`, `continuous-sparsification`, `prob-mask` and `dst` make many
passes for their gates and thresholds, and most of them train a number for each weight; `variational-dropout` multiplies every batch by a
second matrix. The `switcher` adds two passes, two running means in one step of four, and a hundred readings with their selections;
`switcher-equivariant`, `switcher-functional` and `switcher-graph` have a reader that learns in one of 25 steps. Passes weigh less with
larger batches, and `kernels: sparse` takes those of masks away.
"""

from collections.abc import Iterator

import torch

from performance.measurement import Measurement
from performance.trials import amortised, trial
from switchbench.methods import METHODS
from switchbench.trial.outcomes import Skipped

TITLE = "Methods"
EPOCHS = 15
UNETS = ("switcher-paper", "switcher-neurons")
LIMITS = (
    dict.fromkeys(("magnitude", "random", "shuffled-mask", "lottery-ticket", "set", "rigl"), 1.08)
    | dict.fromkeys(("snip", "grasp", "synflow"), 1.08)
    | {"switcher": 1.25, "l1": 1.2, "str": 1.2}
)
OTHER_LIMIT = 1.5


def measure(pairs: int) -> Iterator[Measurement]:
    """Train with every method ``pairs`` times."""
    torch.set_num_threads(1)
    trial("dense", 1)  # warm-up
    for name in METHODS:
        if name in UNETS:
            continue
        try:
            values = [amortised(name, EPOCHS, recipe="mnist") for _ in range(pairs)]
        except Skipped:
            continue
        yield Measurement(f"{name} / plain steps", values, limit=f"≤ {LIMITS.get(name, OTHER_LIMIT)}")
