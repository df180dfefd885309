"""What the suite costs over bare PyTorch, as ratios measured side by side in one run.

Run it by hand: ``python tests/benchmark_training.py [--epochs 3] [--rounds 3] [--dataset NAME]``.
It prints, and never judges: timings on a shared machine are no test.

- *bare loop*: a plain PyTorch loop over float tensors in memory with the same network, batches,
  optimiser (torch's fused Adam, like the suite), schedule and number of steps, and one evaluation
  of the same validation and test images at its end.
- *trial*: a whole ``run_trial`` of each method, from loaded data to its row; every epoch is
  evaluated on the validation images.
"""

import argparse
import math
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

from switchbench import datasets, seeds
from switchbench.methods import METHODS
from switchbench.trial import TrialConfig, run_trial

BATCH, LR, DENSITY = 128, 1e-3, 0.05


def bare_loop(splits: datasets.Splits, epochs: int) -> float:
    """Seconds of a loop that a researcher would write by hand; returns them all."""
    images, labels = splits.train.batch(slice(None))
    held_images, held_labels = splits.validation.batch(slice(None))
    test_images, test_labels = splits.test.batch(slice(None))
    started = time.perf_counter()
    torch.manual_seed(0)
    widths = math.prod(splits.input_shape)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(widths, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=LR, fused=True)
    steps = epochs * math.ceil(len(labels) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(epochs):
        for index in torch.randperm(len(labels)).split(BATCH):
            optimiser.zero_grad()
            F.cross_entropy(network(images[index]), labels[index]).backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        for part, truth in ((held_images, held_labels), (test_images, test_labels)):
            (network(part).argmax(1) == truth).float().mean().item()
    return time.perf_counter() - started


def trial(method: str, dataset: str, epochs: int) -> tuple[float, float]:
    """Seconds of a whole trial, and of its training steps alone."""
    config = TrialConfig.of(
        network="lenet-300-100",
        dataset=dataset,
        method=method,
        density=DENSITY if METHODS[method].takes_target(METHODS[method].Config()) else None,
        training={"epochs": epochs, "batch_size": BATCH, "lr": LR},
    )
    started = time.perf_counter()
    row = run_trial(config).row
    return time.perf_counter() - started, row["train_seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--methods", nargs="+", default=["random", "magnitude", "l1", "switcher"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = datasets.load(options.dataset)
    splits = datasets.split(data, 0.1, seeds.generator(0, "split"), torch.device("cpu"))
    bare_loop(splits, 1)  # warm-up
    whole: list[float] = []
    steps: dict[str, list[float]] = {name: [] for name in options.methods}
    for _ in range(options.rounds):
        bare = bare_loop(splits, options.epochs)
        dense, dense_steps = trial("dense", options.dataset, options.epochs)
        whole.append(dense / bare)
        for name in options.methods:
            steps[name].append(trial(name, options.dataset, options.epochs)[1] / dense_steps)
    report("dense trial / bare loop, whole", whole)
    for name, ratios in steps.items():
        report(f"{name} / dense, per step, amortised", ratios)


def report(name: str, ratios: list[float]) -> None:
    median = statistics.median(ratios)
    print(f"{name:42} {median:.2f} (median of {len(ratios)}, {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
