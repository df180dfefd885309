"""Training, validation and test: the three splits of a trial, on its device."""

from dataclasses import dataclass

import torch
from torch import Tensor

from switchbench.datasets.catalogue import Data, Images


@dataclass(frozen=True)
class Split:
    """Images as bytes on the device; :meth:`batch` makes network input of any part of them."""

    images: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Normalised float images (n, channels, height, width) and labels (n,)."""
        if isinstance(index, slice):
            images, labels = self.images[index], self.labels[index]
        else:  # many times faster than indexing by a tensor
            images, labels = self.images.index_select(0, index), self.labels.index_select(0, index)
        return images.float().sub_(self.mean).div_(self.std), labels


@dataclass(frozen=True)
class Splits:
    """The three splits: weights learn from ``train``, choices read ``validation``, ``test`` is
    read once at the end."""

    train: Split
    validation: Split
    test: Split
    classes: int

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


def split(data: Data, validation: float, generator: torch.Generator, device: torch.device) -> Splits:
    """Hold ``validation`` (a share in (0, 1)) of the training images out, drawn on ``generator``.

    Images are normalised by the mean and standard deviation of each channel over the images
    left for training. Raises ValueError if a split would be empty.
    """
    count = held_out(data, validation)
    order = torch.randperm(len(data.train.labels), generator=generator)
    train = _select(data.train, order[count:])
    mean, std = (statistic.to(device) for statistic in _channel_statistics(train.images))

    def on_device(images: Images) -> Split:
        return Split(images.images.to(device), images.labels.to(device), mean, std)

    held = _select(data.train, order[:count])
    return Splits(on_device(train), on_device(held), on_device(data.test), data.classes)


def held_out(data: Data, validation: float) -> int:
    """How many training images a share holds out. Raises ValueError if that is none or all."""
    total = len(data.train.labels)
    count = round(validation * total)
    if not 0 < count < total:
        raise ValueError(f"validation: {validation:g} of {total} images leaves a split empty")
    return count


def _select(images: Images, index: Tensor) -> Images:
    return Images(images.images.index_select(0, index), images.labels.index_select(0, index))


def _channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, exact from counts of the 256 byte values."""
    values = torch.arange(256, dtype=torch.float64)
    means, stds = [], []
    for channel in images.unbind(1):
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean = (share * values).sum()
        means.append(mean)
        stds.append((share * (values - mean).square()).sum().sqrt())
    shape = (-1, 1, 1)
    return torch.stack(means).float().view(shape), torch.stack(stds).float().clamp_min(1e-6).view(shape)
