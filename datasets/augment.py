"""Random crops and flips of whole batches of bytes, on the device that holds them."""

from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F


class Augmentation(BaseModel):
    """How training images are varied. The default leaves them as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    crop: int = Field(
        0, ge=0, description="pixels of black padding on each side, before a crop of the old size"
    )
    flip: bool = Field(False, description="whether images are mirrored, left to right, half of the time")

    def draw(self, count: int, generator: torch.Generator, device: torch.device) -> "Draw | None":
        """Draw a random shift and flip for each image.

        Args:
            count: Number of images.
            generator: Source of random numbers, on the CPU. It is not used if the augmentation does nothing.
            device: Where the images are.

        Returns:
            The draw, on ``device``; None if the augmentation does nothing.

        Example:
            >>> drawn = Augmentation(crop=2).draw(5, torch.Generator(), torch.device("cpu"))
            >>> drawn.shifts.shape, bool(drawn.flips.any())
            (torch.Size([5, 2]), False)
        """
        if not self.crop and not self.flip:
            return None
        shifts = torch.randint(0, 2 * self.crop + 1, (count, 2), generator=generator)
        flips = torch.rand(count, generator=generator) < 0.5 * self.flip
        return Draw(self.crop, shifts.to(device), flips.to(device))


NO_AUGMENTATION = Augmentation()


@dataclass(frozen=True)
class Draw:
    """The random shifts and flips of n images, in their order."""

    padding: int
    """Pixels of black padding on each side."""
    shifts: Tensor
    """int64 (n, 2): where the crop starts in the padded image, in pixels from the top and from the left."""
    flips: Tensor
    """bool (n,): whether the crop is mirrored, left to right."""

    def split(self, size: int) -> "list[Draw]":
        """Cut the draw into pieces of ``size`` images each. The last piece may be smaller."""
        pieces = zip(self.shifts.split(size), self.flips.split(size), strict=True)
        return [Draw(self.padding, shifts, flips) for shifts, flips in pieces]

    def apply(self, images: Tensor) -> Tensor:
        """Crop and flip each image as drawn.

        Args:
            images: (n, channels, height, width), on the draw's device.

        Returns:
            New images of the same shape and type.
        """
        count, channels, height, width = images.shape
        padded = F.pad(images, [self.padding] * 4)
        padded_width = width + 2 * self.padding
        rows = torch.arange(height, device=images.device) + self.shifts[:, :1]
        columns = torch.arange(width, device=images.device).expand(count, width)
        columns = torch.where(self.flips[:, None], columns.flip(1), columns) + self.shifts[:, 1:]
        pixels = (rows[:, :, None] * padded_width + columns[:, None, :]).flatten(1)
        cropped = padded.flatten(2).gather(2, pixels[:, None].expand(count, channels, height * width))
        return cropped.view(images.shape)
