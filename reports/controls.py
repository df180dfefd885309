"""What a method's part was worth: its differences from the controls that lack it, paired by seed."""

import math
from dataclasses import dataclass

import pandas as pd

from switchbench.reports.statistics import Summary, summarise


@dataclass(frozen=True)
class Contrast:
    """A method minus one of its controls, on one task."""

    label: str
    control: str
    differences: dict[float, Summary]
    """Difference of test accuracies of the same seed, by target density."""

    @property
    def verdict(self) -> str:
        """What the differences say, in one line."""
        said: dict[str, list[str]] = {}
        for density, summary in self.differences.items():
            if summary.n:
                said.setdefault(_reading(summary), []).append(f"{density:g}")
        parts = [f"{reading} {self.control} at {', '.join(at)}" for reading, at in said.items()]
        return f"{self.label}: {'; '.join(parts) or f'nothing to compare with {self.control} yet'}"


def contrasts(rows: pd.DataFrame, densities: list[float]) -> list[Contrast]:
    """The contrasts of one task's rows. A control of a method is compared with the first of its
    labels; methods that take no target end at densities of their own and are left out."""
    named = rows.dropna(subset=["target_density", "control_of"])
    found = []
    for control, of in named[["label", "control_of"]].drop_duplicates().itertuples(index=False):
        labels = rows[(rows["method"] == of) & rows["target_density"].notna()]["label"]
        if not labels.empty:
            label = str(labels.iloc[0])
            pairs = {density: _differences(rows, label, control, density) for density in densities}
            found.append(Contrast(label, str(control), pairs))
    return found


def tie(summary: Summary) -> bool:
    """Whether the interval of a difference holds zero."""
    return abs(summary.mean) <= summary.interval


def _differences(rows: pd.DataFrame, label: str, control: str, density: float) -> Summary:
    ok = rows[(rows["status"] == "ok") & (rows["target_density"] == density)]
    by_seed = [ok[ok["label"] == name].set_index("seed")["test_accuracy"] for name in (label, control)]
    return summarise((by_seed[0] - by_seed[1]).dropna().tolist())


def _reading(summary: Summary) -> str:
    if math.isnan(summary.interval):
        return "one seed, no verdict against"
    if tie(summary):
        return "not told apart from"
    return "above" if summary.mean > 0 else "below"
