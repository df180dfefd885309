"""One trial: a plain function from a config to a result, the same bits wherever it runs."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from switchbench import datasets
from switchbench.datasets import Splits
from switchbench.measure import accounting
from switchbench.measure.evaluation import evaluate
from switchbench.methods import Layers, Method
from switchbench.row import Row, Status
from switchbench.spec.trial import TrialConfig
from switchbench.store.tensors import Networks, State
from switchbench.trial import seeds
from switchbench.trial.control import UNCONTROLLED, Control
from switchbench.trial.loop import Training
from switchbench.trial.unmeasured import Diverged, Skipped


@dataclass(frozen=True)
class TrialResult:
    """What a trial found: the row for the ledger, curves over epochs, and the finished network."""

    row: Row
    curves: list[dict[str, float]]
    network: nn.Module


def run_trial(
    config: TrialConfig,
    device: str = "cpu",
    threads: int = 1,
    *,
    data_folder: Path | None = None,
    networks: Networks | None = None,
    test: bool = True,
    control: Control = UNCONTROLLED,
) -> TrialResult:
    """Train and measure one network.

    Validation images are read once an epoch and at the end, test images once at the end. On a CPU with one
    thread the result is the same bit for bit for the same config: alone or in a worker, in one go or taken
    up from a checkpoint. (Several threads add up in their own order, and torch flushes denormal numbers
    only in threads that start after it was told to.)

    Args:
        config: The trial.
        device: ``cpu``, ``cuda``, ``cuda:1``, …
        threads: Torch's threads on a CPU.
        data_folder: Where data sets are kept; None: ``$SWITCHBENCH_DATA`` or its default.
        networks: Finished networks that are kept. A trial with a dense start takes it from there, or trains
            it first and keeps it.
        test: Whether the trial has test images. Without them its row says ``validated``.
        control: What may stop it, keep its state and watch it.

    Returns:
        Row, curves and the finished network, in eval mode on the device.

    Raises:
        Skipped: The method cannot handle the network.
        Diverged: Loss or weights are no longer finite.
        Pruned: The control's watch has ended the training.
        TimeoutError: The control's deadline has passed.
        MissingData: The data set is not here.
    """
    target = torch.device(device)
    data = config.dataset.load(data_folder, target)
    if not test:
        data = data.without_test()
    start: State | None = None
    if config.start_trial:
        start = networks.load(config.start_trial.trial_id) if networks else None
        if start is None:
            untouched = replace(control, checkpoint=None, watch=None)
            dense = run_trial(
                config.start_trial, device, threads, data_folder=data_folder, test=test, control=untouched
            )
            start = dense.network.state_dict()
            if networks:
                networks.save(config.start_trial.trial_id, start)
    with _reproducible(threads, target):
        splits = datasets.split(data, config.validation, seeds.generator(config.seed, "split"))
        network = _network(config, splits)
        if start is not None:
            network.load_state_dict(start)
        network.to(target)
        layers = config.scope.of(network)
        method = _method(config, network, layers)
        training = Training(network, layers, method, splits, config.training, config.seed, control)
        history = training.run()
        measured = _measure(config, network, layers, splits, test)
    row = replace(
        measured,
        **asdict(history.costs),
        rounds=method.rounds,
        device=torch.cuda.get_device_name(target) if target.type == "cuda" else target.type,
        threads=threads,
    )
    return TrialResult(row, history.curves, network)


def _measure(config: TrialConfig, network: nn.Module, layers: Layers, splits: Splits, test: bool) -> Row:
    """Count and evaluate a finished network; the row lacks what its training took. Raises Diverged."""
    count = accounting.count(network, layers, splits.validation.batch(slice(0, 1))[0])
    validation = evaluate(network, splits.validation)
    if not math.isfinite(validation.loss):
        raise Diverged(f"validation loss of the finished network is {validation.loss}")
    tested = evaluate(network, splits.test) if test else None
    return Row(
        **asdict(config.planned),
        **asdict(count) | {"density_layers": json.dumps(count.density_layers)},
        status=Status.OK if tested else Status.VALIDATED,
        test_accuracy=tested.accuracy if tested else None,
        test_top5=tested.top5 if tested else None,
        test_loss=tested.loss if tested else None,
        val_accuracy=validation.accuracy,
        val_loss=validation.loss,
        train_size=len(splits.train),
        val_size=len(splits.validation),
        test_size=len(splits.test),
    )


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
