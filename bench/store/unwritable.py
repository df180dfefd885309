"""What is said where a file cannot be written: a full disk stops a run, and all else is bad input."""

import errno

from switchbench.atomic_files import reason
from switchbench.errors import ExitCode, InputError, RunStopped


def is_full(error: BaseException) -> bool:
    """Return whether an error is that of a full disk or of a spent quota."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def unwritable(path: object, error: OSError, option: str = "output folder") -> InputError | RunStopped:
    """Return the error to raise where nothing can be written.

    Args:
        path: The folder or file.
        error: Why.
        option: What the user calls it: an option, or what it is.
    """
    if is_full(error):
        return RunStopped(f"cannot write to {path}: {reason(error)}", ExitCode.NOT_WRITABLE)
    return InputError(f"{option} {path}: {reason(error)}")
