"""One trial: a plain function from a config to a result, the same bits wherever it runs."""

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from torch import nn

from switchbench import datasets
from switchbench.datasets import Splits
from switchbench.errors import InputError, explain
from switchbench.measure import accounting
from switchbench.measure.evaluation import evaluate
from switchbench.methods import Layers, Method
from switchbench.spec.components import DatasetChoice, Density, MethodChoice, NetworkChoice
from switchbench.spec.scope import Scope
from switchbench.store.tensors import Networks
from switchbench.trial import seeds
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.loop import Diverged, Watch, train
from switchbench.trial.optimisers import TrainingConfig

SCHEMA_VERSION = 2
"""Part of every trial's identity: raise it when the engine changes what a config measures."""

VALIDATED = "validated"
"""Status of a trial that was measured on validation images alone, as in a search."""

Seed = Annotated[int, Field(ge=0, lt=2**63)]


def seeds_from(first: int) -> BeforeValidator:
    """Lets a field of seeds be written as their number, which counts from ``first``."""

    def count_or_list(seeds: Any) -> Any:
        if isinstance(seeds, int) and not isinstance(seeds, bool):
            if seeds < 1:
                raise ValueError(f"{seeds} should be a number of seeds from 1, or a list of seeds")
            return list(range(first, first + seeds))
        return seeds

    return BeforeValidator(count_or_list)


class Skipped(Exception):
    """The method cannot handle this network; the message is its reason."""


class TrialConfig(BaseModel):
    """Everything that decides a trial's result, and nothing else (but the labels).

    ``density`` is None exactly where the method takes no target. Build one by hand with
    :meth:`of`, which turns bad values into one clear line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    network: NetworkChoice
    dataset: DatasetChoice
    scope: Scope = Scope(layers="fc")
    method: MethodChoice
    density: Density | None = None
    seed: Seed = 0
    validation: float = Field(0.1, gt=0, lt=1, description="share of training images held out")
    training: TrainingConfig
    start: TrainingConfig | None = None
    """Where given, the method starts from a dense network that has been trained in this way."""

    @model_validator(mode="after")
    def _resolved(self) -> Self:
        if self.method.densities or self.method.training:
            raise ValueError("method: densities and training of a method's own are for comparisons")
        augment = self.dataset.registered.augmentation
        for name in ("training", "start"):
            training = getattr(self, name)
            if training is not None and training.augment is None:
                self.__dict__[name] = training.model_copy(update={"augment": augment})
        return self

    @classmethod
    def of(cls, **fields: Any) -> "TrialConfig":
        """Build a config from plain values. Raises InputError."""
        try:
            config = cls.model_validate(fields)
        except ValidationError as error:
            raise InputError(explain(error, cls)) from error
        if config.method.takes_target() != (config.density is not None):
            need = "needs a density" if config.density is None else "takes no target density"
            raise InputError(f"density: method {config.method.name!r} {need}")
        return config

    @cached_property
    def trial_id(self) -> str:
        """Hash of the canonical, fully resolved config, with the versions of what it names."""
        identity = {
            "schema": SCHEMA_VERSION,
            "network": self.network.identity(),
            "dataset": self.dataset.identity(),
            "scope": self.scope.model_dump(mode="json"),
            "method": self.method.identity(),
            "density": self.density,
            "seed": self.seed,
            "validation": self.validation,
            "training": self.training.identity(),
        }
        if self.start:
            identity["start"] = self.start.identity()
        canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @cached_property
    def start_trial(self) -> "TrialConfig | None":
        """The trial whose finished network this one starts from: dense, and the same for every method,
        density and scope."""
        if not self.start:
            return None
        dense = MethodChoice.model_validate("dense")
        return TrialConfig(
            network=self.network,
            dataset=self.dataset,
            scope=Scope(),
            method=dense,
            seed=self.seed,
            validation=self.validation,
            training=self.start,
        )

    def columns(self) -> dict[str, Any]:
        """The identifying columns of the trial's row."""
        return {
            "trial_id": self.trial_id,
            "method": self.method.name,
            "control_of": self.method.control_of(),
            "label": self.method.label,
            "network": self.network.label,
            "dataset": self.dataset.label,
            "scope": str(self.scope),
            "seed": self.seed,
            "target_density": self.density,
            "start": self.start_trial.trial_id if self.start_trial else None,
        }


@dataclass(frozen=True)
class TrialResult:
    """What a trial found: the row for the ledger, curves over epochs, and the finished network."""

    row: dict[str, Any]
    curves: list[dict[str, float]]
    network: nn.Module


def run_trial(
    config: TrialConfig,
    device: str = "cpu",
    threads: int = 1,
    data_folder: Path | None = None,
    deadline: float = math.inf,
    checkpoint: Checkpoint | None = None,
    networks: Networks | None = None,
    *,
    test: bool = True,
    watch: Watch | None = None,
) -> TrialResult:
    """Train and measure one network.

    ``networks`` are finished networks that are kept. A trial with a dense start takes it from there, or
    trains it first.

    Validation is read once an epoch and at the end, test once at the end; with ``test`` off the trial has
    no test images, and its row says ``validated``. ``watch`` sees every epoch's point of the curves and may
    end the trial by raising Pruned. On a CPU with one
    thread the result is the same bit for bit for the same config, alone or in a worker, in one go
    or taken up from a ``checkpoint``. (More threads add up in their own order, and torch flushes
    denormal numbers in those alone that start after it was told to.)
    Raises Skipped, Diverged and Pruned (training), TimeoutError (``deadline`` on ``time.monotonic()``) and
    MissingData.
    """
    place = torch.device(device)
    data = config.dataset.load(data_folder, place)
    if not test:
        data = data.without_test()
    start = None
    if config.start_trial:
        start = networks.load(config.start_trial.trial_id) if networks else None
        if start is None:
            trained = run_trial(config.start_trial, device, threads, data_folder, deadline, test=test)
            start = trained.network.state_dict()
            if networks:
                networks.save(config.start_trial.trial_id, start)
    with _reproducible(threads, place):
        split_generator = seeds.generator(config.seed, "split")
        splits = datasets.split(data, config.validation, split_generator)
        network = _network(config, splits)
        if start is not None:
            network.load_state_dict(start)
        network.to(place)
        layers = config.scope.of(network)
        method = _method(config, network, layers)
        training, seed = config.training, config.seed
        history = train(network, layers, method, splits, training, seed, deadline, checkpoint, watch)
        count = accounting.count(network, layers, splits.validation.batch(slice(0, 1))[0])
        validation = evaluate(network, splits.validation)
        if not math.isfinite(validation.loss):
            raise Diverged(f"validation loss of the finished network is {validation.loss}")
        tested = evaluate(network, splits.test) if test else None
    row = config.columns() | {
        "status": "ok" if tested else VALIDATED,
        **asdict(count),
        "density_layers": json.dumps(count.density_layers),
        "test_accuracy": tested.accuracy if tested else None,
        "test_top5": tested.top5 if tested else None,
        "test_loss": tested.loss if tested else None,
        "val_accuracy": validation.accuracy,
        "val_loss": validation.loss,
        "train_size": len(splits.train),
        "val_size": len(splits.validation),
        "test_size": len(splits.test),
        "steps": history.steps,
        "examples": history.examples,
        "rounds": method.rounds,
        "train_seconds": history.train_seconds,
        "train_flops": history.train_flops,
        "method_parameters": history.method_parameters,
        "method_seconds": history.method_seconds,
        "method_flops": history.method_flops,
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else place.type,
        "threads": threads,
    }
    return TrialResult(row, history.curves, network)


def _network(config: TrialConfig, splits: Splits) -> nn.Module:
    """The task network with the first weights that every method of this seed starts from."""
    torch.manual_seed(seeds.derive(config.seed, "initialisation"))
    return config.network.build(splits.input_shape, splits.classes)


def _method(config: TrialConfig, network: nn.Module, layers: Layers) -> Method:
    """The method, not yet attached, with its random streams set. Raises Skipped."""
    if not layers:
        raise Skipped(f"network {config.network.label!r} has no layer in scope {str(config.scope)!r}")
    method_class: type[Method] = config.method.registered
    if reason := method_class.skip(config.method.config, network, layers):
        raise Skipped(reason)
    torch.manual_seed(seeds.derive(config.seed, "method"))
    generator = seeds.generator(config.seed, "method")
    return method_class(config.method.config, config.density, generator)


@contextmanager
def _reproducible(threads: int, device: torch.device) -> Iterator[None]:
    """Fix what a process may have set before (thread count, default dtype); put all of it back,
    torch's global random state included.

    Denormal numbers count as zero: gates and gradients of weights that are off shrink to them, and
    processors compute with them many times slower.
    """
    threads_before, dtype_before = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)
    torch.set_flush_denormal(True)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads_before)
        torch.set_default_dtype(dtype_before)
