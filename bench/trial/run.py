"""One trial: a plain function from a config to a result, the same bits wherever it runs."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from switchbench import datasets
from switchbench.datasets import Splits
from switchbench.measure import accounting
from switchbench.measure.evaluation import evaluate
from switchbench.methods import Layers, Method
from switchbench.spec.trial import TrialConfig
from switchbench.store.tensors import Networks
from switchbench.trial import seeds
from switchbench.trial.checkpoint import Checkpoint
from switchbench.trial.loop import Diverged, Watch, train

VALIDATED = "validated"
"""Status of a trial that was measured on validation images alone, as in a search."""


class Skipped(Exception):
    """The method cannot handle this network; the message is its reason."""


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
