"""Groups of tables under a heading, as a report shows them."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from switchbench.reports.tables.table import Table


@dataclass(frozen=True)
class Section:
    """Tables that belong together: those of a task, or those over all tasks."""

    title: str
    folder: str
    """Name of the folder of its files."""
    tables: list[Table]
    notes: Sequence[str] = ()
    """Statements that the data do not allow, and what is missing for them."""


ALL_TASKS = "all-tasks"
"""Folder of what is over all tasks."""


def folder_name(parts: Sequence[str]) -> str:
    """Return a stable name of a folder or file, which LaTeX can input.

    Args:
        parts: Network, data set and scope of a task, or any other texts.

    Returns:
        A name of ASCII letters, digits, dots and dashes; one that has lost a character ends in a checksum, so
        that it does not stand for two tasks.

    Example:
        >>> folder_name(("lenet-5", "mnist", "fc")), folder_name(("größe", "mnist", "fc"))
        ('lenet-5_mnist_fc', 'gr-e_mnist_fc_673032a6')
    """
    cleaned = [re.sub(r"[^A-Za-z0-9.-]+", "-", part).strip(".-")[:40] for part in parts]
    checksum = [] if cleaned == [*parts] else [f"{zlib.crc32(chr(0).join(parts).encode()):08x}"]
    return "_".join([*cleaned, *checksum])
