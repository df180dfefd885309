"""Choose every method's defaults on validation images of Fashion-MNIST, with equal effort.

``make defaults`` runs it: each method with search ranges gets the same number of trials of the same
length, at its present defaults and at points of a Halton sequence over its ranges. The trials
are an ordinary comparison (``results/defaults``), so that a run that was stopped goes on, and
its rows can be published and looked at. What it prints is decided by validation accuracy alone:

- methods with a target density: the highest accuracy at that density;
- methods that learn their density: the highest accuracy among points at or below ``CEILING``, or
  the sparsest point if there is none.

Defaults stay where the winner is not better by ``MARGIN``, about the standard error of 6,000 images;
otherwise its options are written into the method by hand.
"""

import argparse
from typing import Any

import pandas as pd
from rich.table import Table
from scipy.stats import qmc

from switchbench.compare.run import run
from switchbench.methods import METHODS
from switchbench.methods.options import declared, unmet
from switchbench.observe.terminal import plain_console
from switchbench.row import Status

DENSITY = 0.02
CEILING = 0.05
MARGIN = 0.005
SEED = 1000
"""No comparison that is shipped uses it."""
UNSEARCHED = (
    "switcher-paper",
    "switcher-neurons",
    "switcher-shuffled-weights",
    "switcher-constant-input",
    "random-layer-matched",
)
"""The papers' settings, a hundred times too slow to search here; and controls, which share those of
what they control."""


ALONE = {"switcher-free-gates": ("reader_lr",)}
"""A control that has options of its own is searched over those alone, and shares the rest."""
VARIANTS: dict[str, dict[str, Any]] = {
    "magnitude-one-shot": {"method": "magnitude", "schedule": "one-shot", "end": 0.3},
    "l0-neurons": {"method": "l0", "units": "neuron", "strength": 2.5e-5, "start": 0.55, "gate_lr": 1.5e-2},
}
"""Methods with other parts than their defaults, as a shipped comparison holds them; what is chosen for
them stands in its spec."""


def fixed(name: str) -> dict[str, Any]:
    """The options that a method or variant is searched with."""
    return VARIANTS.get(name, {"method": name})


def ranges(name: str) -> dict[str, tuple[float, float, bool, bool]]:
    """Low, high, logarithmic, whole: of each option that has a search range and an effect."""
    options = dict(fixed(name))
    config = METHODS[options.pop("method")].Config
    incumbent, found = config(**options), {}
    for key, field in config.model_fields.items():
        about = declared(config, key)
        if "search" in about and not unmet(incumbent, key) and key in ALONE.get(name, (key,)):
            found[key] = (*about["search"], about["log"], field.annotation is int)
    return found


def points(name: str, number: int) -> list[dict[str, float]]:
    """The defaults, then points that fill the ranges evenly; the same at every call."""
    space = ranges(name)
    draws = qmc.Halton(len(space), rng=0).random(number - 1)
    chosen: list[dict[str, float]] = [{}]
    for draw in draws:
        point = {}
        for share, (key, (low, high, log, whole)) in zip(draw, space.items(), strict=True):
            value = low * (high / low) ** share if log else low + (high - low) * share
            point[key] = round(value) if whole else float(f"{value:.3g}")
        chosen.append(point)
    return chosen


def spec(number: int, epochs: int, names: list[str]) -> dict[str, Any]:
    """The comparison of all points of all methods."""
    return {
        "name": "defaults",
        "networks": ["lenet-300-100"],
        "datasets": ["fashion-mnist"],
        "methods": [
            {**fixed(name), "label": f"{name} #{i}", **point}
            for i in range(number)
            for name in names
            for point in [points(name, number)[i]]
        ],
        "densities": [DENSITY],
        "seeds": [SEED],
        "training": {"epochs": epochs, "batch_size": 128, "optimizer": "adam", "lr": 1e-3},
    }


def best(rows: pd.DataFrame) -> "pd.Series[Any]":
    """The winner among one method's points, the first of which has the defaults; reads validation
    accuracy and density alone."""
    default = rows.iloc[0]
    learns_density = rows["target_density"].isna().all() and rows["density"].nunique() > 1
    if learns_density:
        sparse = rows[rows["density"] <= CEILING]
        if sparse.empty:
            return rows.iloc[int(rows["density"].argmin())]
        rows = sparse
    winner = rows.iloc[int(rows["val_accuracy"].argmax())]
    stays = default.name in rows.index and winner["val_accuracy"] < default["val_accuracy"] + MARGIN
    return default if stays else winner


def main() -> None:
    """Run what is lacking and print each method's best point."""
    searched = [name for name in [*METHODS, *VARIANTS] if ranges(name) and name not in UNSEARCHED]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--out", default="results/defaults")
    parser.add_argument("--methods", nargs="+", choices=searched, default=searched, metavar="METHOD")
    options = parser.parse_args()
    plan = spec(options.points, options.epochs, options.methods)
    results = run(plan, options.out, mlflow_uri="none")
    measured = results[results["status"] == Status.OK]
    table = Table("method", "default", "best", "density", "options of the best", box=None)
    for name, rows in measured.groupby(measured["label"].str.rpartition(" #")[0], sort=False):
        incumbent = rows.iloc[0]
        if incumbent["label"] != f"{name} #0":
            continue  # its defaults failed: nothing to compare with
        winner = best(rows)
        default = f"{incumbent['val_accuracy']:.2%}"
        number = int(winner["label"].rpartition("#")[2])
        chosen = points(str(name), options.points)[number]
        words = ", ".join(f"{key} {value:g}" for key, value in chosen.items()) or "the defaults"
        table.add_row(str(name), default, f"{winner['val_accuracy']:.2%}", f"{winner['density']:.2%}", words)
    plain_console().print(table)


if __name__ == "__main__":
    main()
