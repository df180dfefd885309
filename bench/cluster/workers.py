"""Who runs the trials: worker processes of this machine, or Ray.

Plain processes do what Ray does on one machine, start in a second instead of several, and cost less for each
trial. Ray is for what they cannot do: several machines, and shares of GPUs.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

from switchbench.cluster import template
from switchbench.cluster.address import address_of
from switchbench.errors import InputError

if TYPE_CHECKING:
    from switchbench.cluster.worker import Job
    from switchbench.observe.observer import Observer
    from switchbench.spec.comparison import Resources
    from switchbench.spec.trial import TrialConfig

Distribute = Callable[["list[TrialConfig]", "Job", "list[Observer]"], None]
"""Runs trials until each has a row, as :meth:`switchbench.cluster.local_pool.LocalPool.distribute`."""


def start_early(address: str | None) -> None:
    """Start what takes seconds before the spec is known: the template of workers, which imports torch.

    Args:
        address: As for :func:`workers`.
    """
    if not address_of(address):
        template.start()


@contextmanager
def workers(
    address: str | None,
    resources: "Resources",
    modules: Iterable[ModuleType] = (),
    jobs: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> "Iterator[Distribute]":
    """Provide workers during the block.

    Args:
        address: Address of a running Ray cluster, ``auto``, or ``local``: one that is started here.
            None: ``$RAY_ADDRESS``, or else processes of this machine, or Ray on it if a trial needs GPUs.
        resources: What one trial needs.
        modules: Modules of plug-in files; they are sent to the workers by value.
        jobs: Largest number of trials that run at the same time on this machine; 0: in this process; None: as
            many as fit.
        say: Gets a line about the Ray cluster, if trials run on one.

    Yields:
        A function that runs trials.

    Raises:
        InputError: The cluster cannot be reached, no machine is large enough for a trial, or ``jobs`` is
            given and trials run on Ray.
    """
    if jobs == 0:
        if address:
            raise InputError(
                f"--address {address}: with --jobs 0 trials run in this process, not on a cluster"
            )
        from switchbench.cluster.in_process import check
        from switchbench.cluster.in_process import distribute as one_by_one

        check(resources)
        yield one_by_one
    elif address_of(address) or resources.gpus:
        if jobs:
            raise InputError(f"--jobs {jobs}: is for processes of this machine, and this run uses Ray")
        from switchbench.cluster.connection import cluster
        from switchbench.cluster.tune import distribute

        with cluster(address, resources, say):
            yield partial(distribute, modules=modules)
    else:
        from switchbench.cluster.local_pool import LocalPool

        with LocalPool(resources, modules, jobs) as pool:
            yield pool.distribute
