"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from their Python batches."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from switchbench.datasets.augment import Augmentation
from switchbench.datasets.cache import shared
from switchbench.datasets.data import Data, Facts, Images, MissingData
from switchbench.datasets.registry import register
from switchbench.datasets.source import Remote, Source, Table


def _table(torchvisions: str) -> Table:
    from torchvision import datasets

    known: Any = getattr(datasets, torchvisions)
    checksums = dict([*known.train_list, *known.test_list, (known.meta["filename"], known.meta["md5"])])
    return Table((Remote(known.filename, (known.url,), known.tgz_md5),), checksums)


BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEN = Source(
    "cifar-10", "cifar-10-batches-py", (*BATCHES, "test_batch", "batches.meta"), partial(_table, "CIFAR10")
)
HUNDRED = Source("cifar-100", "cifar-100-python", ("train", "test", "meta"), partial(_table, "CIFAR100"))

CROP_AND_FLIP = Augmentation(crop=4, flip=True)


@register("cifar-10", source=TEN, augmentation=CROP_AND_FLIP, facts=Facts(50_000, (3, 32, 32), 10))
def cifar_10(folder: Path) -> Data:
    """50,000 + 10,000 small photographs, 32×32 colour pixels, 10 classes (Krizhevsky 2009)."""
    return _read(TEN, folder, "CIFAR10", 10)


@register("cifar-100", source=HUNDRED, augmentation=CROP_AND_FLIP, facts=Facts(50_000, (3, 32, 32), 100))
def cifar_100(folder: Path) -> Data:
    """50,000 + 10,000 small photographs, 32×32 colour pixels, 100 fine classes (Krizhevsky 2009)."""
    return _read(HUNDRED, folder, "CIFAR100", 100)


def _read(source: Source, folder: Path, torchvisions: str, classes: int) -> Data:
    files = source.get(folder)

    def decode() -> Data:
        source.check(folder)  # pickles are opened by those who know what is in them
        return Data(_part(files, torchvisions, True), _part(files, torchvisions, False), classes)

    return shared(folder, source.name, files, decode)


def _part(files: list[Path], torchvisions: str, train: bool) -> Images:
    """Training or test images, as torchvision reads them. Raises MissingData."""
    from torchvision import datasets

    place = files[0].parent
    reader = type("Reader", (getattr(datasets, torchvisions),), {"base_folder": place.name})
    try:
        read = reader(place.parent, train=train)
        images = torch.from_numpy(np.ascontiguousarray(read.data.transpose(0, 3, 1, 2)))
        return Images(images, torch.tensor(read.targets, dtype=torch.int64))
    except Exception as error:  # unpickling raises anything
        raise MissingData(f"{place}: cannot be read as batches ({error or type(error).__name__})") from error
