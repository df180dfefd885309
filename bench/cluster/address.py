"""Addresses of Ray clusters."""

import os

LOCAL = "local"
"""Address of a Ray cluster that is started on this machine for one run."""
OBJECT_STORE_BYTES = 200_000_000
"""Shared memory of a node: enough for configs and rows. Trials do not exchange data through Ray."""


def address_of(given: str | None) -> str | None:
    """Return the address of the Ray cluster that is to be used: a given one, or ``$RAY_ADDRESS``."""
    return given or os.environ.get("RAY_ADDRESS") or None
