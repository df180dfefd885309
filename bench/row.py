"""What is stored of a trial and of a point of a search. The only list of columns.

The ledger's schema, MLflow's metrics and the columns of reports are derived from these classes. To add a
measurement, add a field here and fill it where it is measured: :class:`~switchbench.measure.accounting.Count`
and :class:`~switchbench.trial.cost.Costs` go into the row by the names of their fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Self


class Status(StrEnum):
    """What became of a trial."""

    OK = "ok"
    """Trained and measured on test images."""
    VALIDATED = "validated"
    """Trained and measured on validation images alone, as in a search."""
    PRUNED = "pruned"
    """Stopped early by a search's pruner."""
    DIVERGED = "diverged"
    """Loss or weights are no longer finite."""
    SKIPPED = "skipped"
    """The method cannot handle this network; the error is its reason."""
    FAILED = "failed"
    """Raised, hung, or lost with its worker; it is tried again."""
    MISSING = "missing"
    """Planned and not run yet; stands in tables and is never stored."""

    def settled(self, test: bool = True) -> bool:
        """Whether a trial with this status need not run again.

        Args:
            test: Whether the trial is to be measured on test images; in a search it is not.
        """
        measured = {Status.OK} if test else {Status.VALIDATED, Status.PRUNED}
        return self in measured | {Status.DIVERGED, Status.SKIPPED}


class PointState(StrEnum):
    """What became of a point of a search. The words are those that Optuna uses."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "fail"
    RUNNING = "running"


@dataclass(frozen=True)
class Uses:
    """Where a column is used beside the ledger."""

    metric: bool = False
    """Whether MLflow gets it as a metric."""
    mean: bool = False
    """Whether reports take its mean over seeds."""
    tag: bool = False
    """Whether MLflow gets it as a tag, which may change, unlike a parameter."""
    share: bool = False
    """Whether it is a share in [0, 1], which reads best in %."""
    higher_is_better: bool = False
    heading: str = ""
    """Its heading in the report's table of costs; empty: it is no column there."""
    optional: bool = False
    """Whether that table leaves it out if no row has it, as those of older versions."""
    form: str = "{:,.0f}"
    """How that table formats it."""


def column(**uses: Any) -> Any:
    """Declare a field of a row, None unless given, with its :class:`Uses`."""
    return field(default=None, metadata={"uses": Uses(**uses)})


@dataclass(frozen=True, kw_only=True)
class PlannedTrial:
    """What tells a planned trial from others."""

    trial_id: str
    label: str = field(metadata={"uses": Uses(tag=True)})
    method: str
    control_of: str | None = None
    """Name of the method that this one is a control of."""
    network: str
    dataset: str
    scope: str
    seed: int
    target_density: float | None = None
    """None where the method takes no target."""
    start: str | None = None
    """Id of the trial whose dense network this one starts from."""

    @classmethod
    def stored(cls, plain: Mapping[str, Any]) -> Self:
        """What a table holds in a row. Columns that are missing there count as not measured, and columns
        of other versions are left out."""
        return cls(**{name: plain[name] for name in columns(cls) if name in plain})


@dataclass(frozen=True, kw_only=True)
class Row(PlannedTrial):
    """One trial as it is stored. What was not measured is None. ``row["density"]`` is ``row.density``.

    Densities and accuracies are shares in [0, 1]; FLOPs and multiply-accumulates count matrix products and
    convolutions.
    """

    status: Status = field(metadata={"uses": Uses(tag=True)})
    error: str | None = column(tag=True)
    density: float | None = column(metric=True, mean=True, share=True, heading="density", form="{:.3%}")
    """Non-zero share of the weights in scope."""
    density_prunable: float | None = column(metric=True, mean=True, heading="of prunable", form="{:.3%}")
    """Non-zero share of all linear and convolution weights."""
    density_network: float | None = column(metric=True, mean=True, heading="of network", form="{:.3%}")
    """Non-zero share of all parameters."""
    density_layers: str | None = None
    """JSON: the density of each linear and convolution layer by name."""
    test_accuracy: float | None = column(metric=True, share=True, higher_is_better=True)
    test_top5: float | None = column(metric=True, mean=True, share=True, higher_is_better=True)
    test_loss: float | None = column(metric=True, mean=True)
    val_accuracy: float | None = column(metric=True, mean=True, share=True, higher_is_better=True)
    val_loss: float | None = column(metric=True)
    train_size: int | None = None
    val_size: int | None = None
    test_size: int | None = None
    macs: int | None = column(metric=True, mean=True, heading="MACs")
    """Multiply-accumulates of one image with the weights that are not zero."""
    macs_dense: int | None = column(metric=True, mean=True)
    macs_shrunk: int | None = column(metric=True, mean=True, heading="MACs shrunk", optional=True)
    """Of the dense network that is left when dead units are removed."""
    steps: int | None = column(metric=True, mean=True, heading="steps")
    examples: int | None = column(metric=True)
    rounds: int | None = None
    train_seconds: float | None = column(metric=True, mean=True)
    train_flops: float | None = column(mean=True)
    parameters: int | None = column(metric=True, mean=True)
    method_parameters: int | None = column(metric=True, mean=True, heading="added parameters")
    method_seconds: float | None = column(mean=True)
    method_flops: float | None = column(mean=True)
    device: str | None = column(tag=True)
    threads: int | None = None
    versions: str | None = column(tag=True)
    """JSON: versions of what decides a result."""
    config: str | None = None
    """JSON: the trial's config."""
    finished: str | None = None
    """ISO 8601 time, UTC."""
    run: str | None = None
    """Name of the run that wrote it."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    @classmethod
    def stored(cls, plain: Mapping[str, Any]) -> Self:
        return super().stored({**plain, "status": Status(plain["status"])})


@dataclass(frozen=True, kw_only=True)
class PointRow:
    """One point of a search as it is stored."""

    label: str
    """Label of the method."""
    number: int
    state: PointState
    origin: str | None = None
    """Where a point comes from that no sampler has drawn."""
    best: bool = False
    """Whether it is the best of its method, or in the Pareto set."""
    objectives: str
    """JSON: names of the objectives."""
    values: str
    """JSON: one value per objective."""
    params: str
    """JSON: the values that were tried, by the names of their variables."""
    distributions: str
    """JSON: Optuna's distributions, by the same names."""
    infeasible: float | None = None
    """How much denser it is than it may be; at most 0 if it is not."""
    density: float | None = None
    val_accuracy: float | None = None
    steps: int | None = None
    """Gradient steps of its trials."""
    seconds: float | None = None
    error: str | None = None


def columns(of: type = Row) -> list[str]:
    """Names of the columns of a row, in the order of tables."""
    return [each.name for each in fields(of)]


def uses(name: str) -> Uses:
    """The uses of a column.

    >>> uses("val_accuracy").higher_is_better, uses("val_loss").higher_is_better
    (True, False)
    """
    found: Uses = next(each for each in fields(Row) if each.name == name).metadata.get("uses", Uses())
    return found


def used_as(use: str) -> list[str]:
    """The columns that have a use, by the name of its attribute in :class:`Uses`, in order.

    >>> used_as("tag")
    ['label', 'status', 'error', 'device', 'versions']
    """
    return [name for name in columns() if getattr(uses(name), use)]


def ascending(name: str, value: float) -> float:
    """A measurement with its sign changed if higher is better, so that the lowest is always the best.

    >>> ascending("val_accuracy", 0.5), ascending("val_loss", 0.5)
    (-0.5, 0.5)
    """
    return -value if uses(name).higher_is_better else value
