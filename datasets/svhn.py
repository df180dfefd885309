"""Street View House Numbers from its MATLAB files."""

from pathlib import Path

import torch

from switchbench.datasets.augment import Augmentation
from switchbench.datasets.cache import shared
from switchbench.datasets.data import Data, Facts, Images, MissingData
from switchbench.datasets.registry import register
from switchbench.datasets.source import Remote, Source, Table


def _table() -> Table:
    from torchvision.datasets import SVHN

    remotes = [
        Remote(name, (url,), md5) for url, name, md5 in (SVHN.split_list[p] for p in ("train", "test"))
    ]
    return Table(tuple(remotes), {remote.name: remote.md5 for remote in remotes})


SOURCE = Source("svhn", "svhn", ("train_32x32.mat", "test_32x32.mat"), _table)


@register("svhn", source=SOURCE, augmentation=Augmentation(crop=4), facts=Facts(73_257, (3, 32, 32), 10))
def svhn(folder: Path) -> Data:
    """73,257 + 26,032 digits of house numbers, 32×32 colour pixels, 10 classes (Netzer et al. 2011)."""
    files = SOURCE.get(folder)

    def decode() -> Data:
        SOURCE.check(folder)
        return Data(_part(files[0], "train"), _part(files[1], "test"), classes=10)

    return shared(folder, "svhn", files, decode)


def _part(file: Path, part: str) -> Images:
    """Training or test images, as torchvision reads them. Raises MissingData."""
    from torchvision.datasets import SVHN

    try:
        read = SVHN(file.parent, split=part)
        return Images(torch.from_numpy(read.data).contiguous(), torch.from_numpy(read.labels))
    except Exception as error:  # the reader of MATLAB files raises anything
        raise MissingData(
            f"{file}: cannot be read as a MATLAB file ({error or type(error).__name__})"
        ) from error
