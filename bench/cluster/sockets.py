"""Where the sockets of processes on this machine are."""

import os
import tempfile

from switchbench.errors import InputError

LONGEST_ADDRESS = 107
"""Bytes of the longest address that a socket may have."""


def folder_for_sockets(path_bytes: int) -> str:
    """Return the folder of temporary files, or ``/tmp`` if addresses of sockets would be too long in it.

    Args:
        path_bytes: Length of the longest path below that folder.

    Raises:
        InputError: No folder can be written.
    """
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError as error:
        raise InputError(f"TMPDIR: no folder for temporary files can be written: {error}") from error
    return folder if len(os.fsencode(folder)) + path_bytes <= LONGEST_ADDRESS else "/tmp"
