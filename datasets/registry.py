"""What a data set is, and the names under which they are known."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel
from torch import Tensor

from switchbench.datasets.augment import NO_AUGMENTATION, Augmentation

if TYPE_CHECKING:
    from switchbench.datasets.source import Source

VALUES = 256
"""Of a byte."""


class MissingData(Exception):
    """A data set is not on this machine, or its files cannot be read; says what to do."""


def counts(images: Tensor) -> Tensor:
    """How often each byte value stands in each channel of images (channels, 256), on the CPU."""
    return torch.stack([torch.bincount(c.flatten(), minlength=VALUES) for c in images.unbind(1)]).cpu()


@dataclass(frozen=True)
class Images:
    """Labelled images: ``images`` uint8 (n, channels, height, width), ``labels`` int64 (n,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @cached_property
    def counts(self) -> Tensor:
        """:func:`counts` of all images, made once."""
        return counts(self.images)

    def to(self, device: torch.device) -> "Images":
        """The same on a device; themselves if they are there."""
        return Images(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Data:
    """A data set with its official division into training and test images."""

    train: Images
    test: Images
    classes: int

    def without_test(self) -> "Data":
        """The same without a test image: who must not read them gets this."""
        nothing = Images(self.train.images[:0], self.train.labels[:0])
        return Data(self.train, nothing, self.classes)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.train.shape


@dataclass(frozen=True)
class Facts:
    """What is known of a data set without its files."""

    train: int
    """Number of training images."""
    shape: tuple[int, int, int]
    """Channels, height, width."""
    classes: int


Loader = Callable[..., Data]

DATASETS: dict[str, Loader] = {}
"""Every registered loader by name. A loader gets the local data folder, and its options if it has
any, and returns the data; it raises :class:`MissingData` with one line that says where it looked and how
to get it."""


def register(
    name: str,
    version: int = 1,
    config: type[BaseModel] | None = None,
    source: "Source | None" = None,
    augmentation: Augmentation = NO_AUGMENTATION,
    facts: Facts | None = None,
) -> Callable[[Loader], Loader]:
    """Decorator: make a loader known under ``name``. Raise ``version`` when its images, labels or
    division into training and test change: stored results of older versions are then not reused.

    ``config`` types the loader's options; ``source`` names its files, which can then be fetched and checked;
    ``augmentation`` is how its training images are varied unless a spec says otherwise; ``facts`` let a
    comparison be planned where the files are not.
    Raises ValueError if another loader holds the name or the function has no docstring, whose
    first line is the data set's description.
    """

    def decorate(loader: Loader) -> Loader:
        if not loader.__doc__:
            raise ValueError(f"data set {name!r} needs a docstring: its first line describes it")
        holder = DATASETS.get(name, loader)
        if (holder.__module__, holder.__qualname__) != (loader.__module__, loader.__qualname__):
            raise ValueError(f"the data set name {name!r} is taken by {holder.__module__}")
        loader.version = version  # type: ignore[attr-defined]
        loader.source = source  # type: ignore[attr-defined]
        loader.augmentation = augmentation  # type: ignore[attr-defined]
        loader.facts = facts  # type: ignore[attr-defined]
        if config is not None:
            loader.Config = config  # type: ignore[attr-defined]
        DATASETS[name] = loader
        return loader

    return decorate


def data_folder() -> Path:
    """The local data folder: ``$SWITCHBENCH_DATA``, or ``~/.cache/switchbench``."""
    return Path(os.environ.get("SWITCHBENCH_DATA") or "~/.cache/switchbench").expanduser().resolve()


@lru_cache(maxsize=8)
def load(
    name: str,
    folder: Path | None = None,
    config: BaseModel | None = None,
    device: torch.device = torch.device("cpu"),  # noqa: B008
) -> Data:
    """Load a registered data set, once per process and device."""
    if device.type != "cpu":
        data = load(name, folder, config, torch.device("cpu"))
        return Data(data.train.to(device), data.test.to(device), data.classes)
    loader = DATASETS[name]
    arguments: list[Any] = [folder or data_folder()]
    config_class = getattr(loader, "Config", None)
    if config_class is not None:
        arguments.append(config or config_class())
    return loader(*arguments)
