"""Where the sockets of processes on this machine are."""

import os
import tempfile

LONGEST = 107
"""Bytes of a socket's longest address."""


def folder_for_sockets(below: int) -> str:
    """Return the folder of temporary files, or ``/tmp`` if addresses of sockets would be too long in it.

    Args:
        below: Bytes of the longest path below that folder.

    Raises:
        FileNotFoundError: No folder can be written.
    """
    folder = tempfile.gettempdir()
    return folder if len(os.fsencode(folder)) + below <= LONGEST else "/tmp"
