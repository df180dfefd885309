"""Made-up tables of results for the tests of reports."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from switchbench import reports
from switchbench.row import columns


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


def written(table: pd.DataFrame, folder: Path, title: str = "title", **options: Any) -> reports.Composed:
    """Write the tables of a report, with options of :func:`switchbench.reports.compose`."""
    composed = reports.compose(table, title, **options)
    reports.write_tables(composed, folder)
    return composed
