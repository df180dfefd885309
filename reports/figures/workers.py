"""Call functions in forked processes."""

import gc
import os
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

T = TypeVar("T")
MOST_PORTIONS = 10_000
"""Portions of work whose numbers fit into a pipe."""


class WorkerLost(Exception):
    """A worker process has died."""


def in_parallel(calls: Sequence[Callable[[], T]], workers: int) -> list[T]:
    """Call functions, each in one of several forked processes.

    Only for a process without threads: a fork would not have them. Workers take the next call from a pipe
    that is filled and closed before they start, so that none waits for this process, or outlives it for long.

    Args:
        calls: The functions. They may be closures; what they return is pickled.
        workers: Number of processes; 1: none, this process calls the functions.

    Returns:
        What the functions return, in their order.

    Raises:
        WorkerLost: A worker has died, also of any other exception, which stands on standard error.
        OSError: One of the functions has raised it.
    """
    workers = min(workers, len(calls))
    if workers < 2:
        return [call() for call in calls]
    size = -(-len(calls) // MOST_PORTIONS)
    portions, filling = os.pipe()
    os.write(filling, b"".join(start.to_bytes(4) for start in range(0, len(calls), size)))
    os.close(filling)
    context = get_context("fork")
    receivers = []
    for _ in range(workers):
        receiver, sender = context.Pipe(duplex=False)
        context.Process(target=_work, args=(calls, size, portions, sender), daemon=True).start()
        sender.close()
        receivers.append(receiver)
    os.close(portions)
    made: dict[int, T] = {}
    for receiver in receivers:
        try:
            answer = receiver.recv()
        except EOFError:
            raise WorkerLost("a process that draws figures was killed, or has failed") from None
        if isinstance(answer, Exception):
            raise answer
        made |= answer
    return [made[number] for number in range(len(calls))]


def _work(calls: Sequence[Callable[[], T]], size: int, portions: int, sender: Connection) -> None:
    """Take portions of calls until there are none, and send all results, or the first OSError."""
    made: dict[int, T] = {}
    gc.freeze()
    gc.disable()  # it would search what was imported again and again
    try:
        while taken := os.read(portions, 4):
            start = int.from_bytes(taken)
            made |= {number: calls[number]() for number in range(start, min(start + size, len(calls)))}
            gc.collect()
    except OSError as error:
        sender.send(error)
        return
    sender.send(made)
