"""Rows of the ledger: what is stored for each trial and for each point of a search. The only list of columns.

The ledger's schema, MLflow's metrics and the columns of reports are derived from these classes. To add a
measurement, add a field here and one of the same name where it is measured: the fields of
:class:`~switchbench.measure.counting.Count` and :class:`~switchbench.trial.cost.Costs` are copied into the
row by name.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import Any, Self, TypeVar, get_args, get_type_hints


class Status(StrEnum):
    """Outcome of a trial."""

    OK = "ok"
    """Trained and measured on test images."""
    VALIDATED = "validated"
    """Trained and measured on validation images only, as in a search."""
    PRUNED = "pruned"
    """Stopped early by the pruner of a search."""
    DIVERGED = "diverged"
    """The loss or weights became infinite or NaN."""
    SKIPPED = "skipped"
    """The method does not support this network; the error says why."""
    FAILED = "failed"
    """Raised an exception, hung, or lost its worker too often."""
    MISSING = "missing"
    """Planned and not run yet. It appears in tables and is never stored."""

    def settled(self, test: bool = True) -> bool:
        """Return whether a trial with this status need not run again.

        Args:
            test: Whether the trial should be measured on test images; in a search it is not.

        Returns:
            True if the status is final.

        >>> Status.VALIDATED.settled(), Status.VALIDATED.settled(test=False)
        (False, True)
        """
        measured = {Status.OK} if test else {Status.VALIDATED, Status.PRUNED}
        return self in measured | {Status.DIVERGED, Status.SKIPPED}


class PointState(StrEnum):
    """Outcome of a point of a search, in Optuna's words."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "fail"
    RUNNING = "running"


@dataclass(frozen=True)
class Uses:
    """Uses of a column outside the ledger."""

    metric: bool = False
    """Whether MLflow stores it as a metric."""
    mean: bool = False
    """Whether reports show its mean over seeds."""
    tag: bool = False
    """Whether MLflow stores it as a tag, which may change, unlike a parameter."""
    share: bool = False
    """Whether it is a share in [0, 1], which is shown in %."""
    higher_is_better: bool = False
    """Whether a search maximises it."""
    objective: bool = False
    """Whether a search may optimise it. Results on test images must not be among these."""
    heading: str = ""
    """Heading in the report's table of costs; empty: it is not in that table."""
    optional: bool = False
    """Whether that table omits it if no row has it, as in results of older versions."""
    digits: int | None = 0
    """Decimals of its values in that table; None: those of accuracies."""
    unit: str = ""
    """Unit in that table; a share is shown in % anyway."""
    scale: float = 1
    """Factor from the stored value to the shown one; of a share, 100 anyway."""

    def __post_init__(self) -> None:
        if self.heading and not self.mean:
            raise ValueError(
                f"column {self.heading!r}: the table of costs shows means: set mean=True as well"
            )


def column(**uses: Any) -> Any:
    """Declare a field of a row with the default None.

    Args:
        uses: Fields of :class:`Uses`.
    """
    return field(default=None, metadata={"uses": Uses(**uses)})


class Stored:
    """Base of the dataclasses that are rows of files."""

    @classmethod
    def stored(cls, plain: Mapping[str, Any]) -> Self:
        """Make an instance from a stored row.

        Args:
            plain: Values by column. Missing columns get their defaults; columns of other versions are
                ignored.

        Returns:
            The instance.

        Raises:
            ValueError: A column that has no default is missing, or a value is not allowed.
        """
        own: Any = cls
        missing = [each.name for each in fields(own) if each.default is MISSING and each.name not in plain]
        if missing:
            raise ValueError(f"columns are missing: {', '.join(missing)}")
        for name, types in _types(own).items():
            if not isinstance(plain.get(name), types):
                raise ValueError(f"{name} {plain[name]!r} should be {' or '.join(t.__name__ for t in types)}")
        return cls(**{name: plain[name] for name in columns(cls) if name in plain})


@dataclass(frozen=True, kw_only=True)
class PlannedTrial(Stored):
    """Identity of a planned trial."""

    trial_id: str
    """Hash that identifies the trial."""
    label: str = field(metadata={"uses": Uses(tag=True)})
    """Name of the method's entry in the spec."""
    method: str = field(metadata={"uses": Uses(tag=True)})
    """Name of the method."""
    control_of: str | None = None
    """Name of the method that this one is a control of."""
    network: str = field(metadata={"uses": Uses(tag=True)})
    """Label of the network."""
    dataset: str = field(metadata={"uses": Uses(tag=True)})
    """Label of the data set."""
    scope: str = field(metadata={"uses": Uses(tag=True)})
    """Layers that the method may make sparse."""
    seed: int = field(metadata={"uses": Uses(tag=True)})
    """Seed of first weights, batches, validation images and the method's own randomness."""
    target_density: float | None = column(tag=True)
    """Density that the method is asked for, in (0, 1]; None if the method takes no target, and its strength
    was not chosen for one."""
    start: str | None = None
    """Id of the trial whose dense network this one starts from."""
    calibration: int | None = column(metric=True, mean=True, heading="calibration runs", optional=True)
    """Trainings that found the strength with which a method that learns its density meets the target."""


@dataclass(frozen=True, kw_only=True)
class Row(PlannedTrial):
    """Stored result of one trial. Values that were not measured are None.

    Densities and accuracies are shares in [0, 1]. FLOPs and multiply-accumulates (MACs) count matrix products
    and convolutions. ``row["density"]`` is the same as ``row.density``.
    """

    status: Status = field(metadata={"uses": Uses(tag=True)})
    """Outcome of the trial."""
    error: str | None = column(tag=True)
    """Why the trial has no result, in a line; None if it has one."""
    density: float | None = column(
        objective=True, metric=True, mean=True, share=True, heading="density", digits=3
    )
    density_prunable: float | None = column(
        metric=True, mean=True, share=True, heading="density, all layers", digits=3
    )
    density_network: float | None = column(
        metric=True, mean=True, share=True, heading="density, all parameters", digits=3
    )
    density_layers: str | None = None
    """JSON."""
    test_accuracy: float | None = column(metric=True, share=True, higher_is_better=True)
    """Share of the test images that the finished network classifies correctly."""
    test_top5: float | None = column(
        metric=True, mean=True, share=True, higher_is_better=True, heading="top-5", optional=True, digits=None
    )
    """Share of the test images whose class has one of the five largest outputs; 1 with fewer classes."""
    test_loss: float | None = column(metric=True, mean=True)
    """Mean cross-entropy over the test images."""
    val_accuracy: float | None = column(
        objective=True, metric=True, mean=True, share=True, higher_is_better=True
    )
    """Share of the validation images that the finished network classifies correctly."""
    val_loss: float | None = column(objective=True, metric=True)
    """Mean cross-entropy over the validation images."""
    train_size: int | None = None
    """Number of training images."""
    val_size: int | None = None
    """Number of validation images."""
    test_size: int | None = None
    """Number of test images."""
    classes: int | None = None
    """Number of classes."""
    macs: int | None = column(objective=True, metric=True, mean=True, heading="MACs")
    macs_dense: int | None = column(metric=True, mean=True)
    macs_shrunk: int | None = column(
        objective=True, metric=True, mean=True, heading="MACs without dead units", optional=True
    )
    found: str | None = None
    """JSON: numbers that the method has learned, by name, such as thresholds."""
    steps: int | None = column(metric=True, mean=True, heading="steps")
    examples: int | None = column(metric=True)
    """Training images of the training steps, counted each time. What a method reads beside them, as a
    switcher that learns does, costs ``method_flops`` and ``method_seconds``."""
    rounds: int | None = None
    """Number of times that the whole training ran; more than one for a method such as the lottery ticket."""
    idle: str | None = column(tag=True)
    """What the method never did, because the training was too short; None if it did all."""
    train_seconds: float | None = column(objective=True, metric=True, mean=True)
    train_flops: float | None = column(objective=True, mean=True)
    weights: int | None = column(metric=True, mean=True)
    """None in rows of older versions."""
    parameters: int | None = column(metric=True, mean=True)
    method_parameters: int | None = column(metric=True, mean=True, heading="added parameters")
    method_seconds: float | None = column(mean=True)
    method_flops: float | None = column(mean=True)
    plain_flops: float | None = None
    """None in rows of older versions, whose ``method_flops`` is the difference to it."""
    device: str | None = column(tag=True)
    """What the trial ran on: cpu, or the name of the GPU."""
    host: str | None = column(tag=True)
    """Name of the machine that ran the trial."""
    threads: int | None = None
    """Threads of torch on the CPU."""
    gpus: float | None = None
    """GPUs that were set aside for the trial; a share of one if several trials used it."""
    seconds: float | None = column(metric=True)
    """Time that the trial kept its worker: data, training, evaluation."""
    peak_memory: int | None = column(
        metric=True, mean=True, heading="peak memory", optional=True, unit=" MB", scale=1e-6
    )
    """Largest resident memory of the worker process, in bytes; None where the system does not tell it."""
    peak_gpu_memory: int | None = column(
        metric=True, mean=True, heading="peak GPU memory", optional=True, unit=" MB", scale=1e-6
    )
    """Largest memory of tensors on the GPU, in bytes; None on a CPU."""
    energy: float | None = column(metric=True, mean=True)
    """Energy of the GPU during the trial, in joules; None if trials shared it, or if it does not tell."""
    attempts: int | None = None
    """Number of starts until the row was stored; more than one if workers were lost."""
    versions: str | None = column(tag=True)
    """JSON: versions of software that may affect the result, and of the network, data set and method."""
    config: str | None = None
    """JSON: the trial's config."""
    finished: str | None = None
    """Time when the row was stored: ISO 8601, UTC."""
    run: str | None = None
    """Name of the run that stored the row."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    @property
    def standing(self) -> tuple[bool, str]:
        """Of a trial's rows the largest counts: a failure replaces no result; else it is the later one."""
        return self.status != Status.FAILED, str(self.finished)

    @property
    def guesses(self) -> bool:
        """Whether the network does no better than guessing, on test images or else on validation images."""
        tested = self.test_accuracy is not None
        accuracy = self.test_accuracy if tested else self.val_accuracy
        images = self.test_size if tested else self.val_size
        return guesses(accuracy, images, self.classes)

    @classmethod
    def stored(cls, plain: Mapping[str, Any]) -> Self:
        status = _member(Status, "status", plain)
        _json(plain, density_layers=dict, found=dict)
        return super().stored({**plain, "status": status})


@dataclass(frozen=True, kw_only=True)
class Timed(Stored):
    """Measured time of a forward pass of a trial's finished network, in one form, at one batch size."""

    trial_id: str
    form: str
    """Dense, in sparse format, without dead units, or both."""
    batch: int
    """Images in a batch."""
    threads: int
    device: str
    """What it was measured on."""
    seconds: float
    """Median over forward passes."""


@dataclass(frozen=True, kw_only=True)
class Started(Stored):
    """Stored while a trial runs: where, and since when."""

    trial_id: str
    host: str
    process: int
    started: str
    """ISO 8601, UTC."""
    run: str
    """Name of the run."""
    attempt: int
    """1 at the first start; larger if the trial was lost before."""

    @classmethod
    def stored(cls, plain: Mapping[str, Any]) -> Self:
        started = super().stored(plain)
        if datetime.fromisoformat(started.started).tzinfo is None:
            raise ValueError(f"started {started.started!r} should have a time zone")
        return started


@dataclass(frozen=True, kw_only=True)
class PointRow(Stored):
    """Stored result of one point of a search."""

    label: str
    """Label of the method."""
    number: int
    """Number of the point in the study of the method."""
    state: PointState
    origin: str | None = None
    """Where the point comes from, if no sampler drew it."""
    best: bool = False
    """Whether it is the best point of its method, or in the Pareto set."""
    objectives: str
    """JSON: names of the objectives."""
    values: str
    """JSON: one value per objective."""
    params: str
    """JSON: the values of the point by variable name."""
    distributions: str
    """JSON: Optuna's distributions by variable name."""
    infeasible: float | None = None
    """How far the density is from what is allowed; the point is feasible if this is at most 0."""
    collapsed: int | None = None
    """Largest number of empty layers that make a network of the point dead; 1 if one does no better than
    guessing. Feasible points have none."""
    density: float | None = None
    val_accuracy: float | None = None
    steps: int | None = None
    """Gradient steps of all its trials."""
    seconds: float | None = None
    error: str | None = None

    @classmethod
    def stored(cls, plain: Mapping[str, Any]) -> Self:
        state = _member(PointState, "state", plain)
        _json(plain, objectives=list, values=(list, NoneType), params=dict, distributions=dict)
        return super().stored({**plain, "state": state})


EnumT = TypeVar("EnumT", bound=StrEnum)


def _member(kind: type[EnumT], name: str, plain: Mapping[str, Any]) -> EnumT:
    """Return a stored value as a member of an enumeration. Raises ValueError."""
    value = plain.get(name)
    if value not in [*kind]:
        raise ValueError(f"{name} {value!r} should be one of {', '.join(kind)}")
    return kind(str(value))


def _json(plain: Mapping[str, Any], **kinds: type | tuple[type, ...]) -> None:
    """Check that columns hold JSON of some types, or nothing. Raises ValueError."""
    for name, kind in kinds.items():
        text = plain.get(name)
        try:
            found = json.loads(text) if isinstance(text, str) else None
        except ValueError as error:
            raise ValueError(f"{name} {str(text)[:100]!r} is no JSON") from error
        if isinstance(text, str) and not isinstance(found, kind):
            raise ValueError(f"{name} {text[:100]!r} is not what it should be")


MATCHED = 0.1
"""How far the density of a method that cannot aim at a target may be from it, as a share of the target. Texts
for readers say "a tenth"."""
NEAREST = 0.01
"""The same for a method that takes the target, if that is more than one weight. Texts for readers say "one
percent"."""


def tolerance(target: float, weights: float) -> float:
    """Return how far a density may be from a target that the method takes, as a share of the target.

    Args:
        target: The target density.
        weights: Number of weights in scope: small networks cannot keep a part of one. NaN: not known.

    >>> tolerance(0.1, 1_000_000), tolerance(0.01, 1_000)
    (0.01, 0.1)
    """
    return NEAREST if math.isnan(weights) else max(NEAREST, 1 / (weights * target))


def never_selected(infeasible: float | None, collapsed: float | None, density: float | None) -> bool:
    """Tell whether a point of a search cannot be its best: off the target, dead, or no better than guessing.

    Args:
        infeasible: How far its density is from what is allowed; None or NaN if it is not known.
        collapsed: More than 0 if a network of the point is dead or guesses; likewise.
        density: Its density. Points of older versions have no ``collapsed``, but may have no weights left.

    >>> never_selected(0.0, None, 0.02), never_selected(0.3, 0, 0.02), never_selected(0.0, None, 0.0)
    (False, True, True)
    """
    return any(value is not None and value > 0 for value in (infeasible, collapsed)) or density == 0


def guesses(accuracy: float | None, images: int | None, classes: int | None) -> bool:
    """Tell whether an accuracy is that of guessing: at most two standard errors above 1 / classes.

    Args:
        accuracy: A share in [0, 1].
        images: Number of images that it was measured on.
        classes: Number of classes.

    Returns:
        False if one of them is not known.

    >>> guesses(0.11, 1_000, 10), guesses(0.13, 1_000, 10)
    (True, False)
    """
    if accuracy is None or not images or not classes:
        return False
    chance = 1 / classes
    return accuracy <= chance + 2 * math.sqrt(chance * (1 - chance) / images)


@cache
def _types(row_type: type) -> dict[str, tuple[type, ...]]:
    """Return the types of plain values of each column; a whole number is a float as well."""
    found: dict[str, tuple[type, ...]] = {}
    for name, hint in get_type_hints(row_type).items():
        types = set(get_args(hint) or (hint,))
        required = next(each.default is MISSING for each in fields(row_type) if each.name == name)
        found[name] = (*types, *({int} if float in types else ()), *(() if required else {NoneType}))
    return found


def columns(row_type: type = Row) -> list[str]:
    """Return the names of a row's columns, in the order of tables.

    >>> columns()[:3]
    ['trial_id', 'label', 'method']
    """
    return [each.name for each in fields(row_type)]


@cache
def uses(name: str) -> Uses:
    """Return the uses of a column of :class:`Row`.

    >>> uses("val_accuracy").higher_is_better, uses("val_loss").higher_is_better
    (True, False)
    """
    found: Uses = next(each for each in fields(Row) if each.name == name).metadata.get("uses", Uses())
    return found


def used_as(use: str) -> list[str]:
    """Return the columns with a use, in order.

    Args:
        use: Name of an attribute of :class:`Uses`.

    Returns:
        Names of the columns of :class:`Row` for which the attribute is true.

    >>> used_as("share")
    ['density', 'density_prunable', 'density_network', 'test_accuracy', 'test_top5', 'val_accuracy']
    """
    return [name for name in columns() if getattr(uses(name), use)]


def to_minimise(name: str, value: float) -> float:
    """Return a value of a column such that lower is better: its sign is changed if higher is better.

    >>> to_minimise("val_accuracy", 0.5), to_minimise("val_loss", 0.5)
    (-0.5, 0.5)
    """
    return -value if uses(name).higher_is_better else value
