"""Which data sets are on this machine, and bringing and checking them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from switchbench import datasets
from switchbench.datasets import DATASETS, MissingData
from switchbench.datasets.cache import forget
from switchbench.datasets.download import Progress, quiet
from switchbench.datasets.source import Source
from switchbench.errors import InputError
from switchbench.spec.file import component


@dataclass(frozen=True)
class Stock:
    """One data set's files."""

    name: str
    description: str
    place: Path | None
    """Folder of its files; None where it has none or they are not here."""
    size: int
    """Bytes of its files."""
    fetchable: bool
    """Whether its files come from the web."""


def stock() -> list[Stock]:
    """Every registered data set."""
    return [_stock(name) for name in sorted(DATASETS)]


def fetch(name: str, progress: Progress = quiet) -> Stock:
    """Bring a data set's files here, unless they are. Raises InputError."""
    source = _source(component("dataset", name).name)
    if source is None:
        raise InputError(f"data set {name!r} has no files to fetch")
    try:
        if not source.locate(datasets.data_folder()):
            source.fetch(datasets.data_folder(), progress)
    except MissingData as error:
        raise InputError(str(error)) from error
    return _stock(name)


def check(name: str, changes: Iterable[str] = ()) -> str:
    """Compare a data set's files with the published checksums and read them; say in a line what they
    hold. ``changes`` are options as key=value. Raises InputError."""
    choice = component("dataset", name, changes)
    source, checked = _source(choice.name), ""
    try:
        if source is not None:
            files = source.check(datasets.data_folder())
            known = sum(source.checksum(file) is not None for file in files)
            checked = f", {known} of {len(files)} files by their published checksum"
            forget(datasets.data_folder(), choice.name)  # what is checked are the files
            datasets.load.cache_clear()
        data = choice.load()
    except MissingData as error:
        raise InputError(str(error)) from error
    shape = "×".join(map(str, data.input_shape))
    counts = f"{len(data.train):,} + {len(data.test):,} images of {shape}, {data.classes} classes"
    return f"{name}: {counts}: sound{checked}"


def _source(name: str) -> Source | None:
    return DATASETS[name].source


def _stock(name: str) -> Stock:
    entry, source = DATASETS[name], _source(name)
    files = (source.locate(datasets.data_folder()) or []) if source else []
    return Stock(
        name=name,
        description=entry.description,
        place=files[0].parent if files else None,
        size=sum(file.stat().st_size for file in files),
        fetchable=source is not None,
    )
