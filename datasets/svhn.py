"""Street View House Numbers (Netzer et al. 2011) from its MATLAB files."""

from pathlib import Path

import torch

from switchbench.datasets.augment import Augmentation
from switchbench.datasets.cache import cached, stats
from switchbench.datasets.data import DIGITS, Data, Facts, Images, MissingData
from switchbench.datasets.registry import register
from switchbench.datasets.source import Manifest, RemoteFile, Source


def _manifest() -> Manifest:
    from torchvision.datasets import SVHN

    published = [SVHN.split_list[part] for part in ("train", "test")]
    remotes = [RemoteFile(name, (url,), md5) for url, name, md5 in published]
    return Manifest(tuple(remotes), {remote.name: remote.md5 for remote in remotes})


SOURCE = Source("svhn", "svhn", ("train_32x32.mat", "test_32x32.mat"), _manifest)


@register("svhn", source=SOURCE, augmentation=Augmentation(crop=4), facts=Facts(73_257, (3, 32, 32), 10))
def svhn(folder: Path) -> Data:
    """73,257 + 26,032 digits of house numbers, 32×32 colour pixels, 10 classes (Netzer et al. 2011)."""
    files = SOURCE.get(folder)

    def decode() -> Data:
        SOURCE.check(folder)
        return Data(_part(files[0], "train"), _part(files[1], "test"), 10, DIGITS)

    return cached(folder, "svhn", stats(files), decode)


def _part(file: Path, part: str) -> Images:
    """Read training or test images as torchvision does. Raises MissingData."""
    from torchvision.datasets import SVHN

    try:
        reader = SVHN(file.parent, split=part)
        return Images(torch.from_numpy(reader.data).contiguous(), torch.from_numpy(reader.labels))
    except Exception as error:  # the reader of MATLAB files raises anything
        reason = error or type(error).__name__
        raise MissingData(f"{file}: cannot be read as a MATLAB file ({reason})") from error
