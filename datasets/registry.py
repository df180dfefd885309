"""The registered data sets by name, and how one is loaded."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from pydantic import BaseModel

from switchbench.datasets.augment import NO_AUGMENTATION, Augmentation
from switchbench.datasets.custom import CustomConfig
from switchbench.datasets.data import Data, Facts, check
from switchbench.datasets.source import Source
from switchbench.registration import check_name, plugin_source

Loader = Callable[..., Data]
"""``(folder) -> Data`` or ``(folder, config) -> Data``. Gets the local data folder, and its options if it has
any. Raises :class:`MissingData`."""

CPU = torch.device("cpu")


@dataclass(frozen=True)
class DatasetEntry:
    """A registered data set; :func:`register` says what the fields mean."""

    name: str
    loader: Loader
    version: int
    config: type[BaseModel] | None
    source: Source | None
    augmentation: Augmentation
    facts: Facts | None
    plugin_source: str | None
    """Hash of the plug-in module that holds the loader; None for a data set of switchbench."""

    @property
    def description(self) -> str:
        """First line of the loader's docstring."""
        return (self.loader.__doc__ or "").strip().splitlines()[0]

    def load(self, folder: Path, config: BaseModel | None = None) -> Data:
        """Read the data set; :func:`load` also keeps it in memory.

        Args:
            folder: The local data folder.
            config: Options, an instance of the entry's ``config``; the default is every option's default.

        Returns:
            The data, on the CPU.

        Raises:
            MissingData: The files are neither here nor can they be fetched, or they cannot be read.
        """
        if self.config is None:
            return self.loader(folder)
        return self.loader(folder, config or self.config())


DATASETS: dict[str, DatasetEntry] = {}
"""Every registered data set by name."""


def register(
    name: str,
    version: int = 1,
    config: type[BaseModel] | None = None,
    source: Source | None = None,
    augmentation: Augmentation = NO_AUGMENTATION,
    facts: Facts | None = None,
) -> Callable[[Loader], Loader]:
    """Function decorator: register a loader as the data set ``name``.

    The first line of the loader's docstring is the data set's description. A loader raises
    :class:`MissingData` with one line that says where it looked and how to get the data.

    Args:
        name: The name in specs and on the command line.
        version: Raise it when images, labels or the division into training and test change. Results of
            older versions are then not reused.
        config: Type of the loader's options. Without it, the loader is called with the folder alone.
        source: Files of the data set. They can then be fetched and checked.
        augmentation: How training images are varied unless a spec says otherwise.
        facts: Sizes. A comparison can then be planned where the files are not.

    Returns:
        A decorator that returns the loader unchanged.

    Raises:
        ValueError: Another loader has the name, or the loader has no docstring. Raised by the decorator.

    Example:
        ::

            @register("stripes", facts=Facts(train=60, shape=(1, 8, 8), classes=2))
            def stripes(folder: Path) -> Data:
                \"\"\"Horizontal and vertical stripes of 8×8 pixels.\"\"\"
                ...
    """

    def decorate(loader: Loader) -> Loader:
        holder = DATASETS.get(name)
        check_name("data set", name, loader, holder.loader if holder else None)
        DATASETS[name] = DatasetEntry(
            name=name,
            loader=loader,
            version=version,
            config=config,
            source=source,
            augmentation=augmentation,
            facts=facts,
            plugin_source=plugin_source(loader),
        )
        return loader

    return decorate


def data_folder() -> Path:
    """Return the local data folder: ``$SWITCHBENCH_DATA``, or ``~/.cache/switchbench``."""
    return Path(os.environ.get("SWITCHBENCH_DATA") or "~/.cache/switchbench").expanduser().resolve()


def load(
    name: str,
    folder: Path | None = None,
    config: BaseModel | None = None,
    device: torch.device = CPU,
) -> Data:
    """Load a registered data set, once per process and device.

    Args:
        name: A name in :data:`DATASETS`.
        folder: The local data folder; the default is :func:`data_folder`.
        config: Options, an instance of the entry's ``config``; the default is every option's default.
        device: Where the tensors shall be.

    Returns:
        The data. The same object for the same arguments: do not change its tensors.

    Raises:
        KeyError: No data set has the name.
        MissingData: The files are neither here nor can they be fetched, or they cannot be read.

    Example:
        >>> data = load("digits")
        >>> len(data.train), len(data.test), data.input_shape, data.classes
        (1437, 360, (1, 8, 8), 10)
    """
    content = config.content() if isinstance(config, CustomConfig) else None
    data = _loaded(DATASETS[name], folder or data_folder(), config, content)
    if device.type == "cpu":
        return data
    held = _on_device.get(device)
    if held is None or held.data is not data:
        _on_device.pop(device, None)  # before memory is taken for the next one
        copy = replace(data, train=data.train.to(device), test=data.test.to(device))
        held = _on_device[device] = _Copied(name, data, copy)
    return held.copy


@dataclass(frozen=True)
class _Copied:
    """A data set on a GPU."""

    name: str
    data: Data
    """The data set in main memory."""
    copy: Data


_on_device: dict[torch.device, _Copied] = {}
"""What was loaded last on each GPU. Nothing else stays there: memory of GPUs is short."""


@lru_cache(maxsize=8)
def _loaded(entry: DatasetEntry, folder: Path, config: BaseModel | None, content: str | None) -> Data:
    """Load data that have not been loaded yet. Files at one path may change, which ``content`` tells; a
    loader that changes is another entry."""
    data = entry.load(folder, config)
    check(entry.name, data)
    return data


def forget_on_devices(but: str = "") -> None:
    """Drop the copies on GPUs of all data sets but one: they would count as another trial's memory."""
    for device in [device for device, held in _on_device.items() if held.name != but]:
        del _on_device[device]


def forget_loaded() -> None:
    """Drop all data that :func:`load` keeps in memory."""
    _loaded.cache_clear()
    forget_on_devices()
