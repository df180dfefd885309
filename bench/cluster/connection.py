"""Connecting to a Ray cluster, or starting one on this machine."""

import gc
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from unittest import mock

import ray
import ray._private.utils
import ray._private.worker

from switchbench.cluster.address import LOCAL, address_of
from switchbench.cluster.local_ray import local_ray
from switchbench.cluster.machine import check_size, in_words
from switchbench.errors import InputError

if TYPE_CHECKING:
    from switchbench.spec.comparison import Resources  # imports torch, which `switchbench wait` does not need

CONNECT_SECONDS = 5
"""Time limit of the first connection to a cluster, and of its first answer."""
HTTP2_SETTINGS = bytes([4])
"""Type of a frame of settings."""
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + HTTP2_SETTINGS + b"\0\0\0\0\0"
"""What a client of HTTP/2 says first, with an empty frame of settings."""


@contextmanager
def cluster(
    address: str | None, resources: "Resources", say: Callable[[str], None] = lambda line: None
) -> Iterator[None]:
    """Connect to a Ray cluster for the block, to run trials there.

    Args:
        address: As for :func:`connected`.
        resources: What one trial needs.
        say: Gets a line that says which cluster it is, and how large.

    Raises:
        InputError: The cluster cannot be reached, or no node is large enough for a trial (Tune would wait for
            ever).
    """
    with connected(address):
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        check_size(resources, nodes)
        if named := address_of(address):
            say(f"Ray cluster {named}: {len(nodes)} nodes, {in_words(ray.cluster_resources())}")
        yield


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to a Ray cluster for the block.

    Args:
        address: Address of a running cluster, or ``auto``; None: ``$RAY_ADDRESS``, or else a new cluster on
            this machine.

    Raises:
        InputError: The cluster cannot be reached.
    """
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    address = address_of(address) or LOCAL
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    _check_answering(address)
    started: AbstractContextManager[dict[str, Any]]
    started = local_ray() if address == LOCAL else nullcontext({})
    with started as local_options, _without_messages_of_raylets():
        try:
            with _kept_signals():
                ray.init(address=address, **options, **local_options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            hint = "(if the cluster requires a token, set RAY_AUTH_MODE=token)"
            raise InputError(f"--address {address}: {error} {hint}") from error
        try:
            yield
        finally:
            # Tune leaves reference cycles that hold Ray objects. If another thread (the MLflow mirror)
            # collects them after the shutdown, Ray ends the whole process.
            gc.collect()
            ray.shutdown()


@contextmanager
def _kept_signals() -> Iterator[None]:
    """Keep the handler of SIGTERM, which Ray replaces when it connects."""
    with mock.patch.object(ray._private.utils, "set_sigterm_handler"):
        yield


@contextmanager
def _without_messages_of_raylets() -> Iterator[None]:
    """Keep Ray from printing a paragraph of advice for each lost worker: rows and `status` tell of them."""
    with mock.patch.object(ray._private.worker, "print_to_stdstream"):
        yield


def _check_answering(address: str) -> None:
    """Raise InputError if nothing at the address answers as Ray does. Ray itself would wait for minutes.

    Ray speaks gRPC, so its server answers the preface of HTTP/2 with a frame of settings (RFC 9113, 3.4).
    """
    if address.startswith("ray://"):
        remedy = "give HOST:6379 on a machine of the cluster, or send the command with ray job submit"
        raise InputError(f"--address {address}: Ray Client runs no trials; {remedy}")
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon:
        return  # "auto" and "local" have no host and port
    try:
        with socket.create_connection((host, int(port)), CONNECT_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS") == "1":
                return  # it would wait for a handshake
            connection.settimeout(CONNECT_SECONDS)
            connection.sendall(HTTP2_PREFACE)
            if connection.recv(4)[3:] != HTTP2_SETTINGS:
                raise OSError("what listens there is not Ray")
    except (OSError, ValueError) as error:
        raise InputError(f"--address {address}: no Ray cluster at this address ({error})") from error
