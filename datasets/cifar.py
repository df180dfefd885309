"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from their Python batches."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from switchbench.datasets.augment import Augmentation
from switchbench.datasets.cache import cached, stats
from switchbench.datasets.data import Data, Facts, Images, MissingData
from switchbench.datasets.registry import register
from switchbench.datasets.source import Manifest, RemoteFile, Source


def _manifest(class_name: str) -> Manifest:
    """The manifest that a class of ``torchvision.datasets`` holds."""
    from torchvision import datasets

    known: Any = getattr(datasets, class_name)
    checksums = dict([*known.train_list, *known.test_list, (known.meta["filename"], known.meta["md5"])])
    return Manifest((RemoteFile(known.filename, (known.url,), known.tgz_md5),), checksums)


BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
CIFAR_10 = Source(
    "cifar-10",
    "cifar-10-batches-py",
    (*BATCHES, "test_batch", "batches.meta"),
    partial(_manifest, "CIFAR10"),
)
CIFAR_100 = Source("cifar-100", "cifar-100-python", ("train", "test", "meta"), partial(_manifest, "CIFAR100"))

CROP_AND_FLIP = Augmentation(crop=4, flip=True)


@register("cifar-10", source=CIFAR_10, augmentation=CROP_AND_FLIP, facts=Facts(50_000, (3, 32, 32), 10))
def cifar_10(folder: Path) -> Data:
    """50,000 + 10,000 small photographs, 32×32 colour pixels, 10 classes (Krizhevsky 2009)."""
    return _read(CIFAR_10, folder, "CIFAR10", 10)


@register("cifar-100", source=CIFAR_100, augmentation=CROP_AND_FLIP, facts=Facts(50_000, (3, 32, 32), 100))
def cifar_100(folder: Path) -> Data:
    """50,000 + 10,000 small photographs, 32×32 colour pixels, 100 fine classes (Krizhevsky 2009)."""
    return _read(CIFAR_100, folder, "CIFAR100", 100)


def _read(source: Source, folder: Path, class_name: str, classes: int) -> Data:
    files = source.get(folder)

    def decode() -> Data:
        source.check(folder)  # verify checksums before unpickling: pickles can run code
        train, names = _part(files, class_name, True)
        test, _ = _part(files, class_name, False)
        return Data(train, test, classes, names)

    return cached(folder, source.name, stats(files), decode)


def _part(files: list[Path], class_name: str, train: bool) -> tuple[Images, tuple[str, ...]]:
    """Read training or test images, and the names of the classes, by a class of ``torchvision.datasets``.
    Raises MissingData."""
    from torchvision import datasets

    folder = files[0].parent
    reader_class = type("Reader", (getattr(datasets, class_name),), {"base_folder": folder.name})
    try:
        reader = reader_class(folder.parent, train=train)
        images = torch.from_numpy(np.ascontiguousarray(reader.data.transpose(0, 3, 1, 2)))
        return Images(images, torch.tensor(reader.targets, dtype=torch.int64)), tuple(reader.classes)
    except Exception as error:  # unpickling raises anything
        raise MissingData(f"{folder}: cannot be read as batches ({error or type(error).__name__})") from error
