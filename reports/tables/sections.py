"""Groups of tables under a heading, as a report shows them."""

import re
import zlib
from collections.abc import Iterable, Sequence
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


def folder_names(titles: Iterable[Sequence[str]]) -> list[str]:
    """Return a stable name of a folder for each task, which LaTeX can input.

    Args:
        titles: Network, data set and scope of each task: any text.

    Returns:
        Names of ASCII letters, digits, dots and dashes; a name that would stand for two tasks, or has lost a
        character, ends in a checksum of the task.

    Example:
        >>> folder_names([("lenet-5", "mnist", "fc"), ("größe", "mnist", "fc")])
        ['lenet-5_mnist_fc', 'gr-e_mnist_fc_673032a6']
    """
    return [_folder_name(parts) for parts in titles]


def _folder_name(parts: Sequence[str]) -> str:
    cleaned = [re.sub(r"[^A-Za-z0-9.-]+", "-", part).strip(".-")[:40] for part in parts]
    checksum = "" if cleaned == [*parts] else f"_{zlib.crc32(chr(0).join(parts).encode()):08x}"
    return "_".join([*cleaned, *([] if not checksum else [checksum[1:]])])
