"""``switchbench data``: list the data sets, fetch their files, check them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from switchbench import datasets
from switchbench.datasets import DATASETS, MissingData, cache
from switchbench.datasets.download import ProgressCallback, no_progress
from switchbench.errors import InputError
from switchbench.plugins import check_dataset
from switchbench.spec.file import component


@dataclass(frozen=True)
class InventoryEntry:
    """A registered data set and its files on this machine."""

    name: str
    description: str
    folder: Path | None
    """Where its files are; None if it has none or if they are not on this machine."""
    size: int
    """Bytes of its files; 0 if there are none."""
    fetchable: bool
    """Whether its files can be fetched from the web."""


def take_inventory() -> list[InventoryEntry]:
    """List every registered data set by name."""
    return [_entry(name) for name in sorted(DATASETS)]


def absent(names: Iterable[str]) -> list[str]:
    """Return those of some data sets whose files are not on this machine."""
    entries = map(_entry, dict.fromkeys(names))
    return [entry.name for entry in entries if entry.fetchable and not entry.folder]


def fetch(name: str, progress: ProgressCallback = no_progress) -> InventoryEntry:
    """Download the files of a data set. Do nothing if they are on this machine.

    Args:
        name: A data set.
        progress: Called after each chunk.

    Returns:
        The data set with its files.

    Raises:
        InputError: No such data set is known, it has no files, or the download failed.
    """
    source = DATASETS[component("dataset", name).name].source
    if source is None:
        raise InputError(f"data set {name!r} has no files to fetch")
    try:
        if not source.locate(datasets.data_folder()):
            source.fetch(datasets.data_folder(), progress)
    except MissingData as error:
        raise InputError(str(error)) from error
    return _entry(name)


def check(name: str, changes: Iterable[str] = ()) -> tuple[str, bool]:
    """Compare the files of a data set with the published checksums, and read them anew.

    Args:
        name: A data set.
        changes: Options as ``key=value``.

    Returns:
        A line with the numbers of images and classes, and how many files were compared; then a line for each
        check that found something odd. And whether nothing was odd.

    Raises:
        InputError: No such data set or option is known, or files are missing, corrupt or unreadable.
    """
    choice = component("dataset", name, changes)
    source, folder, compared = DATASETS[choice.name].source, datasets.data_folder(), ""
    try:
        if source is not None:
            files = source.check(folder)
            published = sum(source.checksum(file) is not None for file in files)
            compared = f", {published} of {len(files)} files by their published checksum"
            cache.clear(folder, choice.name)  # read the files, not what was decoded from them earlier
            datasets.forget_loaded()
        data = choice.load()
    except MissingData as error:
        raise InputError(str(error)) from error
    shape = "×".join(map(str, data.input_shape))
    counts = f"{len(data.train):,} + {len(data.test):,} images of {shape}, {data.classes} classes"
    oddities = [f"\n  {each.check}: {each.problem}" for each in check_dataset.check(choice) if each.problem]
    return f"{name}: {counts}: {'problems' if oddities else 'ok'}{compared}{''.join(oddities)}", not oddities


def _entry(name: str) -> InventoryEntry:
    entry = DATASETS[name]
    files = (entry.source.locate(datasets.data_folder()) or []) if entry.source else []
    return InventoryEntry(
        name=name,
        description=entry.description,
        folder=files[0].parent if files else None,
        size=sum(file.stat().st_size for file in files),
        fetchable=entry.source is not None,
    )
