"""MNIST and its variants, from IDX files, plain or gzipped."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from switchbench.datasets.cache import cached, stats
from switchbench.datasets.data import DIGITS, Data, Facts, Images, MissingData
from switchbench.datasets.registry import register
from switchbench.datasets.source import Manifest, RemoteFile, Source

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
EMNIST_FILES = (
    "emnist-digits-train-images-idx3-ubyte",
    "emnist-digits-train-labels-idx1-ubyte",
    "emnist-digits-test-images-idx3-ubyte",
    "emnist-digits-test-labels-idx1-ubyte",
)
SIDE, CLASSES = 28, 10
COUNTS = {
    "mnist": (60_000, 10_000),
    "fashion-mnist": (60_000, 10_000),
    "kmnist": (60_000, 10_000),
    "emnist-digits": (240_000, 40_000),
}
"""Numbers of training and test images."""
CLASS_NAMES = {
    "fashion-mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}  # fmt: skip
"""Names of the classes, where they are not digits."""


def _facts(name: str) -> Facts:
    return Facts(COUNTS[name][0], (1, SIDE, SIDE), CLASSES)


def _manifest(class_name: str) -> Manifest:
    """The manifest that a class of ``torchvision.datasets`` holds."""
    from torchvision import datasets

    known: Any = getattr(datasets, class_name)
    if hasattr(known, "md5"):  # EMNIST: one archive for all of its variants
        return Manifest((RemoteFile("gzip.zip", (known.url,), known.md5),), {})
    remotes = [
        RemoteFile(name, tuple(mirror + name for mirror in known.mirrors), md5)
        for name, md5 in known.resources
    ]
    return Manifest(tuple(remotes), {remote.name: remote.md5 for remote in remotes})


def _source(name: str, class_name: str, files: tuple[str, ...] = FILES, **more: Any) -> Source:
    return Source(name, f"{class_name}/raw", files, partial(_manifest, class_name), **more)


SOURCES = {
    "mnist": _source("mnist", "MNIST"),
    "fashion-mnist": _source(
        "fashion-mnist",
        "FashionMNIST",
        system_folders=(DEBIAN_FOLDER,),
        hint="install Debian's package dataset-fashion-mnist, or ",
    ),
    "kmnist": _source("kmnist", "KMNIST"),
    "emnist-digits": _source("emnist-digits", "EMNIST", EMNIST_FILES),
}


@register("mnist", source=SOURCES["mnist"], facts=_facts("mnist"))
def mnist(folder: Path) -> Data:
    """60,000 + 10,000 handwritten digits, 28×28 grey pixels, 10 classes (LeCun et al. 1998)."""
    return _read("mnist", folder)


@register("fashion-mnist", source=SOURCES["fashion-mnist"], facts=_facts("fashion-mnist"))
def fashion_mnist(folder: Path) -> Data:
    """60,000 + 10,000 pictures of clothes, 28×28 grey pixels, 10 classes (Xiao et al. 2017)."""
    return _read("fashion-mnist", folder)


@register("kmnist", source=SOURCES["kmnist"], facts=_facts("kmnist"))
def kmnist(folder: Path) -> Data:
    """60,000 + 10,000 old Japanese characters, 28×28 grey pixels, 10 classes (Clanuwat et al. 2018)."""
    return _read("kmnist", folder)


@register("emnist-digits", source=SOURCES["emnist-digits"], facts=_facts("emnist-digits"))
def emnist_digits(folder: Path) -> Data:
    """240,000 + 40,000 handwritten digits, 28×28 grey pixels, 10 classes (Cohen et al. 2017)."""
    return _read("emnist-digits", folder, transposed=True)


def _read(name: str, folder: Path, transposed: bool = False) -> Data:
    """Read a variant of MNIST; ``transposed``: its files hold images with rows and columns exchanged."""
    files = SOURCES[name].get(folder)
    train, test = COUNTS[name]

    def decode() -> Data:
        SOURCES[name].check(folder)  # variants share file names and shapes: only checksums tell them apart
        parts = []
        for images, labels, count in ((files[0], files[1], train), (files[2], files[3], test)):
            pixels = _tensor(images, (count, SIDE, SIDE))
            upright = pixels.transpose(1, 2).contiguous() if transposed else pixels
            parts.append(Images(upright[:, None], _labels(labels, count)))
        return Data(parts[0], parts[1], CLASSES, CLASS_NAMES.get(name, DIGITS))

    return cached(folder, name, stats(files), decode)


def _labels(path: Path, count: int) -> Tensor:
    """Read ``count`` class numbers, int64 (count,). Raises MissingData."""
    labels = _tensor(path, (count,)).to(torch.int64)
    if int(labels.max()) >= CLASSES:
        raise MissingData(f"{path}: holds label {int(labels.max())}; there are {CLASSES} classes, from 0")
    return labels


def _tensor(path: Path, shape: tuple[int, ...]) -> Tensor:
    """Read a file as torchvision does, and check that it holds bytes of that shape. Raises MissingData."""
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor
    from torchvision.datasets.utils import extract_archive

    try:
        with tempfile.TemporaryDirectory() as scratch:
            plain = extract_archive(str(path), scratch) if path.suffix == ".gz" else path
            tensor: Tensor = read_sn3_pascalvincent_tensor(str(plain))
    except Exception as error:  # readers raise anything on a broken file: EOFError, ValueError, zlib.error, …
        reason = str(error) or type(error).__name__
        raise MissingData(f"{path}: cannot be read as an IDX file ({reason})") from error
    if tensor.shape != shape or tensor.dtype != torch.uint8:
        raise MissingData(f"{path}: holds {tuple(tensor.shape)} {tensor.dtype}, not {shape} torch.uint8")
    return tensor
