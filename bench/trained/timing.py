"""Time the finished networks of a comparison, one after the other, for its report."""

import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from switchbench.errors import InputError
from switchbench.measure.latency import latencies
from switchbench.row import Status, Timed
from switchbench.store.ledger import Ledger
from switchbench.trained.load import load_finished


def time_comparison(
    ledger: Ledger,
    batches: Sequence[int],
    device: torch.device,
    threads: int,
    notify: Callable[[str], None],
) -> int:
    """Time every stored network of a comparison and store the times. Nothing else should run meanwhile.

    Args:
        ledger: Ledger of the comparison.
        batches: Batch sizes, each 1 or more.
        device: Where the networks run.
        threads: Number of torch's threads on the CPU.
        notify: Called with one line per network.

    Returns:
        The number of networks.

    Raises:
        InputError: No network is stored, or the times cannot be written.
    """
    results = ledger.results()
    measured = results.loc[results["status"] == Status.OK, "trial_id"]
    stored = [each for each in measured if ledger.networks.has(each)]
    if not stored:
        raise InputError(
            f"{ledger.folder}: no network is stored; run the comparison with keep_networks: true"
        )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    for place, trial_id in enumerate(stored, 1):
        finished = load_finished(ledger.folder / trial_id, notify)
        images = finished.test.batch(slice(0, max(batches)))[0]
        found = latencies(finished.network, images, batches, device, threads)
        timed = [
            Timed(
                trial_id=trial_id,
                form=each.form,
                batch=each.batch,
                threads=threads,
                device=name,
                seconds=each.seconds,
            )
            for each in found
        ]
        try:
            ledger.write_latencies(timed)
        except OSError as error:
            raise ledger.unwritable(error) from error
        best = min(timed, key=lambda each: each.seconds / each.batch)
        notify(
            f"{place}/{len(stored)} {trial_id}: {1e3 * best.seconds:.3g} ms ({best.form}, batch {best.batch})"
        )
    return len(stored)


def _processor() -> str:
    """Return the model of the CPU: times of different ones are not compared. Linux does not tell Python."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
