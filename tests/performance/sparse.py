"""Training with `kernels: sparse` against the same training with dense kernels: whole trainings on Fashion-MNIST,
batch 128, Adam, one thread, in pairs. Methods that prune gradually train on dense kernels until their last
pruning event, which is most of what they take. *Accuracy* is that of sparse
kernels minus that of dense ones on test images; each pair has a seed of its own ([ten seeds](sparse-inference.md)). *Inference* is the forward pass of a finished network on test images, its
layers in CSR format against dense ones.

At 1 % the small network spends little of its time on weights: at 0.2 %, with a fifth of them, `random` still takes
nine tenths as long. The rest is activations, biases, the loss, the optimiser, and the start of some dozens of
operations per step, most of which dense kernels need as well. In the wide network weights take a larger share.
"""

from collections.abc import Iterator
from typing import Any

import torch

from performance.measurement import Measurement
from switchbench.measure.csr import to_csr
from switchbench.measure.latency import seconds
from switchbench.spec.trial import TrialConfig
from switchbench.trial.run import TrialResult, run_trial

TITLE = "Training and inference on sparse kernels"
EPOCHS = 15
SMALL, WIDE = [300, 100], [1000, 1000, 1000]
LIMITS = {"random": "≤ 0.45", "snip": "≤ 0.45", "rigl": "≤ 0.6", "magnitude": "≤ 0.85", "switcher": "≤ 0.85"}


def measure(pairs: int) -> Iterator[Measurement]:
    """Yield the ratios of training times, the differences of accuracy, and the ratios of inference times."""
    torch.set_num_threads(1)
    _train("random", SMALL, 0.01, "sparse", seed=0, epochs=1)  # warm-up
    for method, limit in LIMITS.items():
        yield from _pairs(f"{method}, 784-300-100-10, 1 %", pairs, method, SMALL, 0.01, limit)
    for density in (0.002, 0.05):
        yield from _pairs(f"random, 784-300-100-10, {100 * density:g} %", pairs, "random", SMALL, density)
    wide = "random, 784-1000-1000-1000-10, 1 %"
    yield from _pairs(wide, pairs, "random", WIDE, 0.01, "≤ 0.25", epochs=3)


def _pairs(
    name: str,
    pairs: int,
    method: str,
    hidden: list[int],
    density: float,
    limit: str = "",
    epochs: int = EPOCHS,
) -> Iterator[Measurement]:
    ratios, differences, inference = [], [], []
    for seed in range(pairs):
        dense, sparse = (
            _train(method, hidden, density, kernels, seed, epochs) for kernels in ("dense", "sparse")
        )
        ratios.append(sparse.row["train_seconds"] / dense.row["train_seconds"])
        differences.append(100 * (sparse.row["test_accuracy"] - dense.row["test_accuracy"]))
        networks = [sparse.network, to_csr(sparse.network)]
        dense_seconds, csr_seconds = seconds(networks, [torch.rand(128, 1, 28, 28)] * 2)
        inference.append(csr_seconds / dense_seconds)
    yield Measurement(f"{name}: training time", ratios, limit=limit)
    yield Measurement(f"{name}: accuracy", differences, unit="points")
    yield Measurement(f"{name}: inference", inference)


def _train(
    method: str, hidden: list[int], density: float, kernels: str, seed: int, epochs: int
) -> TrialResult:
    training: dict[str, Any] = {"epochs": epochs, "batch_size": 128, "lr": 1e-3, "kernels": kernels}
    network = {"network": "mlp", "hidden": hidden}
    return run_trial(
        TrialConfig.of(
            network=network,
            dataset="fashion-mnist",
            method=method,
            density=density,
            seed=seed,
            training=training,
        )
    )
