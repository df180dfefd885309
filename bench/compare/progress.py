"""How far a comparison has come, from its folder alone: during a run and after it, on any machine."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandas as pd

from switchbench.row import Started, Status
from switchbench.store.ledger import Ledger
from switchbench.store.lock import is_locked, is_shared
from switchbench.store.search import SearchLedger

FINAL = [status for status in Status if status.settled() or status.settled(test=False)]
"""Final status of trials of comparisons and of searches."""


@dataclass(frozen=True)
class Progress:
    """State of a comparison."""

    name: str
    folder: str
    driven: bool
    """Whether a driver runs trials now."""
    counts: dict[Status, int]
    """Number of planned trials by status."""
    running: Sequence[Started]
    """Trials that run now. Without a driver: trials that were lost with it."""
    labels: dict[str, str]
    """Label of the method, density and seed of each planned trial, by id."""
    reasons: Sequence[tuple[str, str, int, str]]
    """Label, reason and number of trials that have no measurement, and the id of one of them."""
    retried: int
    """Number of trials that were lost and started again."""
    per_hour: float | None
    """Trials that were finished in an hour, lately."""
    left: timedelta | None
    """Expected time until the last trial; None if it cannot be told."""
    hours: pd.DataFrame
    """CPU- and GPU-hours of the stored trials by label: columns ``label``, ``trials``, ``cpu``, ``gpu``."""
    points: dict[str, int] | None = None
    """Of a search: the number of points of each method that are done."""
    points_each: int | None = None
    """Of a search: how many points each method gets; None if its budget is in steps."""

    @property
    def total(self) -> int:
        """Number of planned trials."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """Number of trials with a final status."""
        return sum(count for status, count in self.counts.items() if status in FINAL)


def progress(ledger: Ledger, now: datetime | None = None) -> Progress:
    """Read the state of a comparison.

    Args:
        ledger: Its ledger.
        now: Time of the question; None: this moment.

    Returns:
        The state.

    Raises:
        InputError: The folder holds no comparison.
    """
    results, now = ledger.results(), now or datetime.now(UTC)
    counts = Counter(Status(status) for status in results["status"])
    several = is_shared(ledger.lock_file)
    driven = several or is_locked(ledger.lock_file)
    stored = results[results["status"] != Status.MISSING]
    of_run = dict(zip(stored["trial_id"], stored["run"], strict=True))
    begun = ledger.running()
    if driven and not several:  # those of earlier runs are lost, and wait until they are started again
        begun = [each for each in begun if each.run == begun[-1].run]
    running = [each for each in begun if of_run.get(each.trial_id) != each.run]
    finished = pd.to_datetime(stored["finished"], utc=True, format="ISO8601", errors="coerce")
    return Progress(
        name=ledger.name(),
        folder=str(ledger.folder),
        driven=driven,
        counts=dict(counts),
        running=running,
        labels=dict(zip(results["trial_id"], _descriptions(results), strict=True)),
        reasons=_reasons(stored),
        retried=int((stored["attempts"] > 1).sum()),
        per_hour=_per_hour(stored, finished),
        left=_left(results, stored, running, now) if driven else None,
        hours=_hours(stored),
        points=ledger.points_done() if isinstance(ledger, SearchLedger) else None,
        points_each=ledger.budget() if isinstance(ledger, SearchLedger) else None,
    )


def _descriptions(results: pd.DataFrame) -> list[str]:
    columns = ("label", "target_density", "seed", "network", "dataset")
    return [
        f"{label}{'' if math.isnan(density) else f' {density:g}'}, seed {seed}, {network} on {dataset}"
        for label, density, seed, network, dataset in zip(*(results[name] for name in columns), strict=True)
    ]


def _reasons(stored: pd.DataFrame) -> list[tuple[str, str, int, str]]:
    unmeasured = stored[~stored["status"].isin([Status.OK, Status.VALIDATED])]
    texts = unmeasured["status"] + ": " + unmeasured["error"].fillna("")
    ids: dict[tuple[str, str], list[str]] = {}
    for label, text, trial_id in zip(unmeasured["label"], texts, unmeasured["trial_id"], strict=True):
        ids.setdefault((label, text), []).append(trial_id)
    frequent = sorted(ids.items(), key=lambda item: -len(item[1]))
    return [(*key, len(found), found[0]) for key, found in frequent]


def _per_hour(stored: pd.DataFrame, finished: "pd.Series[pd.Timestamp]") -> float | None:
    """Return the rate of the last run, from the start of its first trial to the end of its last."""
    if finished.isna().all():
        return None
    newest = stored["run"].iloc[int(finished.fillna(finished.min()).argmax())]
    last = finished[stored["run"] == newest].dropna()
    started = last - pd.to_timedelta(stored["seconds"].fillna(0), unit="s")[last.index]
    hours = (last.max() - started.min()).total_seconds() / 3600
    return len(last) / hours if hours else None


def _left(
    results: pd.DataFrame, stored: pd.DataFrame, running: Sequence[Started], now: datetime
) -> timedelta | None:
    """Return the expected time of the trials that are left: each takes as long as its method's others did."""
    seconds = stored.groupby("label")["seconds"].mean().dropna()
    if seconds.empty or not running:
        return None
    todo = results[results["status"] == Status.MISSING]
    expected = todo["label"].map(seconds).fillna(seconds.mean()).sum()
    spent = sum((now - datetime.fromisoformat(each.started)).total_seconds() for each in running)
    return timedelta(seconds=round(max(0.0, expected - spent) / len(running)))


def _hours(stored: pd.DataFrame) -> pd.DataFrame:
    hours = stored["seconds"].fillna(0) / 3600
    used = pd.DataFrame(
        {
            "label": stored["label"],
            "trials": 1,
            "cpu": hours * stored["threads"].fillna(1),
            "gpu": hours * stored["gpus"].fillna(0),
        }
    )
    return used.groupby("label", sort=False, as_index=False).sum()
