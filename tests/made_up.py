"""Made-up tables of results for the tests of reports."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from switchbench import reports
from switchbench.row import Status, columns

NUMBERS = ("test_loss", "val_accuracy", "test_top5", "train_seconds", "train_flops")


def results(
    methods: Sequence[str] = ("dense", "random", "magnitude"),
    densities: Sequence[float] = (0.1, 0.05, 0.01),
    seeds: int = 3,
    tasks: int = 1,
    spread: float = 0.003,
    **more: Any,
) -> pd.DataFrame:
    """Return measured rows. ``dense`` takes no target; each next method is half a point better at a target.

    Accuracy falls by one point per halving of the density.
    """
    draw = np.random.default_rng(0)
    made = []
    for task in range(tasks):
        for rank, method in enumerate(methods):
            for target in [None] if method == "dense" else densities:
                for seed in range(seeds):
                    density = target or 1.0
                    made.append(
                        dict.fromkeys(columns())
                        | {
                            "trial_id": f"{task}-{method}-{target}-{seed}",
                            "label": method,
                            "method": method,
                            "network": f"net-{task}",
                            "dataset": "data",
                            "scope": "fc",
                            "seed": seed,
                            "target_density": target,
                            "status": "ok",
                            "test_accuracy": 0.9
                            + 0.01 * np.log2(density)
                            + 0.005 * (rank if target else 0)
                            + draw.normal(0, spread),
                            "test_top5": 0.99,
                            "density": density,
                            "density_prunable": density,
                            "density_network": density,
                            "parameters": 1_000,
                            "macs": int(1_000 * density),
                            "macs_dense": 1_000,
                            "steps": 10,
                            "train_seconds": 2.0,
                            "method_seconds": 1.0,
                            "train_flops": 3e6,
                            "method_flops": 1e6,
                            "method_parameters": 0,
                            "val_accuracy": 0.9,
                            "density_layers": f'{{"first": {density}, "last": {density}}}',
                        }
                        | more
                    )
    return pd.DataFrame(made)


def many(tasks: int, methods: int, densities: int, seeds: int) -> pd.DataFrame:
    """Return many measured rows, with every column that a report reads. The first method is dense."""
    shape = (tasks, methods, densities, seeds)
    task, method, place, seed = (axis.ravel() for axis in np.indices(shape))
    names = np.array(["dense", "random", "magnitude", *(f"method {i}" for i in range(3, methods))])
    density = np.where(method == 0, 1.0, np.geomspace(0.5, 0.001, densities)[place])
    draw = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "trial_id": [f"{index:016x}" for index in range(len(task))],
            "label": names[method],
            "method": names[method],
            "network": np.array([f"network {i}" for i in range(tasks)])[task],
            "dataset": "made-up",
            "scope": "fc",
            "seed": seed,
            "target_density": np.where(method == 0, np.nan, density),
            "status": Status.OK,
            "test_accuracy": 0.9 + 0.01 * np.log2(density) + 1e-3 * method + draw.normal(0, 0.003, len(task)),
            **dict.fromkeys(("density", "density_prunable", "density_network"), density),
            **{name: draw.uniform(1, 2, len(task)) for name in NUMBERS},
            **{name: draw.uniform(0, 0.5, len(task)) for name in ("method_seconds", "method_flops")},
            "parameters": 266_610,
            "macs": (266_200 * density).astype(int),
            "macs_dense": 266_200,
            "density_layers": '{"1": 0.1, "3": 0.2, "5": 0.3}',
            "config": "x" * 600,
        }
    )
    kept = table[(method > 0) | (place == 0)]  # dense takes no target
    ordered: pd.DataFrame = kept.reindex(columns=columns())
    return ordered


def written(table: pd.DataFrame, folder: Path, title: str = "title", **options: Any) -> reports.Composed:
    """Write the tables of a report, with options of :func:`switchbench.reports.compose`."""
    composed = reports.compose(table, title, **options)
    reports.write_tables(composed, folder)
    return composed
