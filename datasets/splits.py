"""Training, validation and test: the three splits of a trial, on the device of the data."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from switchbench.datasets.augment import Draw
from switchbench.datasets.data import BYTE_VALUES, Data, Images, histogram


class Batch(NamedTuple):
    """Which images of a split (n,), and how they are varied."""

    rows: Tensor
    draw: Draw | None = None

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.rows)


@dataclass(frozen=True)
class Split:
    """A part of some images, which it shares with other splits and trials; :meth:`batch` makes network
    input of any part of it."""

    source: Images
    rows: Tensor | None
    """Which of the images are the split's, in its order; None: all of them."""
    mean: Tensor
    std: Tensor

    def __len__(self) -> int:
        return len(self.source) if self.rows is None else len(self.rows)

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.source.labels.device

    def batch(self, index: Tensor | slice, draw: Draw | None = None) -> tuple[Tensor, Tensor]:
        """Normalised float images (n, channels, height, width) and labels (n,), augmented by a draw."""
        rows = index if self.rows is None else self.rows[index]
        if isinstance(rows, slice):
            images, labels = self.source.images[rows], self.source.labels[rows]
        else:  # many times faster than indexing by a tensor
            images, labels = (
                self.source.images.index_select(0, rows),
                self.source.labels.index_select(0, rows),
            )
        if draw is not None:
            images = draw.apply(images)
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
        return self.train.source.shape


def split(data: Data, validation: float, generator: torch.Generator) -> Splits:
    """Hold ``validation`` (a share in (0, 1)) of the training images out, drawn on ``generator``. No
    image is copied.

    Images are normalised by the mean and standard deviation of each channel over the images
    left for training. Raises ValueError if a split would be empty.
    """
    count = held_out(len(data.train), validation)
    order = torch.randperm(len(data.train), generator=generator).to(data.train.labels.device)
    held, left = order[:count], order[count:]
    mean, std = _channel_statistics(data, held)
    return Splits(
        train=Split(data.train, left, mean, std),
        validation=Split(data.train, held, mean, std),
        test=Split(data.test, None, mean, std),
        classes=data.classes,
    )


def held_out(total: int, validation: float) -> int:
    """How many of ``total`` training images a share holds out. Raises ValueError if that is none or all."""
    count = round(validation * total)
    if not 0 < count < total:
        raise ValueError(f"validation: {validation:g} of {total} images leaves a split empty")
    return count


def _channel_statistics(data: Data, held: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over the training images that are not held out,
    exact from counts of the 256 byte values: those of all images, counted once, less those held out."""
    left = data.train.histogram - histogram(data.train.images.index_select(0, held))
    values = torch.arange(BYTE_VALUES, dtype=torch.float64)
    share = left.double() / left.sum(1, keepdim=True)
    mean = (share * values).sum(1, keepdim=True)
    std = (share * (values - mean).square()).sum(1, keepdim=True).sqrt()
    device, shape = data.train.labels.device, (-1, 1, 1)
    return mean.float().view(shape).to(device), std.float().clamp_min(1e-6).view(shape).to(device)
