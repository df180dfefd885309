"""One trial: a function from a config to a result.

:func:`run_trial` says when two results have identical bits.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from switchbench import datasets
from switchbench.datasets import MissingData, Splits
from switchbench.measure import counting
from switchbench.measure.evaluation import evaluate
from switchbench.methods import Layers, Method
from switchbench.row import Row, Status
from switchbench.spec.trial import TrialConfig
from switchbench.store.tensors import NetworkStore, State
from switchbench.torch_state import TORCH_STATE
from switchbench.trial import seeds
from switchbench.trial.control import UNCONTROLLED, Control
from switchbench.trial.loop import Training
from switchbench.trial.outcomes import Diverged, Skipped
from switchbench.trial.skips import reason_to_skip


@dataclass(frozen=True)
class TrialResult:
    """Result of a trial."""

    row: Row
    """Its measurements, for the ledger."""
    curves: list[dict[str, float]]
    """One point per epoch."""
    network: nn.Module
    """The finished network, in eval mode."""


def run_trial(
    config: TrialConfig,
    device: str = "cpu",
    threads: int = 1,
    *,
    data_folder: Path | None = None,
    networks: NetworkStore | None = None,
    test: bool = True,
    control: Control = UNCONTROLLED,
) -> TrialResult:
    """Train and measure one network.

    Validation images are read once an epoch and at the end, test images once at the end.

    On a CPU with one thread, the same config gives identical bits: alone or in a worker, uninterrupted or
    continued from a checkpoint. With several threads it need not: the order of sums differs, and torch
    flushes denormal numbers only in threads that start after the setting.

    Args:
        config: The trial.
        device: ``cpu``, ``cuda``, ``cuda:1``, …
        threads: Number of torch's threads on a CPU.
        data_folder: Folder of the data sets; None: ``$SWITCHBENCH_DATA`` or its default.
        networks: Store of finished networks. A trial with a dense start loads the start from the store. If
            the store does not have it, the trial trains the start first and saves it there.
        test: Whether to measure on test images. Without them the status of the row is ``validated``.
        control: Deadline, checkpoint and callback of the training.

    Returns:
        Row, curves and the finished network, in eval mode on the device.

    Raises:
        Skipped: The method cannot handle the network.
        Diverged: Loss or weights are no longer finite.
        Pruned: The control's callback has stopped the training.
        TimeoutError: The control's deadline has passed.
        Stopped: The control has stopped the training.
        MissingData: The data set is not on this machine.
    """
    target = torch.device(device)
    if not config.is_current():
        raise MissingData(
            f"data set {config.dataset.label}: its files have changed since the trial was planned"
        )
    data = config.dataset.load(data_folder, target)
    if not test:
        data = data.without_test()
    start: State | None = None
    if config.start_trial:
        expected, _ = config.network.sketch(data.input_shape, data.classes)
        start = networks.load(config.start_trial.trial_id, expected.state_dict()) if networks else None
        if start is None:
            only_deadline = replace(control, checkpoint=None, watch=None)
            dense = run_trial(
                config.start_trial, device, threads, data_folder=data_folder, test=test, control=only_deadline
            )
            start = dense.network.state_dict()
            if networks:
                networks.save(config.start_trial.trial_id, start)
    with TORCH_STATE, _reproducible(threads, target):
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
        found=json.dumps(history.found) if history.found else None,
        idle=type(method).never_acts(config.method.config, training.steps, training.epochs),
        device=torch.cuda.get_device_name(target) if target.type == "cuda" else target.type,
        threads=threads,
    )
    return TrialResult(row, history.curves, network)


def _measure(config: TrialConfig, network: nn.Module, layers: Layers, splits: Splits, test: bool) -> Row:
    """Count and evaluate a finished network. Return a row without the costs of training. Raises Diverged."""
    count = counting.count(network, layers, splits.validation.batch(slice(0, 1))[0])
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
        classes=splits.classes,
    )


def _network(config: TrialConfig, splits: Splits) -> nn.Module:
    """Build the network. Its first weights depend on the seed and not on the method."""
    torch.manual_seed(seeds.derive(config.seed, "initialisation"))
    return config.network.build(splits.input_shape, splits.classes)


def _method(config: TrialConfig, network: nn.Module, layers: Layers) -> Method:
    """Build the method with its own random streams; do not attach it. Raises Skipped."""
    if reason := reason_to_skip(config, network, layers):
        raise Skipped(reason)
    method_class: type[Method] = config.method.registered
    torch.manual_seed(seeds.derive(config.seed, "method"))
    generator = seeds.generator(config.seed, "method")
    return method_class(config.method.config, config.density, generator)


@contextmanager
def _reproducible(threads: int, device: torch.device) -> Iterator[None]:
    """Fix torch's global settings while the context is open, and restore them afterwards.

    These are the thread count, the default dtype and the global random state. Denormal numbers are flushed
    to zero: gates and gradients of pruned weights become denormal, and processors compute with denormal
    numbers many times slower. After the context, flushing is off.
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
