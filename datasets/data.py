"""What a data set is: labelled images as tensors, in a training and a test part."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

DIGITS = tuple(str(digit) for digit in range(10))
"""Names of the classes of handwritten and printed digits."""
BYTE_VALUES = 256
"""Number of values of a byte."""


class MissingData(Exception):
    """A data set is not on this machine, or its files cannot be read. The message is one line that says
    what to do."""


def histogram(images: Tensor) -> Tensor:
    """Count each byte value in each channel.

    Args:
        images: uint8 (n, channels, height, width), on any device.

    Returns:
        int64 (channels, 256), on the CPU.

    Example:
        >>> histogram(torch.tensor([[[[7, 7, 0]]]], dtype=torch.uint8))[0, [0, 7]]
        tensor([1, 2])
    """
    channels = images.unbind(1)
    return torch.stack([torch.bincount(c.flatten(), minlength=BYTE_VALUES) for c in channels]).cpu()


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Args:
        images: uint8 (n, channels, height, width).
        labels: int64 (n,), class numbers from 0; on the images' device.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @cached_property
    def histogram(self) -> Tensor:
        """:func:`histogram` of all images, counted once."""
        return histogram(self.images)

    def to(self, device: torch.device) -> "Images":
        """Copy to a device. Tensors that are there already are not copied."""
        return Images(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Data:
    """A data set with its official division into training and test images.

    Args:
        train: The training images.
        test: The test images, of the same shape.
        classes: Number of classes.
        class_names: Names of the classes, in the order of their numbers; None where they have no names.
    """

    train: Images
    test: Images
    classes: int
    class_names: tuple[str, ...] | None = None

    def without_test(self) -> "Data":
        """The same training images with an empty test part, for code that must not read test images."""
        nothing = Images(self.train.images[:0], self.train.labels[:0])
        return replace(self, test=nothing)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        return self.train.shape


def check(name: str, data: Data) -> None:
    """Raise MissingData if a loader has returned what cannot be trained on.

    Args:
        name: The data set's name, for the message.
        data: What its loader returned.
    """
    for part, images in (("training", data.train), ("test", data.test)):
        pixels, labels = images.images, images.labels
        where = f"data set {name}: {part} images"
        if pixels.dtype != torch.uint8 or pixels.dim() != 4:
            raise MissingData(
                f"{where} are {tuple(pixels.shape)} {pixels.dtype}; expected 4 dimensions of uint8"
            )
        if labels.dtype != torch.int64 or labels.shape != pixels.shape[:1] or not len(labels):
            raise MissingData(f"{where}: {len(pixels)} with {tuple(labels.shape)} {labels.dtype} labels")
        lowest, highest = int(labels.min()), int(labels.max())
        if lowest < 0 or highest >= data.classes:
            bad = lowest if lowest < 0 else highest
            problem = f"{where}: hold label {bad}; the {data.classes} classes are 0 to {data.classes - 1}"
            from_one = (lowest, highest) == (1, data.classes)
            raise MissingData(f"{problem}: labels should begin at 0, not at 1" if from_one else problem)
    if data.train.shape != data.test.shape:
        raise MissingData(f"data set {name}: training images are {data.train.shape}, test {data.test.shape}")
    if data.class_names is not None and len(data.class_names) != data.classes:
        raise MissingData(f"data set {name}: {len(data.class_names)} names for {data.classes} classes")
    if data.classes < 2:
        raise MissingData(f"data set {name}: has a single class, so that there is nothing to learn")


@dataclass(frozen=True)
class Facts:
    """What is known of a data set without reading its files."""

    train: int
    """Number of training images."""
    shape: tuple[int, int, int]
    """Channels, height and width of one image."""
    classes: int
    """Number of classes."""
