"""Waiting until nodes have joined a Ray cluster."""

import time

import ray

from switchbench.cluster.connection import connected
from switchbench.errors import ExitCode, RunStopped

POLL_SECONDS = 1


def wait_for_nodes(address: str, nodes: int, seconds: float) -> None:
    """Wait until a Ray cluster has as many nodes that are alive.

    Args:
        address: Address of the cluster.
        nodes: Number of nodes, the head included.
        seconds: How long to wait.

    Raises:
        InputError: Nothing at the address is a Ray cluster.
        RunStopped: Nodes are missing after that time.
    """
    end = time.monotonic() + seconds
    with connected(address):
        while (joined := sum(node["Alive"] for node in ray.nodes())) < nodes:
            if time.monotonic() > end:
                problem = f"{joined} of {nodes} nodes have joined the Ray cluster at {address}"
                raise RunStopped(f"{problem} after {seconds:g} s", ExitCode.CLUSTER_LOST)
            time.sleep(POLL_SECONDS)
