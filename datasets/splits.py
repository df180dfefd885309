"""Training, validation and test: the three splits of a trial, on the device of the data."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from switchbench.datasets.augment import Draw
from switchbench.datasets.data import BYTE_VALUES, Data, Images, histogram


class Batch(NamedTuple):
    """The images of one gradient step. ``split.batch(*batch)`` makes network input of it."""

    rows: Tensor
    """int64 (n,): positions in the split."""
    draw: Draw | None = None
    """How the images are augmented; None: not at all."""

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.rows)


@dataclass(frozen=True)
class Split:
    """Some of the images of a data set. Splits and trials share the images; none is copied."""

    source: Images
    """All images of the part that the split is taken from."""
    rows: Tensor | None
    """int64 (n,): positions in ``source``, in the split's order; None: all of them."""
    mean: Tensor
    """float32 (channels, 1, 1): subtracted from byte values."""
    std: Tensor
    """float32 (channels, 1, 1): byte values are divided by it afterwards."""

    def __len__(self) -> int:
        return len(self.source) if self.rows is None else len(self.rows)

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.source.labels.device

    def batch(self, index: Tensor | slice, draw: Draw | None = None) -> tuple[Tensor, Tensor]:
        """Make network input of some images: select, augment, normalise.

        Args:
            index: Positions in the split, int64 (n,) on its device, or a slice.
            draw: How the n images are augmented; None: not at all.

        Returns:
            Images, float32 (n, channels, height, width), with about zero mean and unit variance in each
            channel; labels, int64 (n,).

        Example:
            >>> from switchbench.datasets import load
            >>> splits = split(load("digits"), 0.1, torch.Generator())
            >>> images, labels = splits.train.batch(slice(0, 4))
            >>> images.shape, images.dtype, labels.shape
            (torch.Size([4, 1, 8, 8]), torch.float32, torch.Size([4]))
        """
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
    """The three splits of a trial."""

    train: Split
    """Weights learn from it."""
    validation: Split
    """Choices read it."""
    test: Split
    """Read once, at the end."""
    classes: int

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        return self.train.source.shape


def split(data: Data, validation: float, generator: torch.Generator) -> Splits:
    """Divide the training images at random into training and validation images. No image is copied.

    All splits are normalised by the mean and standard deviation of each channel over the images that are
    left for training.

    Args:
        data: The data set.
        validation: Share of the training images that is held out, in (0, 1).
        generator: Source of random numbers, on the CPU.

    Returns:
        The splits, on the device of the data.

    Raises:
        ValueError: The training or the validation split would be empty.

    Example:
        >>> from switchbench.datasets import load
        >>> splits = split(load("digits"), 0.1, torch.Generator())
        >>> len(splits.train), len(splits.validation), len(splits.test)
        (1293, 144, 360)
    """
    count = held_out(len(data.train), validation)
    order = torch.randperm(len(data.train), generator=generator).to(data.train.labels.device)
    validation_rows, training_rows = order[:count], order[count:]
    mean, std = _channel_statistics(data, validation_rows)
    return Splits(
        train=Split(data.train, training_rows, mean, std),
        validation=Split(data.train, validation_rows, mean, std),
        test=Split(data.test, None, mean, std),
        classes=data.classes,
    )


def held_out(total: int, validation: float) -> int:
    """Return how many training images are held out for validation.

    Args:
        total: Number of training images.
        validation: Share to hold out, in (0, 1).

    Returns:
        The nearest whole number.

    Raises:
        ValueError: It is none of the images, or all.

    Example:
        >>> held_out(60_000, 0.1)
        6000
    """
    count = round(validation * total)
    if not 0 < count < total:
        raise ValueError(f"validation: {validation:g} of {total} images leaves a split empty")
    return count


def training_size(total: int, validation: float) -> int:
    """Return how many training images are left after validation images are held out.

    Args:
        total: Number of training images.
        validation: Share to hold out, in (0, 1).

    Raises:
        ValueError: As :func:`held_out`.

    Example:
        >>> training_size(60_000, 0.1)
        54000
    """
    return total - held_out(total, validation)


def _channel_statistics(data: Data, held_out_rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over the training images that are not held out.

    A channel with one value is centred and not scaled: its deviation counts as 1. Exact, from how often each
    of the 256 byte values occurs: in all images, counted once per process, less in those held out.
    """
    left = data.train.histogram - histogram(data.train.images.index_select(0, held_out_rows))
    values = torch.arange(BYTE_VALUES, dtype=torch.float64)
    share = left.double() / left.sum(1, keepdim=True)
    mean = (share * values).sum(1, keepdim=True)
    std = (share * (values - mean).square()).sum(1, keepdim=True).sqrt()
    device, shape = data.train.labels.device, (-1, 1, 1)
    std[std == 0] = 1
    return mean.float().view(shape).to(device), std.float().view(shape).to(device)
