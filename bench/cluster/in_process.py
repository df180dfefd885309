"""Trials one after the other in this process, for a handful of short ones."""

from operator import methodcaller

import torch

from switchbench.cluster.machine import check_size, this_machine
from switchbench.cluster.signals import StopRequest, handled, stop_at_once
from switchbench.cluster.worker import Job, execute
from switchbench.errors import ExitCode, RunStopped
from switchbench.measure.usage import device_is_sound
from switchbench.observe.observer import Observer, notify
from switchbench.spec.comparison import Resources
from switchbench.spec.trial import TrialConfig
from switchbench.trial.control import Stopped


def check(resources: Resources) -> None:
    """Raise InputError if this machine is too small for a trial."""
    check_size(resources, [this_machine() | {"GPU": torch.cuda.device_count()}])


def distribute(configs: list[TrialConfig], job: Job, observers: list[Observer]) -> None:
    """Run trials until each has a row in the ledger, as
    :meth:`~switchbench.cluster.local_pool.LocalPool.distribute` does.

    Args:
        configs: The trials, in the order in which they run.
        job: What they share.
        observers: Receive the events of the run.

    Raises:
        KeyboardInterrupt: A signal has stopped the run; the remaining trials have no row.
        NotStored: A row cannot be written; the remaining trials have no row.
        RunStopped: The GPU of this process has failed; the remaining trials have no row.
    """
    request = StopRequest()
    with handled(request.receive):
        for config in configs:
            notify(observers, methodcaller("trials_running", 1))

            def watch(point: dict[str, float], config: TrialConfig = config) -> None:
                notify(observers, methodcaller("epoch_finished", config, point))

            try:
                row = execute(config, job, watch, lambda: request.signal is not None, own_process=False)
            except Stopped:
                break
            notify(observers, methodcaller("trial_finished", row))
            if not device_is_sound():
                problem = f"after trial {config.trial_id} nothing works on this process's GPU any more"
                raise RunStopped(problem, ExitCode.FAILED)
    if request.signal is not None:
        stop_at_once(request.signal)
