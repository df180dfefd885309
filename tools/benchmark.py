"""What the suite and its methods cost, as ratios measured within one run.

``make benchmark`` runs it. It prints, and never judges: timings on a shared machine are no test.

- *dense trial / bare loop*: a whole ``run_trial`` of the dense control, from loaded data to its
  row, over a plain PyTorch loop with the same network, batches, optimiser (torch's fused Adam, like
  the suite), schedule and steps, and one evaluation of the same validation and test images.
- *METHOD / plain*: training time of a method over that of as many plain steps, which a plain copy
  of the network takes now and then in between (``bench/trial/plain_steps.py``); amortised over the whole
  training, reading, pruning and all. A method that trains in rounds is counted per round.
- *data set again*: milliseconds that a second trial of a process waits for its data set and splits.
- *point of a search*: milliseconds that Optuna takes for a point beside its trials (ask, tell, storage), by
  sampler, while a study of 40 points grows.
"""

import argparse
import math
import statistics
import tempfile
import time
from dataclasses import asdict

import torch
from rich.console import Console
from torch import nn
from torch.nn import functional as F

from switchbench import datasets
from switchbench.methods import METHODS
from switchbench.observe.terminal import PointDisplay
from switchbench.row import Row, Status
from switchbench.spec.trial import TrialConfig
from switchbench.trial import seeds
from switchbench.trial.outcomes import Skipped
from switchbench.trial.run import run_trial
from switchbench.tuning.plan import plan
from switchbench.tuning.source import StudySource
from switchbench.tuning.storage import StudyStorage
from switchbench.tuning.study import Study

BATCH, LR, DENSITY = 128, 1e-3, 0.05
UNETS = ("switcher-paper", "switcher-neurons")
"""Fifty to a hundred and fifty times a plain step: left out unless named."""


def bare_loop(splits: datasets.Splits, epochs: int) -> float:
    """Seconds of a loop that a researcher would write by hand."""
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
    """Seconds of a whole trial, and its training time over that of plain steps."""
    config = TrialConfig.of(
        network="lenet-300-100",
        dataset=dataset,
        method=method,
        density=DENSITY if METHODS[method].takes_target(METHODS[method].Config()) else None,
        training={"epochs": epochs, "batch_size": BATCH, "lr": LR},
    )
    started = time.perf_counter()
    row = run_trial(config).row
    plain = row["rounds"] * (row["train_seconds"] - row["method_seconds"])
    return time.perf_counter() - started, row["train_seconds"] / plain


def data_again(dataset: str) -> float:
    """Milliseconds of a second loading and splitting."""
    started = time.perf_counter()
    datasets.split(datasets.load(dataset), 0.1, seeds.generator(1, "split"))
    return 1e3 * (time.perf_counter() - started)


def search_overhead(sampler: str, points: int = 40) -> list[float]:
    """Milliseconds that each point of a search of the switcher's options takes beside its trials."""
    spec = {
        "name": "overhead",
        "networks": ["lenet-300-100"],
        "datasets": ["digits"],
        "methods": ["switcher"],
        "densities": [DENSITY],
        "seeds": 1,
        "training": {"steps": 1},
        "search": {"points": points, "sampler": sampler},
    }
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        planned = plan(spec, folder)
        planned.ledger.folder.mkdir(parents=True)
        storage = StudyStorage(str(planned.ledger.journal), None)
        space = planned.spaces["switcher"]
        study = Study(storage, "overhead", planned.config, space, planned.identity("switcher"))
        source = StudySource(planned, {"switcher": study}, PointDisplay(Console(quiet=True), points, 0))
        for number in range(points):
            started = time.perf_counter()
            point = source.ask()
            assert point
            row = Row(
                **asdict(point.trials[0].planned),
                status=Status.VALIDATED,
                steps=1,
                density=DENSITY,
                val_accuracy=number / points,
            )
            source.tell(point, [row])
            taken.append(1e3 * (time.perf_counter() - started))
        study.close()
    return taken


def main() -> None:
    """Measure and print, line by line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--methods", nargs="+", default=[name for name in METHODS if name not in UNETS])
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = datasets.load(options.dataset)
    splits = datasets.split(data, 0.1, seeds.generator(0, "split"))
    bare_loop(splits, 1)  # warm-up
    trial("dense", options.dataset, 1)
    pairs = [
        (trial("dense", options.dataset, options.epochs)[0], bare_loop(splits, options.epochs))
        for _ in range(options.rounds)
    ]
    report("dense trial / bare loop", [whole / bare for whole, bare in pairs])
    report("data set again, ms", [data_again(options.dataset) for _ in range(options.rounds)])
    for sampler in ("tpe", "nsga2", "gp", "random"):
        report(f"point of a search, {sampler}, ms", search_overhead(sampler))
    for name in options.methods:
        try:
            ratios = [trial(name, options.dataset, options.epochs)[1] for _ in range(options.rounds)]
        except Skipped as reason:
            print(f"{name:42} skipped: {reason}")
        else:
            report(f"{name} / plain", ratios)


def report(name: str, ratios: list[float]) -> None:
    """One line: the median and the range."""
    median = statistics.median(ratios)
    spread = f"median of {len(ratios)}, {min(ratios):.2f} to {max(ratios):.2f}"
    print(f"{name:42} {median:.2f} ({spread})", flush=True)


if __name__ == "__main__":
    main()
